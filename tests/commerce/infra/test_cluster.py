"""Primary, replica, pooler and backups, for real: up, a warehouse built on it, and the drills."""

from __future__ import annotations

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pyarrow as pa
import pytest

from infra.cluster import bring_down, bring_up, primary_of, run_sql, start_node
from infra.drills import backup, failover_drill, restore_drill
from infra.erasure import erasure_drill
from infra.following import following_drill
from infra.logins import make_login
from infra.machine import as_server, binary, wait_for
from infra.migrate import migrate
from infra.monitoring.panels import DATABASE
from infra.rotation import rotate
from ingestion.destination.target import current_target
from orchestration.alerts.conditions import Alert, what_is_wrong
from tests.absent import package
from tests.api.served import served
from tests.commerce.infra.production import PASSWORD, Production, production
from tests.infra.monitoring.systems import POSTGRES_EXPORTER, PROMETHEUS, postgres_exporter, prometheus, until
from tests.tiny.test_rights import another_day, ask
from tests.warehouses import settings
from warehouse.errors import BuildError

__all__ = ["production"]
pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.systems]

API_LOGINS = {"api_all": [], "api_shop": ["shop"]}
ASKING = 20  # clients of the API at once


def test_up_again_changes_nothing(production: Production) -> None:
    said: list[str] = []
    bring_up(production.cluster, said.append)
    assert not [line for line in said if "making" in line or "copying" in line]
    assert run_sql(production.cluster, "one", "select sync_state from pg_stat_replication") == "sync"


def test_down_and_up(production: Production) -> None:
    cluster, said = production.cluster, []
    bring_down(cluster, said.append)
    with pytest.raises(psycopg2.OperationalError):
        production.reader()
    # As after a restore into the primary's place: nobody is there whom it could wait for.
    shutil.rmtree(cluster.data(cluster.other(primary_of(cluster))))
    bring_up(cluster, said.append)
    assert run_sql(cluster, primary_of(cluster), "select sync_state from pg_stat_replication") == "sync"
    with closing(production.reader()) as reader:
        assert ask(reader, "select count(*) > 0 from commerce.fct_sales") == [(True,)]


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


def test_readers_have_the_replica(production: Production) -> None:
    """What is published on the primary is read on the replica, by the same rights, and nothing can be written there."""
    number = "select generation_number from ops.generation"
    with closing(production.reader(dbname="granary_readers")) as reader, closing(production.reader()) as primary:
        assert (ask(reader, "select pg_is_in_recovery()"), ask(primary, "select pg_is_in_recovery()")) == (
            [(True,)], [(False,)],
        )  # fmt: skip
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(reader, "select * from raw_shop.users")
        another_day(production.world)
        published = ask(primary, number)
        wait_for(lambda: ask(reader, number) == published, "the replica doesn't show what is published")
        sums = "select count(*), sum(net_amount) from commerce.fct_sales"
        assert ask(reader, sums) == ask(primary, sums)


@pytest.mark.parametrize("database", ["granary_api", "granary_api_readers"])
def test_the_api_by_the_pooler(production: Production, tmp_path: Path, database: str) -> None:
    """Each key's rows are those of its login's session, also when many ask at once; on the replica, too."""
    cluster, world = production.cluster, production.world
    admin = cluster.environment("one") | {"TARGET": "prod"}
    with settings(admin):
        for login, tenants in API_LOGINS.items():
            make_login(login, "tenant" if tenants else "reporter", tenants, PASSWORD, lambda line: None)
    by_pooler = {"PGPORT": str(cluster.pooler_port), "PGDATABASE": database}
    place = SimpleNamespace(folder=tmp_path, place={}, warehouse=world.warehouse)
    with served(place, admin, API_LOGINS, by_pooler) as api:
        sales = "/marts/commerce/fct_sales?select=sales_line_key,quantity&format=arrow"
        keys = "select sales_line_key::text, quantity from commerce.fct_sales"
        wanted = {}
        for login in API_LOGINS:
            with closing(production.reader(dbname=database, user=login)) as reader:
                wanted[login] = Counter(ask(reader, keys))
        assert 0 < wanted["api_shop"].total() < wanted["api_all"].total()

        def rows_of(number: int) -> tuple[str, Counter[tuple[object, ...]]]:
            login = list(API_LOGINS)[number % 2]
            answer = api.get(f"{sales}&limit={1_000_000 - number}", login)
            assert answer.status_code == 200, answer.text
            rows = pa.ipc.open_stream(answer.content).read_all().to_pylist()
            return login, Counter(tuple(row.values()) for row in rows)

        with ThreadPoolExecutor(ASKING) as clients:
            for login, found in clients.map(rows_of, range(8 * ASKING)):
                assert found == wanted[login]
        [row] = api.get("/metrics-query", "api_all", params={"metrics": "units_sold"}).json()["rows"]
        with closing(production.reader(dbname=database)) as reader:
            ((units,),) = ask(reader, "select sum(quantity) from commerce.fct_sales where line_type = 'sale'")
        assert int(Decimal(str(row["units_sold"]))) == units
        paged = api.rows("/marts/commerce/fct_sales", "api_shop", select="sales_line_key", page_size=7)
        assert len(paged) == wanted["api_shop"].total()
        generation = api.get("/catalog", "api_all").json()["generation"]
        if database == "granary_api":
            another_day(world)
            until(lambda: api.get("/catalog", "api_all").json()["generation"] > generation, lambda: "not published")


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
    with closing(production.reader(dbname="granary_readers")) as reader:
        assert ask(reader, "select pg_is_in_recovery()") == [(True,)], "readers have the replica again"
    with closing(production.reader()) as reader:
        before = ask(reader, "select max(generation_number) from ops.generation")[0][0]
    world.engine |= {"PGPORT": str(cluster.node_port("two"))}
    another_day(world)
    with closing(production.reader()) as reader:
        assert ask(reader, "select max(generation_number) from ops.generation") == [(before + 1,)]
    backup(cluster, "incr", said.append)
    assert restore_drill(cluster, "", said.append).tables == restored.tables
    drills = "select command_name, step_name from runs.ops_runs join runs.ops_run_steps using (run_id) " \
             "where outcome = 'measured' and duration_seconds > 0 order by 1"  # fmt: skip
    assert run_sql(cluster, "two", drills, "granary").splitlines() == [
        "failover drill|without writes", "restore drill|restoring", "restore drill|restoring",
    ]  # fmt: skip
    events = run_sql(cluster, "two", "select distinct event_name from audit.events", "granary").splitlines()
    assert {"restore drill", "failover drill", "publish"} <= set(events)


