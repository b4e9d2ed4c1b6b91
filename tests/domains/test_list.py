"""The list of domains: which are on, what dbt reads of the project then, and what a fingerprint holds of it."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from ingestion.contract.reading import source_names
from ingestion.destination.target import Target
from ingestion.domains import domains, listed, named_sources
from ingestion.environment import ConfigurationError
from ingestion.project import PROJECT_ROOT
from tests.domains.clones import edit, edit_list, without_domains
from tests.domains.garden import plant
from warehouse import dbt
from warehouse.fingerprints import fingerprints
from warehouse.parts import ignored, what_is_off_ignored

LIST = """
vars:
  domains:
    plants: {label: Plants, owner: gardeners, sources: {nursery: {name: Nursery, kind: files}, weather: }}
    skies: {label: Skies, sources: {weather: {name: Weather, description: It's raining}}, published: false}
"""


def project_of(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "dbt_project.yml").write_text(LIST, encoding="utf-8")
    return root


def test_the_list_says_which_domains_are_on_and_domains_of_the_environment_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_of(tmp_path)
    assert [each.name for each in listed(project)] == ["plants", "skies"]
    assert [each.name for each in domains(project)] == ["plants"]
    assert source_names(project) == ["nursery", "weather"]
    monkeypatch.setenv("DOMAINS", "skies")
    assert source_names(project) == ["weather"]
    monkeypatch.setenv("DOMAINS", "skies, plants")
    assert [each.name for each in domains(project)] == ["plants", "skies"]
    monkeypatch.setenv("DOMAINS", "")
    assert domains(project) == [] and source_names(project) == []
    monkeypatch.setenv("DOMAINS", "plants sea")
    with pytest.raises(ConfigurationError, match=r"DOMAINS names sea, which .* doesn't list: it has plants"):
        domains(project)


def test_a_source_that_several_domains_read_is_described_by_one_of_them(tmp_path: Path) -> None:
    found = {each.source_id: each for each in named_sources(project_of(tmp_path))}
    assert (found["weather"].name, found["weather"].description) == ("Weather", "It's raining")


def test_every_source_of_the_list_has_its_words() -> None:
    assert [each for each in named_sources() if not (each.name and each.kind and each.description)] == []


def test_dbt_leaves_out_what_is_off_of_every_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_of(
        tmp_path,
        "models/marts/core/a.sql", "models/marts/plants/a.sql", "models/marts/skies/a.sql", "seeds/skies/a.csv",
        "macros/domains/plants.sql", "macros/domains/skies.sql", "macros/staging/nursery.sql", "tests/data/skies/a.sql",
        "tests/data/general.sql", "models/staging/runs/a.yml", "models/staging/nursery/a.yml",
        "snapshots/weather/a.sql",
        "models/exposures.yml", "models/intermediate/_columns.md",
    )  # fmt: skip
    monkeypatch.setenv("DOMAINS", "plants")
    assert ignored(project) == [
        "/macros/domains/skies.sql", "/models/marts/skies/", "/seeds/skies/", "/tests/data/skies/",
    ]  # fmt: skip
    monkeypatch.setenv("DOMAINS", "skies")
    assert ignored(project) == [
        "/macros/domains/plants.sql", "/macros/staging/nursery.sql", "/models/marts/plants/",
        "/models/staging/nursery/",
    ]  # fmt: skip


def test_two_commands_with_other_domains_dont_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants the same reads beside the first; whoever wants something else waits for it."""
    project = project_of(tmp_path, "seeds/plants/a.csv", "seeds/skies/a.csv")
    file = project / ".dbtignore"
    entered = threading.Event()

    def other() -> None:
        with what_is_off_ignored(project):
            entered.set()
            assert file.read_text(encoding="utf-8") == "/seeds/plants/"

    with what_is_off_ignored(project):
        assert file.read_text(encoding="utf-8") == "/seeds/skies/"
        with what_is_off_ignored(project):
            pass
        assert file.read_text(encoding="utf-8") == "/seeds/skies/", "somebody reads it still"
        monkeypatch.setenv("DOMAINS", "skies")
        waiting = threading.Thread(target=other)
        waiting.start()
        assert not entered.wait(0.3)
    waiting.join(5)
    assert entered.is_set() and file.read_text(encoding="utf-8") == ""


def test_the_list_of_domains_is_read_by_the_macros_that_fingerprints_know() -> None:
    reading = {
        re.findall(r"{% macro (\w+)", text[: found.start()])[-1]
        for path in [*(PROJECT_ROOT / "macros").rglob("*.sql"), *(PROJECT_ROOT / "models").rglob("*.sql")]
        for text in [path.read_text(encoding="utf-8")]
        for found in re.finditer(r"var\(\s*['\"]domains", text)
    }
    assert reading == {"source_ids", "named_sources"}


@pytest.mark.slow
def test_a_fingerprint_holds_only_the_variables_that_a_relation_reads(
    clone: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now() -> dict[str, str]:
        return fingerprints(dbt.parse(clone), clone.project)

    without_domains(clone.project)
    nursery = "models/staging/nursery/_nursery__sources.yml"
    (clone.project / nursery).parent.mkdir()
    club = "tests/tiny/project/models/staging/club/_club__sources.yml"
    text = (PROJECT_ROOT / club).read_text(encoding="utf-8")
    (clone.project / nursery).write_text(text.replace("club", "nursery"), encoding="utf-8")
    marts, listing = clone.project / "models/marts/plants", clone.project / "dbt_project.yml"
    plant(marts, "dim_plants", "select '{{ var(\"soil\") }}' as built_in", ["built_in"])
    plant(marts, "dim_pots", "select 'clay' as built_in", ["built_in"])
    plant(marts, "fct_sightings", "select cast('2025-01-01' as date) as seen_date", ["seen_date"])
    edit(marts / "fct_sightings.yml", "access: shared", "access: shared, calendar: [seen_date]")
    plants = {"label": "Plants", "sources": {"nursery": {"name": "Nursery"}}}
    edit_list(clone.project, {"plants": plants})
    edit(listing, "\nvars:\n", "\nvars:\n  soil: peat\n")
    before = now()

    edit_list(clone.project, {"plants": {**plants, "label": "Green"}, "skies": {"label": "Skies", "published": False}})
    assert now() == before, "neither another domain nor a label is anybody's code"

    edit(listing, "soil: peat", "soil: sand")
    edit(listing, "name: Nursery", "name: The nursery")
    changed = {name for name, fingerprint in now().items() if fingerprint != before[name]}
    assert changed == {"dim_plants", "dim_sources"}

    monkeypatch.setenv("DOMAINS", "")
    alone = now()
    assert set(alone) == set(before) - {"dim_plants", "dim_pots", "fct_sightings"}
    differ = {name for name, fingerprint in alone.items() if fingerprint != before[name]}
    assert {"ops_loads", "ops_rejects", "dim_sources", "dim_time_spine", "dim_dates"} <= differ
    assert differ.isdisjoint({"dim_countries", "dim_currencies", "ops_runs"})


@pytest.mark.slow
def test_what_is_off_is_no_part_of_the_project(clone: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAINS", "")
    manifest = dbt.parse(clone)
    parts = [
        *manifest.nodes.values(), *manifest.sources.values(), *manifest.exposures.values(), *manifest.metrics.values(),
        *manifest.saved_queries.values(), *manifest.unit_tests.values(), *manifest.semantic_models.values(),
        *(macro for macro in manifest.macros.values() if macro.package_name == "granary"),
    ]  # fmt: skip
    off = [name for domain in listed(clone.project) for name in (domain.name, *domain.sources)]
    assert [each.original_file_path for each in parts if set(Path(each.original_file_path).parts[:-1]) & set(off)] == []
    assert not manifest.metrics and not manifest.saved_queries
