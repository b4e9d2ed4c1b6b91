"""The simulated company, and its warehouse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion.demo.commerce import next_day, simulate
from tests.commerce.companies import build_from_demo, copy_to_postgres
from tests.crosswalks import VARIABLE
from tests.warehouses import as_environment

_crosswalk = os.environ[VARIABLE]  # which every process of the tests has one of, whatever a test sets
DAYS, SCALE = 100, 0.3  # of the company that most tests read


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company over 100 days. Tests that let it go on work on a copy."""
    folder = tmp_path_factory.mktemp("company")
    simulate(folder, DAYS, scale=SCALE)
    return folder


@pytest.fixture(scope="session")
def built(company: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The company's warehouse on DuckDB, built in one go and tested by dbt. For reading only."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, _crosswalk)
        build_from_demo(folder, company, tested=True)
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
