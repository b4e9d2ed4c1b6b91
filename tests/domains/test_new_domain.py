"""`make new-domain` lays out a domain that builds."""

from __future__ import annotations

import pytest

from ingestion.destination.target import Target, current_target
from ingestion.domains import domains, listed
from tests.domains.clones import without_domains
from tests.warehouses import settings
from warehouse.build.build import Request, build
from warehouse.errors import BuildError
from warehouse.project.new_domain import FILES, lay_out


def test_a_domain_is_laid_out_beside_the_others_and_not_published_yet(clone: Target) -> None:
    before = (clone.project / "dbt_project.yml").read_text(encoding="utf-8")
    on = [domain.name for domain in domains(clone.project)]
    lines: list[str] = []
    lay_out(clone.project, "plant_care", lines.append)
    [new] = [domain for domain in listed(clone.project) if domain.name == "plant_care"]
    assert (new.label, new.published, new.sources) == ("Plant care", False, ())
    assert all((clone.project / path.format(name="plant_care")).exists() for path in FILES)
    assert f"make build DOMAINS={','.join([*on, 'plant_care'])}" in lines[-1]
    after = (clone.project / "dbt_project.yml").read_text(encoding="utf-8")
    gone = [line for line in before.splitlines() if line not in after.splitlines()]
    assert gone in ([], ["  domains: {}"]), "comments stay, too"


@pytest.mark.parametrize("name", ["Plants", "core", "ops", "2plants", "plants__next", "", "../plants"])
def test_a_name_that_is_no_schema_of_ones_own_is_refused(clone: Target, name: str) -> None:
    with pytest.raises(BuildError, match="is no name for a domain"):
        lay_out(clone.project, name, lambda line: None)


def test_a_domain_that_is_there_is_left_alone(clone: Target) -> None:
    lay_out(clone.project, "plants", lambda line: None)
    with pytest.raises(BuildError, match="there is a domain plants already"):
        lay_out(clone.project, "plants", lambda line: None)


@pytest.mark.parametrize("empty", ["domains: {}", "domains:"])
def test_the_first_domain_of_an_empty_list(clone: Target, empty: str) -> None:
    """As the list is left where its last entry was taken out."""
    (clone.project / "dbt_project.yml").write_text(f"vars:\n  {empty}\n  business_timezone: UTC\n", encoding="utf-8")
    assert listed(clone.project) == domains(clone.project) == []
    lay_out(clone.project, "plants", lambda line: None)
    assert [domain.name for domain in listed(clone.project)] == ["plants"]


@pytest.mark.slow
def test_a_new_domain_builds(clone: Target) -> None:
    without_domains(clone.project, keep_list=True)
    lay_out(clone.project, "plants", lambda line: None)
    lines: list[str] = []
    places = {"GRANARY_PROJECT_DIR": str(clone.project), "WAREHOUSE_DIR": str(clone.folder), "DOMAINS": "plants"}
    with settings({"TARGET": "dev", **places}):
        build(current_target(), Request(), lines.append)
    assert any(line.startswith("generation 1 is published") for line in lines)
