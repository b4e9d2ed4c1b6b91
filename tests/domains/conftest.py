"""A clone of the project, whose list of domains and whose folders a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ingestion.destination.target import Target
from ingestion.project import PROJECT_ROOT
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
    root = tmp_path / "project"
    for part in PARTS:
        if (PROJECT_ROOT / part).is_dir():
            shutil.copytree(PROJECT_ROOT / part, root / part)
        else:
            shutil.copyfile(PROJECT_ROOT / part, root / part)
    return Target("dev", "duckdb", tmp_path / "warehouse", project=root)


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def garden(request: pytest.FixtureRequest, clone: Target) -> Garden:
    """The small domains' warehouse, empty, on either engine."""
    engine = {} if request.param == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    return Garden(clone, engine)
