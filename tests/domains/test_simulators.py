"""The simulated companies of all domains that have one, as a build without configured sources runs them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from ingestion.demo import simulated_domains
from ingestion.destination.target import Target
from warehouse.build import demo


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """An empty warehouse of a project whose list has every domain with a simulator, and no source."""
    for name in [name for name in os.environ if name.startswith("SOURCES__")] + ["DOMAINS", "DAYS", demo.OBSERVED_AT]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(demo, "DAYS", "3")
    monkeypatch.setattr(demo, "SCALE", "0.1")
    entries = {name: {"label": name, "owner": "tests", "sources": {}} for name in simulated_domains()}
    project = tmp_path / "project"
    project.mkdir()
    (project / "dbt_project.yml").write_text(yaml.safe_dump({"name": "listed", "vars": {"domains": entries}}))
    return Target("dev", "duckdb", tmp_path / "warehouse", project=project)


def settings(target: Target, extra_days: int = 0) -> dict[str, str]:
    """What a build's sources are told."""
    with demo.demo_if_unconfigured(target, print, extra_days) as is_demo:
        assert is_demo
        names = [name for name in os.environ if name.startswith("SOURCES__")]
        return {name: os.environ[name] for name in [*names, demo.OBSERVED_AT]}


@pytest.mark.parametrize("domain", simulated_domains())
def test_a_domain_that_is_on_has_its_company(domain: str, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAINS", domain)
    told = settings(target)
    assert told.pop(demo.OBSERVED_AT) == "2024-01-04T00:00:00Z"
    assert any(f"demo/{domain}/" in value for value in told.values())
    assert [path.name for path in (target.folder / "demo").iterdir()] == [domain]
    assert settings(target, extra_days=2)[demo.OBSERVED_AT] == "2024-01-06T00:00:00Z"


@pytest.mark.skipif(not simulated_domains(), reason="no domain of this project has a simulated company")
def test_all_companies_at_once(target: Target) -> None:
    """A company that is simulated later has fewer days: what is read of it was there when the others' days ended."""
    told = settings(target, extra_days=1)
    for domain in simulated_domains():
        assert any(f"demo/{domain}/" in value for value in told.values())
    for domain in simulated_domains()[1:]:
        shutil.rmtree(target.folder / "demo" / domain)
    assert settings(target)[demo.OBSERVED_AT] == "2024-01-05T00:00:00Z"
    shutil.rmtree(target.folder / "demo" / simulated_domains()[0])
    settings(target)
    assert settings(target)[demo.OBSERVED_AT] == "2024-01-04T00:00:00Z"
