"""The macro of persons, on each engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.healthcare.persons.records import Identities


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def identities(request: pytest.FixtureRequest, tmp_path: Path) -> Identities:
    """What finds persons, on each engine."""
    postgres = None if request.param == "duckdb" else request.getfixturevalue("new_postgres_database")()
    return Identities(tmp_path, postgres)


@pytest.fixture(scope="session", params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def identities_of_session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Identities:
    """The same, once for many tests."""
    postgres = None if request.param == "duckdb" else request.getfixturevalue("new_postgres_database")()
    return Identities(tmp_path_factory.mktemp("identities"), postgres)