def test_a_log_is_followed_through_kills(production: Production) -> None:
    said: list[str] = []
    outcome = following_drill(production.cluster, said.append, kills=3, batches=0)
    assert outcome.kills == 3 and outcome.versions > 100
    assert said[-1].endswith("versions: 0 lost, 0 doubled")


def test_a_person_is_forgotten_again_after_a_restore(production: Production) -> None:
    said: list[str] = []
    backup(production.cluster, "incr", said.append)
    assert erasure_drill(production.cluster, said.append) > 0
    assert said[-1].startswith("forgotten again on the restored server")


def test_extensions_are_the_monitors(production: Production) -> None:
    """The migration that has them goes down and up again here, where there are any; the rest is test_migrations'."""
    cluster, said = production.cluster, []
    primary = primary_of(cluster)
    extensions = "select extname, extnamespace::regnamespace from pg_extension where extname ~ '^pg' order by 1"
    with settings(cluster.environment(primary)):
        make_login("mona", "monitor", [], PASSWORD, said.append)
        there = run_sql(cluster, primary, extensions, "granary")
        assert there == "pg_stat_statements|extensions\npgaudit|extensions"
        migrate("0004", said.append)
        assert run_sql(cluster, primary, extensions, "granary") == ""
        migrate("head", said.append)
        assert run_sql(cluster, primary, extensions, "granary") == there
    slowest = "select query from extensions.pg_stat_statements where dbid is not null"
    with closing(production.reader()) as reader:
        assert ask(reader, "select count(*) from commerce.fct_orders where order_key is not null") != [(0,)]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(reader, slowest)
    with closing(production.reader(user="mona")) as monitor:
        statements = " ".join(row[0] for row in ask(monitor, slowest))
    assert "count(*) from commerce.fct_orders" in statements
    assert "SCRAM-SHA-256$" not in statements and PASSWORD not in statements


