"""A Postgres that keeps statistics of statements, as production's does, with a club's warehouse on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.logins import make_login
from infra.machine import as_server, binary, own
from tests.absent import package
from tests.infra.conftest import migrated
from tests.infra.monitoring.systems import NODE_EXPORTER, POSTGRES_EXPORTER, PROMETHEUS
from tests.ports import free_port
from tests.tiny.club import Club
from tests.tiny.conftest import grown, grown_on_duckdb, grown_on_postgres
from tests.tiny.test_rights import ask
from tests.warehouses import connected, settings

__all__ = ["grown", "grown_on_duckdb", "grown_on_postgres"]

PASSWORD = "a password of this test"


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> None:
    """Prometheus and the exporters."""
    for path in (PROMETHEUS, POSTGRES_EXPORTER, NODE_EXPORTER):
        package(request, path, Path(path).name, "MONITORING")


@dataclass
class Watched:
    """A club's warehouse on a Postgres, and who watches it.

    admin: the variables of a superuser.
    """

    club: Club
    admin: dict[str, str]

    def login(self, role: str) -> dict[str, str]:
        """The variables of the login with such a role."""
        variables = {**self.club.environment, **self.admin, "WAREHOUSE_DIR": str(self.club.warehouse)}
        return variables | {"PGUSER": f"m_{role}", "PGPASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A club whose records are late and partly rejected, on a server of Debian's that has a replication slot."""
    package(request, binary("initdb"), "postgresql", "MONITORING OF POSTGRES")
    # The server's user has to come in, and a socket's name may not be long.
    folder = Path(tempfile.mkdtemp(prefix="granary_watched_"))
    folder.chmod(0o755)
    own(folder)
    port = free_port()
    control = [binary("pg_ctl"), "-D", str(folder / "data"), "-w", "-l", str(folder / "log")]
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off "
        "-c shared_preload_libraries=pg_stat_statements -c pg_stat_statements.track_utility=off"
    )
    as_server([binary("initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8"])
    as_server([*control, "-o", options, "start"])
    try:
        admin = {
            "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": "postgres",
            "PGSSLMODE": "disable", "TARGET": "prod",
        }  # fmt: skip
        with closing(connected(admin)) as connection:
            ask(connection, "create database granary_watched")
        admin["PGDATABASE"] = "granary_watched"
        migrated(admin, "head")
        with settings(admin):
            for role in ("builder", "operator", "monitor", "reporter"):
                make_login(f"m_{role}", role, [], PASSWORD, lambda line: None)
        club = Club(tmp_path_factory.mktemp("watched") / "club", {**admin, "PGUSER": "m_builder"})
        rejected_and_late(club)
        with closing(connected(admin)) as connection:
            ask(connection, "select pg_create_physical_replication_slot('m_slot', true)")
            ask(connection, "vacuum analyze tiny.dim_members")
        yield Watched(club, admin)
    finally:
        as_server([*control, "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


def rejected_and_late(club: Club) -> None:
    """Build a club of which much was rejected, and nothing was heard of for long."""
    for number in range(1, 31):
        club.member(number, "01-01")
        club.visit(number, "01-02 10:00", number, "many" if number > 5 else "1.50")
    club.deliver()
    club.build(observed_at="01-20", tested=True)
