"""A simulated company and the warehouse built from it, shared by the tests that only read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion.contracts import PROJECT_ROOT
from ingestion.demo import next_day, simulate
from tests.warehouse.warehouses import build_from_demo, copy_to_postgres

DAYS, SCALE = 100, 0.3

# What a build needs of the project, and the linter of its YAML.
PARTS = (
    "ingestion", "warehouse", "models", "snapshots", "macros", "seeds", "tests/data", "tests/generic",
    "dbt_project.yml", "profiles.yml", ".yamllint", ".gitignore",
)  # fmt: skip


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company over 100 days. Tests that let it go on work on a copy."""
    folder = tmp_path_factory.mktemp("company")
    simulate(folder, DAYS, scale=SCALE)
    return folder


@pytest.fixture(scope="session")
def built(company: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The company's warehouse on DuckDB, built in one go. For reading only."""
    folder = tmp_path_factory.mktemp("built")
    build_from_demo(folder, company)
    return folder


@pytest.fixture(scope="session")
def marts_on_postgres(built: Path, new_postgres_database: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str]]:
    """Copies the company's published marts into a new database. Returns the variables that name it as a warehouse."""

    def make() -> dict[str, str]:
        server = as_environment(new_postgres_database())
        copy_to_postgres(built, server)
        return {**server, "TARGET": "prod"}

    return make


@pytest.fixture
def running(company: Path, built: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A company one day further than its warehouse; copies, so that a test may break them."""
    copy, warehouse = tmp_path / "company", tmp_path / "warehouse"
    shutil.copytree(company, copy)
    shutil.copytree(built, warehouse)
    next_day(copy, 1)
    return copy, warehouse


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, for a test to change."""
    root = tmp_path / "project"
    for name in PARTS:
        part = PROJECT_ROOT / name
        if part.is_dir():
            shutil.copytree(part, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(part, root / name)
    return root


@pytest.fixture
def postgres_database(postgres: dict[str, str]) -> dict[str, str]:
    """A new Postgres database as the environment variables that name it."""
    return as_environment(postgres)


def as_environment(postgres: dict[str, str]) -> dict[str, str]:
    """libpq's settings as the environment variables of the same meaning."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    return {names[key]: value for key, value in postgres.items() if key in names}