def test_the_dashboards_of_the_database_are_answered(
    production: Production, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """By a monitor of the primary, which has a replica and an archive, over TLS."""
    for path in (PROMETHEUS, POSTGRES_EXPORTER):
        package(request, path, Path(path).name, "MONITORING")
    cluster, said = production.cluster, []
    primary = primary_of(cluster)
    with settings(cluster.environment(primary)):
        make_login("mona", "monitor", [], PASSWORD, said.append)
    run_sql(cluster, primary, "vacuum commerce.dim_channels; select pg_switch_wal()", "granary")
    login = cluster.environment(primary, "mona") | {"PGPASSWORD": PASSWORD}
    with (
        postgres_exporter(login, tmp_path / "postgres.log") as address,
        prometheus(tmp_path / "prometheus", {"postgres": address}) as seen,
    ):
        until(lambda: len(seen.empty(DATABASE)) <= 1, lambda: str(seen.empty(DATABASE)))
        assert seen.empty(DATABASE) == ["Who waits for whom: pg_lock_waits_seconds"]
        (lag,) = seen.ask("pg_replica_lag_seconds")
        assert (lag["metric"]["replica"], lag["metric"]["sync_state"]) == (cluster.other(primary), "sync")
        assert float(lag["value"][1]) < 60
        (slot,) = seen.ask("pg_replication_slots_pg_wal_lsn_diff")
        assert slot["metric"]["slot_name"] == cluster.other(primary)
        until(lambda: seen.ask("pg_stat_archiver_archived_count > 0"), lambda: "nothing was archived")
        assert seen.ask("pg_wal_files_waiting_for_archive")
        assert seen.firing("PostgresReplicaFallsBehind") == []


def test_the_log_says_who_looked_at_identifiers_and_not_at_whose(production: Production) -> None:
    cluster, said = production.cluster, []
    primary = primary_of(cluster)
    with settings(cluster.environment(primary)):
        make_login("olga", "privacy", [], PASSWORD, said.append)
    log = cluster.root / "log" / f"{primary}.log"
    before = len(log.read_text(encoding="utf-8"))
    with closing(production.reader(user="olga")) as officer:
        rows = ask(officer, "select token, value from privacy.identifiers where kind = 'email' order by value limit 1")
        [(token, address)] = rows
        found = f"select count(*) from privacy.identifiers where value = '{address}'"
        assert ask(officer, found) == [(1,)]
        ask(officer, f"select pg_sleep(0.1), '{address}'")
    with closing(production.reader()) as reader, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(reader, found)
    wait_for(lambda: log.read_text(encoding="utf-8")[before:].count("privacy.identifiers") >= 2, "nobody wrote it down")
    written = log.read_text(encoding="utf-8")[before:]
    assert "olga@granary LOG:  AUDIT: OBJECT" in written and "READ,SELECT,TABLE,privacy.identifiers" in written
    # All that was ever written, loads among it.
    everything = "".join(file.read_text(encoding="utf-8") for file in (cluster.root / "log").glob("*.log"))
    assert address not in everything and token not in everything
    assert "WRITE,INSERT,TABLE,privacy.identifiers" in everything


def test_new_secrets_while_everything_runs(production: Production) -> None:
    cluster, said = production.cluster, []
    primary = primary_of(cluster)
    before = {name: cluster.secret(name) for name in ("superuser", "replicator", "pooler", "repository")}
    certificate = (cluster.root / "tls" / "server.crt").read_bytes()
    with closing(production.reader()) as reader:
        for what in ("passwords", "certificates", "repository"):
            rotate(cluster, what, said.append)
        assert ask(reader, "select 1") == [(1,)], "who is connected stays so"
    assert all(cluster.secret(name) != value for name, value in before.items())
    assert (cluster.root / "tls" / "server.crt").read_bytes() != certificate
    with closing(production.reader()) as reader:
        assert ask(reader, "select count(*) > 0 from commerce.fct_sales") == [(True,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        production.reader(port=cluster.node_port(primary), user="postgres", password=before["superuser"])
    assert run_sql(cluster, primary, "select sync_state from pg_stat_replication") == "sync"
    # The log of changes goes into the new repository, and can be restored from it.
    assert restore_drill(cluster, "", said.append).tables > 20
    rotated = run_sql(cluster, primary, "select count(*) from audit.events where event_name = 'rotation'", "granary")
    assert rotated == "3"
    with pytest.raises(BuildError, match="there is no key door: say KEY=passwords, KEY=certificates, KEY=repository"):
        rotate(cluster, "door", said.append)


def test_a_replica_that_is_gone_and_an_archive_that_is_closed_are_told(production: Production) -> None:
    cluster, world = production.cluster, production.world
    primary = primary_of(cluster)
    replica, repository = cluster.other(primary), cluster.root / "repository"

    def wrong() -> dict[str, Alert]:
        with world.entered():
            found = what_is_wrong(current_target(), datetime.now(UTC).replace(tzinfo=None))
        return {alert.key: alert for alert in found}

    def among_them(key: str) -> bool:
        return key in wrong()

    assert not {"archive", f"replica {replica}"} & set(wrong())
    as_server([binary("pg_ctl"), "-D", str(cluster.data(replica)), "-m", "fast", "-w", "stop"])
    wait_for(lambda: among_them(f"replica {replica}"), "the replica is gone, and nobody says so")
    start_node(cluster, replica)
    wait_for(lambda: not among_them(f"replica {replica}"), "the replica is there again, and nobody says so")
    repository.chmod(0)
    try:
        run_sql(cluster, primary, "select pg_switch_wal()")
        wait_for(lambda: among_them("archive"), "the archive is closed, and nobody says so")
        assert "a restore would end at" in wrong()["archive"].what
    finally:
        repository.chmod(0o700)
    run_sql(cluster, primary, "select pg_switch_wal()")
    wait_for(lambda: not among_them("archive"), "the archive is open again, and nobody says so", 120)


def test_a_restore_that_can_not_be(production: Production) -> None:
    with pytest.raises(BuildError, match="pgbackrest failed"):
        restore_drill(production.cluster, "2001-01-01 00:00:00+00", lambda line: None)
    assert not (production.cluster.root / "restored").exists()
