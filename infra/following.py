"""A drill: somebody works with a shop whose log is followed, and the load is killed again and again meanwhile.

The oracle is the shop's own change table, which triggers fill at the source: raw has to have every version that is in
it, once, in the order of the commits. Then micro-batches are built and published, and say how long a change took.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg2

from infra.cluster import Cluster, primary_of
from infra.records import Say, noted
from infra.scratch import DATABASE, SHOP, Scratch, last_line, scratch
from ingestion.contract.contracts import read_contract
from warehouse.errors import BuildError
from warehouse.runs.runs import Run

PEOPLE = 30
STATES = ("active", "inactive", "suspended")

# Each person's versions in the order in which they were made: at the source, and in raw.
MADE = """
    select
        id::text,
        array_agg(case operation when 'D' then 'D' else 'U' end || ' ' || status || ' ' || version order by position)
    from users_changes group by id"""
LOADED = """
    select id::text, array_agg(_operation || ' ' || status || ' ' || version order by _revision, _effective_at)
    from raw_shop.users
    where _load_id in (select load_id from raw_shop._dlt_loads where status = 0)
    group by id"""


@dataclass
class Followed:
    """What a drill of following measured.

    kills, ends: loads that were killed, and that came to their end.
    commits, versions: what was written at the source meanwhile.
    ways: seconds from a change to the published mart, for each batch those of its last and of its first change.
    """

    kills: int
    ends: int
    commits: int
    versions: int
    ways: list[tuple[float, float]] = field(default_factory=list)


class Worker(threading.Thread):
    """Somebody who works with the shop all the while: transactions of several kinds, some undone, two at a time."""

    def __init__(self, connect: Callable[[], Any], seed: int):
        super().__init__(daemon=True)
        self.connect, self.random, self.done = connect, random.Random(seed), threading.Event()
        self.commits = 0

    def run(self) -> None:
        """Change users until `done` is set."""
        with closing(self.connect()) as one, closing(self.connect()) as other:
            while not self.done.is_set():
                connection = self.random.choice((one, other))
                with connection.cursor() as cursor:
                    for _ in range(self.random.randint(1, 4)):
                        self._change(cursor)
                if self.random.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    self.commits += 1
                time.sleep(0.002)

    def _change(self, cursor: Any) -> None:
        person, what = f"00000000-0000-4000-8000-{self.random.randint(1, PEOPLE):012}", self.random.random()
        if what < 0.7:
            state = self.random.choice(STATES)
            cursor.execute(
                "update users set version = version + 1, status = %s, updated_at = now() at time zone 'utc' "
                "where id = %s", [state, person]
            )  # fmt: skip
        elif what < 0.85:
            cursor.execute(
                "insert into users (id, email, status, created_at, updated_at, version) values (%s, %s, 'active', "
                "now() at time zone 'utc', now() at time zone 'utc', 1) on conflict do nothing",
                [person, f"{person}@example.com"],
            )
        else:
            cursor.execute("delete from users where id = %s", [person])


def following_drill(cluster: Cluster, say: Say, kills: int = 10, batches: int = 5, seed: int = 11) -> Followed:
    """Follow a shop's log while somebody works with it, kill loads, and compare raw with what was done.

    Args:
        cluster: which one; the shop is a database beside the warehouse's.
        say: takes lines of progress.
        kills: how many loads are killed.
        batches: how many micro-batches are published afterwards, to see how long a change takes; none for 0.
        seed: of the work and of the moments.

    Raises:
        BuildError: a version is lost or there twice, or a load that nobody killed failed.
    """
    primary, run = primary_of(cluster), Run("following drill", "prod")
    with scratch(cluster) as own:
        password, port = cluster.secret("superuser"), cluster.node_port(primary)

        def connect(database: str = SHOP) -> Any:
            return psycopg2.connect(
                host="localhost", port=port, user="postgres", password=password, dbname=database,
                sslmode="verify-full", sslrootcert=f"{cluster.root}/tls/ca.crt",
            )  # fmt: skip

        own.settings |= {
            "SOURCES__SHOP__CREDENTIALS": f"postgresql://postgres:{quote(password, safe='')}@localhost:{port}/{SHOP}",
            "SOURCES__SHOP__FOLLOW": "replication",
            "SOURCES__SHOP__SLOT": SHOP,
        }
        with closing(connect()) as shop, shop, shop.cursor() as cursor:
            cursor.execute(own.run("ingestion.demo", "schema"))
            for table in read_contract("shop").tables:
                cursor.execute(f"alter table {table.name} replica identity full")
        worker = Worker(connect, seed)
        started = time.monotonic()
        own.run("ingestion", "shop")
        usual = time.monotonic() - started
        worker.start()
        try:
            outcome = load_through_kills(own, kills, usual, random.Random(seed), say)
            if batches:
                outcome.ways = _published(own, batches, say)
        finally:
            worker.done.set()
            worker.join(timeout=60)
        own.run("ingestion", "shop")
        outcome.ends += 2
        with closing(connect()) as shop, closing(connect(DATABASE)) as warehouse:
            made, loaded = _versions(shop, MADE), _versions(warehouse, LOADED)
        outcome.commits, outcome.versions = worker.commits, sum(map(len, made.values()))
        if made != loaded:
            differing = sorted(key for key in {*made, *loaded} if made.get(key) != loaded.get(key))
            raise BuildError(
                f"{outcome.versions:,} versions were made and {sum(map(len, loaded.values())):,} loaded; the log of "
                f"{len(differing)} people differs, the first: {differing[0]}"
            )
    say(
        f"{outcome.kills} loads killed, {outcome.ends} ended; {outcome.commits:,} commits, "
        f"{outcome.versions:,} versions: 0 lost, 0 doubled"
    )
    seconds = {"longest way to the mart": max(last for _, last in outcome.ways)} if outcome.ways else {}
    noted(cluster, primary, run, seconds, {"kills": outcome.kills, "versions": outcome.versions}, say)
    return outcome


def load_through_kills(own: Scratch, kills: int, usual: float, moments: random.Random, say: Say) -> Followed:
    """Load again and again, until so many loads were killed; one that nobody kills takes `usual` seconds.

    Raises:
        BuildError: a load that nobody killed failed.
    """
    outcome = Followed(0, 0, 0, 0)
    while outcome.kills < kills:
        process = own.begin("ingestion", "shop")
        try:
            # Mostly in the second half: the first is Python that starts.
            said, errors = process.communicate(timeout=usual * moments.uniform(0.4, 1.1))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            outcome.kills += 1
            continue
        if process.returncode:
            raise BuildError(f"a load that nobody killed failed: {last_line(said, errors)}")
        outcome.ends += 1
    say(f"{outcome.kills} loads killed, {outcome.ends} came to their end meanwhile")
    return outcome


def _published(own: Scratch, batches: int, say: Say) -> list[tuple[float, float]]:
    """Build and publish micro-batches, all tests among them. Returns the shortest and longest way of a change for each.

    The first catches up with all that was made before, and the second builds its generation anew: they don't count.
    """
    said = own.run("warehouse", "follow", "shop", "--batches", str(batches + 2), "--seconds", "0")
    published = [line for line in said.splitlines() if line.startswith("generation ")][2:]
    for line in published:
        say(f"  {line}")
    return [(float(found[1]), float(found[2])) for line in published if (found := _LAG.search(line))]


_LAG = re.compile(r"; (\d+) to (\d+) s after they were made$")


def _versions(connection: Any, query: str) -> dict[str, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return dict(cursor.fetchall())
