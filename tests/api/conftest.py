"""APIs over a small warehouse on each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import pytest

from infra.logins import make_login
from infra.migrate import migrate
from tests.api.served import Served, ask_keys_for_secrets, served
from tests.tiny.test_rights import another_day, ask
from tests.tiny.world import TinyWorld
from tests.warehouses import as_environment, connected, settings

# Login: whose rows it sees, all where there are none.
LOGINS: dict[str, list[str]] = {
    "api_reporter": [],
    "api_club": ["club"],
    "api_few": [f"member:{number}" for number in range(1, 8)],
    "api_none": ["member:4711"],
}
PASSWORD = "a password of this test"


@pytest.fixture(scope="session")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An API over DuckDB's files."""
    world = grown(TinyWorld(tmp_path_factory.mktemp("api")))
    with served(world, {}, LOGINS) as made:
        yield made


@pytest.fixture(scope="session")
def on_postgres(
    new_postgres_database: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """An API over a Postgres with roles, on which keys are asked for their secret."""
    admin = {**as_environment(new_postgres_database()), "TARGET": "prod"}
    with logins_of(admin, LOGINS, "api_builder"):
        world = grown(TinyWorld(tmp_path_factory.mktemp("api"), {**admin, "PGUSER": "api_builder"}))
        with served(world, admin, LOGINS) as made:
            yield made


@pytest.fixture(scope="session", params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def api(request: pytest.FixtureRequest) -> Served:
    """An API on each engine."""
    made: Served = request.getfixturevalue(f"on_{request.param}")
    return made


@contextmanager
def logins_of(admin: Mapping[str, str], readers: Mapping[str, list[str]], builder: str) -> Iterator[None]:
    """Logins of a new database: who reads which tenants' rows, and who builds. They are the server's, and dropped."""
    with settings(admin):
        migrate("head", lambda line: None)
        for login, tenants in {**readers, builder: []}.items():
            role = "builder" if login == builder else "tenant" if tenants else "reporter"
            make_login(login, role, tenants, PASSWORD, lambda line: None)
    ask_keys_for_secrets(admin)
    yield
    with closing(connected(admin)) as connection:
        logins = ", ".join([*readers, builder])
        keys = [str(key) for (key,) in ask(connection, "select key_name from access.api_keys")]
        ask(connection, f"drop owned by {logins}; drop role {', '.join([logins, *keys])}")


def grown(world: TinyWorld) -> TinyWorld:
    """Built twice, so that both generations are there."""
    world.deliver(world.withheld())
    world.build()
    another_day(world)
    return world
