"""A Postgres whose roles are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from infra.migrate import migrate
from tests.crosswalks import VARIABLE
from tests.warehouses import as_environment, settings


@pytest.fixture(scope="module", autouse=True)
def _crosswalk_in_postgres() -> Iterator[None]:
    """In production the crosswalk is the database's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE)
        yield


@pytest.fixture(scope="session")
def new_migrated_database(new_postgres_database: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str]]:
    """Makes a new database and its roles. Returns the variables by which a superuser finds it."""

    def make() -> dict[str, str]:
        server = {**as_environment(new_postgres_database()), "TARGET": "prod"}
        migrated(server, "head")
        return server

    return make


def migrated(server: Mapping[str, str], revision: str) -> list[str]:
    """Go to a migration. Returns what was said."""
    said: list[str] = []
    with settings(server):
        migrate(revision, said.append)
    return said
