"""A drill: somebody works with a system whose log is followed, and the load is killed again and again meanwhile.

The system is one of a simulated company's. The oracle is its own change table, which triggers fill at the source: raw
has to have every version that is in it, once, in the order of the commits. Then micro-batches are built and published,
and say how long a change took.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg2

from infra.cluster import Cluster, primary_of
from infra.records import Say, noted
from infra.scratch import DATABASE, SYSTEM, Scratch, company, last_line, scratch
from ingestion.contract.contracts import Table
from ingestion.contract.reading import read_contract
from ingestion.readers.settings import variable
from warehouse.errors import BuildError
from warehouse.runs.runs import Run


def made(table: Table, columns: Sequence[str]) -> str:
    """A query for each record's versions in the order in which they were made at the source, by its change table.

    Args:
        table: of the contract.
        columns: those that tell a record's versions apart.
    """
    versions = f"concat_ws(' ', case when operation = 'D' then 'D' else 'U' end, {', '.join(columns)})"
    return f"select {table.key[0]}::text, array_agg({versions} order by position) from {table.name}_changes group by 1"


def loaded(table: Table, columns: Sequence[str]) -> str:
    """The same of raw."""
    return f"""
        select
            {table.key[0]}::text,
            array_agg(concat_ws(' ', _operation, {", ".join(columns)}) order by _revision, _effective_at)
        from raw_{table.source}.{table.name}
        where _load_id in (select load_id from raw_{table.source}._dlt_loads where status = 0)
        group by 1"""


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


def following_drill(cluster: Cluster, say: Say, kills: int = 10, batches: int = 5, seed: int = 11) -> Followed:
    """Follow a system's log while somebody works with it, kill loads, and compare raw with what was done.

    Args:
        cluster: which one; the system is a database beside the warehouse's.
        say: takes lines of progress.
        kills: how many loads are killed.
        batches: how many micro-batches are published afterwards, to see how long a change takes; none for 0.
        seed: of the work and of the moments.

    Raises:
        BuildError: a version is lost or there twice, a load that nobody killed failed, or no domain that is on has a
            simulated company with such a system.
    """
    primary, run, domain = primary_of(cluster), Run("following drill", "prod"), company("work")
    with scratch(cluster) as own:
        password, port = cluster.secret("superuser"), cluster.node_port(primary)

        def connect(database: str) -> Any:
            return psycopg2.connect(
                host="localhost", port=port, user="postgres", password=password, dbname=database,
                sslmode="verify-full", sslrootcert=f"{cluster.root}/tls/ca.crt",
            )  # fmt: skip

        with closing(connect(SYSTEM)) as system, system, system.cursor() as cursor:
            cursor.execute(own.run("ingestion.demo", "schema", "--domain", domain))
            cursor.execute(_WHOLE_ROWS)
        work = json.loads(own.run("ingestion.demo", "work", "--domain", domain, "--dry"))
        source = work["source"]
        own.settings |= {
            variable(source, "credentials"): f"postgresql://postgres:{quote(password, safe='')}@localhost:{port}/"
                                             f"{SYSTEM}",
            variable(source, "follow"): "replication",
            variable(source, "slot"): SYSTEM,
        }  # fmt: skip
        started = time.monotonic()
        own.run("ingestion", source)
        usual = time.monotonic() - started
        words = ["--domain", domain, "--seed", str(seed)]
        with own.during("ingestion.demo", "work", *words, PGDATABASE=SYSTEM) as (_, end):
            outcome = load_through_kills(own, source, kills, usual, random.Random(seed), say)
            if batches:
                outcome.ways = _published(own, source, batches, say)
            outcome.commits = int(end())
        own.run("ingestion", source)
        outcome.ends += 2
        table = read_contract(source).table(work["table"])
        with closing(connect(SYSTEM)) as system, closing(connect(DATABASE)) as warehouse:
            there = _versions(system, made(table, work["columns"]))
            found = _versions(warehouse, loaded(table, work["columns"]))
        outcome.versions = sum(map(len, there.values()))
        if there != found:
            differing = sorted(key for key in {*there, *found} if there.get(key) != found.get(key))
            raise BuildError(
                f"{outcome.versions:,} versions were made and {sum(map(len, found.values())):,} loaded; the log of "
                f"{len(differing)} records differs, the first: {differing[0]}"
            )
    say(
        f"{outcome.kills} loads killed, {outcome.ends} ended; {outcome.commits:,} commits, "
        f"{outcome.versions:,} versions: 0 lost, 0 doubled"
    )
    seconds = {"longest way to the mart": max(last for _, last in outcome.ways)} if outcome.ways else {}
    noted(cluster, primary, run, seconds, {"kills": outcome.kills, "versions": outcome.versions}, say)
    return outcome


# A log has the values of before only where a table says so.
_WHOLE_ROWS = """
    do $$ declare each record; begin
        for each in select tablename from pg_tables where schemaname = 'public' loop
            execute format('alter table %I replica identity full', each.tablename);
        end loop;
    end $$"""


def load_through_kills(
    own: Scratch, source: str, kills: int, usual: float, moments: random.Random, say: Say
) -> Followed:
    """Load again and again, until so many loads were killed; one that nobody kills takes `usual` seconds.

    Raises:
        BuildError: a load that nobody killed failed.
    """
    outcome = Followed(0, 0, 0, 0)
    while outcome.kills < kills:
        process = own.begin("ingestion", source)
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


def _published(own: Scratch, source: str, batches: int, say: Say) -> list[tuple[float, float]]:
    """Build and publish micro-batches, all tests among them. Returns the shortest and longest way of a change for each.

    The first catches up with all that was made before, and the second builds its generation anew: they don't count.
    """
    said = own.run("warehouse", "follow", source, "--batches", str(batches + 2), "--seconds", "0")
    published = [line for line in said.splitlines() if line.startswith("generation ")][2:]
    for line in published:
        say(f"  {line}")
    return [(float(found[1]), float(found[2])) for line in published if (found := _LAG.search(line))]


_LAG = re.compile(r"; ([\d.]+) to ([\d.]+) s after they were made$")


def _versions(connection: Any, query: str) -> dict[str, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return dict(cursor.fetchall())
