"""A clone of the project, whose list of domains and whose folders a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ingestion.destination.target import Target
from tests.domains.clones import copied
from tests.domains.garden import Garden

# What dbt and ingestion read of a project.
PARTS = ("models", "snapshots", "macros", "seeds", "tests/data", "tests/generic", "dbt_project.yml", "profiles.yml")


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which domains are on is for each test to say, and so is where dbt writes."""
    for name in ("DOMAINS", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clone(tmp_path: Path) -> Target:
    """An empty DuckDB warehouse of a copy of the project."""
    return Target("dev", "duckdb", tmp_path / "warehouse", project=copied(tmp_path / "project", PARTS))


@pytest.fixture(scope="session")
def _ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("garden")


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def garden(request: pytest.FixtureRequest, _ground: Path, tmp_path: Path) -> Garden:
    """The small domains' warehouse, empty, on either engine.

    The project is a new copy each time, but lies where the one before lay: dbt reads again what is another.
    """
    for part in (each for each in _ground.iterdir() if each.name != "target"):
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    engine = {} if request.param == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    return Garden(Target("dev", "duckdb", tmp_path / "warehouse", project=copied(_ground, PARTS)), engine)


on_postgres = pytest.mark.parametrize("garden", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
