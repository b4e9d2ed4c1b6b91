"""A production cluster at size: dashboards by its pooler on its replica, and what its drills take.

The cluster is made as `make infra-up` makes one, of Debian's packages: primary, synchronous replica, pooler, TLS,
audit, encrypted backups. Its warehouse holds a whole company.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from bench import builds, queries
from bench.company import Company
from bench.measuring import Measurement, Settings, percentile, say, timed
from bench.server import PASSWORD, Server
from infra.cluster import NODES, Cluster, bring_down, bring_up, run_sql
from infra.drills import backup, failover_drill, restore_drill
from infra.following import following_drill
from infra.machine import LIMIT, wait_for
from infra.records import DATABASE
from ingestion.environment import variables
from warehouse.errors import BuildError

PORT = 54320  # and three above
BATCHES = 10
KILLS = 20
FAILOVERS = 3


class Primary(Server):
    """The cluster's primary, as the environment names it; its database was made with it."""

    def __init__(self, cluster: Cluster):
        self.login = cluster.environment(NODES[0])
        super().__init__(self.login["PGHOST"])

    def settings(self, database: str) -> dict[str, str]:
        """What libpq reads from the environment."""
        return {**self.login, "PGDATABASE": database}

    def connect(self, database: str) -> Any:
        """A connection that commits each statement."""
        with variables(self.settings(database)):
            connection = psycopg2.connect("")
        connection.autocommit = True
        return connection

    def fresh(self, database: str) -> None:
        """It is fresh; made anew it would be without what the pooler asks of it."""


def measure(settings: Settings, plans: dict[str, list[str]]) -> tuple[list[Measurement], str]:
    """Build a company's warehouse on a cluster of its own, ask as dashboards do, and go through the drills.

    Args:
        settings: how large, and where it all lies; the cluster is gone afterwards.
        plans: gets the plans of the slowest queries.

    Returns:
        The measurements, and the version of the server.
    """
    company = Company(settings, 0)
    say("making the company")
    company.make()
    with _cluster(settings) as cluster, variables(_own(cluster, settings)):
        primary = Primary(cluster)
        warehouse = builds.Warehouse("postgres", settings, primary, company, DATABASE)
        for _ in builds.measure(warehouse, settings.runs, {"queries"}):
            pass
        replayed = "select replay_lsn >= pg_current_wal_lsn() from pg_stat_replication"
        wait_for(lambda: run_sql(cluster, NODES[0], replayed) == "t", "the replica is far behind", LIMIT)
        by_pooler = {
            "PGPORT": str(cluster.pooler_port), "PGDATABASE": f"{DATABASE}_readers", "PGPASSWORD": PASSWORD
        }  # fmt: skip
        with variables(by_pooler):
            found = queries.measure(warehouse.target, plans)
        version = f"{primary.version}, primary and replica"
        try:
            for each in _drills(cluster):
                found.append(each)
        except BuildError as error:
            # What was measured before stays.
            say(f"  {error}")
            found.append(Measurement("drills", "postgres", "a drill", None, note=f"failed: {str(error)[:200]}"))
        return found, version


def _own(cluster: Cluster, settings: Settings) -> dict[str, str]:
    folder = str(settings.folder / "warehouse_postgres")
    return {**cluster.environment(NODES[0]), "TARGET": "prod", "WAREHOUSE_DIR": folder}


def _drills(cluster: Cluster) -> Iterator[Measurement]:
    megabytes = float(run_sql(cluster, NODES[0], "select sum(pg_database_size(oid)) / 1e6 from pg_database"))
    whole = timed(lambda: backup(cluster, "full", say)).seconds
    yield _drill(
        "a full backup, encrypted and verified", whole, f"{megabytes:,.0f} MB, {whole / megabytes * 1000:.0f} s a GB"
    )
    changed = timed(lambda: backup(cluster, "incr", say)).seconds
    yield _drill("a backup of what changed, verified", changed)
    restored = restore_drill(cluster, "", say)
    rate = restored.seconds / restored.megabytes * 1000
    note = (
        f"{restored.megabytes:,.0f} MB, {rate:.0f} s a GB; {restored.tables} published tables as on the running server"
    )
    yield _drill("a restore to a time, until it takes writes", restored.seconds, note)
    outcomes = [failover_drill(cluster, say) for _ in range(FAILOVERS)]
    gaps = [each.gap_seconds for each in outcomes]
    acknowledged, lost = (sum(getattr(each, what) for each in outcomes) for what in ("acknowledged", "lost"))
    note = f"{acknowledged:,} writes acknowledged, {lost} lost"
    yield _drill(f"the longest time without writes in {FAILOVERS} failovers", max(gaps), note)
    followed = following_drill(cluster, say, KILLS, BATCHES)
    note = f"{followed.kills} loads killed; {followed.versions:,} versions: 0 lost, 0 doubled"
    longest = [last for _, last in followed.ways]
    yield _drill(f"a log followed: the longest way of a change to the mart, the median of {BATCHES} batches",
                 percentile(longest, 0.5), note)  # fmt: skip
    yield _drill("the same, the slowest batch", max(longest))


def _drill(what: str, seconds: float, note: str = "") -> Measurement:
    return Measurement("drills", "postgres", what, seconds, note=note)


@contextmanager
def _cluster(settings: Settings) -> Iterator[Cluster]:
    cluster = Cluster(settings.folder / "cluster", PORT)
    shutil.rmtree(cluster.root, ignore_errors=True)
    try:
        bring_up(cluster, say)
        yield cluster
    finally:
        bring_down(cluster, say)
        shutil.rmtree(cluster.root, ignore_errors=True)
