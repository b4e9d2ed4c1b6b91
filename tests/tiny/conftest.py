"""Clubs: an empty one, and one whose warehouse was built twice, on each engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import on_server
from tests.tiny.club import Club
from tests.warehouses import as_environment

# Tests of other folders have these fixtures too, and clubs of their own: those of tests/infra take tokens elsewhere.
_NUMBERS = count()
ENGINES = ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)]
# What is proved on a lake too, by `make prove`.
EVERYWHERE = [*ENGINES, pytest.param("lake", marks=pytest.mark.battery)]
both_engines = pytest.mark.parametrize("grown", ENGINES, indirect=True)
everywhere = pytest.mark.parametrize("grown", EVERYWHERE, indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment that chooses the engine which the test is for: DuckDB unless it says `postgres`, or `lake`, whose
    catalogs lie in Postgres, or `lake_in_files`."""
    param = getattr(request, "param", "duckdb")
    if param == "duckdb":
        return {}
    if param == "lake_in_files":
        return {"TARGET": "lake"}
    return {**request.getfixturevalue("postgres_database"), "TARGET": "lake" if param == "lake" else "prod"}


@pytest.fixture
def club(engine: dict[str, str], tmp_path: Path) -> Club:
    """A club of which nothing is known yet."""
    return Club(tmp_path / "club", engine)


@pytest.fixture(scope="session")
def grown_on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Club:
    """The club of `grown`, to be copied."""
    return _grow(Club(tmp_path_factory.mktemp("grown") / "club"))


@pytest.fixture(scope="session")
def grown_on_postgres(postgres_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Club, str]:
    """The club of `grown`, and the database to be copied."""
    # dbt parses the project anew for each name of a database: it is built under the name of those that are copied.
    name, template = f"test_{os.getpid()}", f"grown_{os.getpid()}_{next(_NUMBERS)}"
    on_server(postgres_server, f"drop database if exists {name} with (force)", f"create database {name}")
    engine = {**as_environment(postgres_server | {"dbname": name}), "TARGET": "prod"}
    club = _grow(Club(tmp_path_factory.mktemp("grown") / "club", engine))
    on_server(postgres_server, f"alter database {name} rename to {template}")
    return club, template


@pytest.fixture
def grown(request: pytest.FixtureRequest, tmp_path: Path) -> Club:
    """A club with ten members and some visits, built and published twice, so that both generations are whole.

    A copy, for the test to do with as it likes; on Postgres where the test says so by `indirect`.
    """
    param = getattr(request, "param", "duckdb")
    if param == "duckdb":
        return request.getfixturevalue("grown_on_duckdb").copy(tmp_path / "club")
    if param == "lake":
        # Catalogs say where their files lie, so that a lake isn't copied.
        return _grow(Club(tmp_path / "club", {**request.getfixturevalue("postgres_database"), "TARGET": "lake"}))
    club, template = request.getfixturevalue("grown_on_postgres")
    server, name = request.getfixturevalue("postgres_server"), f"test_{os.getpid()}"
    on_server(server, f"drop database if exists {name} with (force)", f"create database {name} template {template}")
    return club.copy(tmp_path / "club")


def _grow(club: Club) -> Club:
    for number in range(1, 11):
        club.member(number, "01-01", tier="silver" if number % 3 else "gold")
        club.visit(number, f"01-{number + 1:02} 10:00", number, f"{number}.25")
    club.deliver()
    club.build(observed_at="01-20")
    club.member(1, "01-05", tier="gold")
    for number in range(11, 16):
        club.visit(number, f"01-{number + 7} 10:00", number - 10)
    club.deliver()
    club.build(observed_at="02-01")
    assert club.published() == club.expected()
    return club


@pytest.fixture
def project(tmp_path: Path) -> Callable[[Club], Path]:
    """Gives a club a copy of the project, for a test to change. Returns where it lies."""
    return lambda club: club.with_own_project(tmp_path / "project")
