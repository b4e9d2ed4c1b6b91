"""Primary, replica, pooler and backups, for real: up, a warehouse built on it, and the drills."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from infra.cluster import Cluster, bring_down, bring_up, primary_of, run_sql
from infra.drills import backup, failover_drill, restore_drill
from infra.logins import make_login
from infra.machine import require_tools
from infra.migrate import migrate
from tests.absent import absent
from tests.ports import free_port
from tests.prove.world import World
from tests.warehouse.test_rights import another_day, ask
from tests.warehouse.warehouses import settings
from warehouse.errors import BuildError

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

PASSWORD = "a password of this test"


@dataclass
class Production:
    cluster: Cluster
    world: World
    said: list[str]

    def reader(self, **other: object) -> psycopg2.extensions.connection:
        """A reporter's connection through the pooler."""
        settings: dict[str, object] = {
            "host": "localhost", "port": self.cluster.pooler_port, "user": "anna", "password": PASSWORD,
            "dbname": "granary", "sslmode": "verify-full", "sslrootcert": f"{self.cluster.root}/tls/ca.crt", **other,
        }  # fmt: skip
        connection = psycopg2.connect(**settings)  # type: ignore[call-overload]
        connection.autocommit = True
        return connection


@pytest.fixture(scope="module")
def production(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """A cluster with a small company's warehouse on it."""
    try:
        require_tools()
    except BuildError as error:
        absent(request, f"POSTGRES WITH ITS TOOLS IS NOT HERE: BACKUP, RESTORE AND FAILOVER NOT TESTED ({error})")
    # The server's user has to come in, and a socket's name may not be long.
    folder = Path(tempfile.mkdtemp(prefix="granary_infra_"))
    folder.chmod(0o755)
    cluster, said = Cluster(folder / "c", free_port()), []
    try:
        bring_up(cluster, said.append)
        with settings(cluster.environment("one")):
            migrate("head", said.append)
            for login, role in (("build", "builder"), ("anna", "reporter")):
                make_login(login, role, [], PASSWORD, said.append)
        engine = {**cluster.environment("one", "build"), "PGPASSWORD": PASSWORD, "TARGET": "prod"}
        world = World(tmp_path_factory.mktemp("production"), engine, days=6)
        world.deliver(world.withheld())
        world.build()
        another_day(world)
        yield Production(cluster, world, said)
    finally:
        bring_down(cluster, said.append)
        shutil.rmtree(folder)


def test_up_again_changes_nothing(production: Production) -> None:
    said: list[str] = []
    bring_up(production.cluster, said.append)
    assert not [line for line in said if "making" in line or "copying" in line]
    assert run_sql(production.cluster, "one", "select sync_state from pg_stat_replication") == "sync"


def test_readers_come_by_the_pooler_encrypted(production: Production) -> None:
    with closing(production.reader()) as reader:
        assert ask(reader, "select count(*) > 0 from commerce.fct_sales") == [(True,)]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(reader, "select * from raw_shop.users")
    for other in ({"sslmode": "disable"}, {"password": "another"}, {"user": "postgres"}):
        with pytest.raises(psycopg2.OperationalError):
            production.reader(**other)
    # The server itself takes nobody without encryption either.
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        production.reader(port=production.cluster.node_port("one"), sslmode="disable")
    verifiers = run_sql(
        production.cluster, "one", "select count(*) from pg_authid where rolcanlogin and rolpassword !~ '^SCRAM'"
    )
    assert verifiers == "0"


def test_settings_of_one_session_are_not_the_next_ones(production: Production) -> None:
    with closing(production.reader()) as one:
        ask(one, "set application_name = 'left behind'; set search_path = core")
    for _ in range(5):
        with closing(production.reader()) as other:
            assert ask(other, "show search_path") == [('"$user", public',)]


def test_the_log_names_changes_of_rights_and_no_secret(production: Production) -> None:
    log = (production.cluster.root / "log" / "one.log").read_text(encoding="utf-8")
    assert "AUDIT: SESSION" in log and "GRANT ROLE" in log
    for secret in (PASSWORD, *(production.cluster.secret(name) for name in ("superuser", "replicator", "pooler"))):
        assert secret not in log


def test_backup_restore_and_failover(production: Production) -> None:
    cluster, world, said = production.cluster, production.world, []
    backup(cluster, "full", said.append)
    another_day(world)
    backup(cluster, "incr", said.append)
    repository = [file for file in (cluster.root / "repository").rglob("*") if file.is_file()]
    assert repository and not [file for file in repository if b"fct_sales" in file.read_bytes()], "not encrypted"
    restored = restore_drill(cluster, "", said.append)
    assert restored.tables > 20 and not (cluster.root / "restored").exists()

    outcome = failover_drill(cluster, said.append)
    assert outcome.lost == 0 and outcome.acknowledged > 100
    assert primary_of(cluster) == "two"
    with closing(production.reader()) as reader:
        before = ask(reader, "select max(generation_number) from ops.generation")[0][0]
    world.engine |= {"PGPORT": str(cluster.node_port("two"))}
    another_day(world)
    with closing(production.reader()) as reader:
        assert ask(reader, "select max(generation_number) from ops.generation") == [(before + 1,)]
    backup(cluster, "incr", said.append)
    assert restore_drill(cluster, "", said.append).tables == restored.tables
    events = run_sql(cluster, "two", "select distinct event_name from audit.events", "granary").splitlines()
    assert {"restore drill", "failover drill", "publish"} <= set(events)


def test_a_restore_that_can_not_be(production: Production) -> None:
    with pytest.raises(BuildError, match="pgbackrest failed"):
        restore_drill(production.cluster, "2001-01-01 00:00:00+00", lambda line: None)
    assert not (production.cluster.root / "restored").exists()
