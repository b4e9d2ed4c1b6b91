"""Backup, and the drills that prove that it and the replica are worth something."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psycopg2

from infra.cluster import (
    Cluster,
    follow,
    make_synchronous,
    pgbackrest,
    point_pooler,
    primary_of,
    run_sql,
    start_node,
)
from infra.machine import LIMIT, NO_LIMIT, REPLAY_SECONDS, as_server, binary, own, wait_for, write
from infra.records import DATABASE, Say, noted
from warehouse.errors import BuildError
from warehouse.runs.runs import Run

# One number for a table's rows, in whatever order they lie.
_HASH = "select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {table} as t"
# The first generation has no other beside it: what readers may enter is published too.
_PUBLISHED = """
    select quote_ident(n.nspname) || '.' || quote_ident(c.relname)
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where
        c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        and (
            exists (select 1 from pg_namespace as b where b.nspname = n.nspname || '__next')
            or exists (
                select 1 from pg_roles as r
                where r.rolname = 'granary_reporter' and has_schema_privilege(r.oid, n.oid, 'usage')
            )
        )
    order by 1"""


def backup(cluster: Cluster, kind: str, say: Say) -> None:
    """Back up, check what is in the repository, and let go of what its retention no longer keeps.

    Args:
        cluster: which one.
        kind: `full`, or `incr` for what changed since the last; without a full one that is full too.
        say: takes lines of progress.

    Raises:
        BuildError: it failed, or the repository is damaged.
    """
    started = time.monotonic()
    pgbackrest(cluster, f"--type={kind}", "backup")
    pgbackrest(cluster, "verify")
    newest = json.loads(pgbackrest(cluster, "--output=json", "info"))[0]["backup"][-1]
    size = newest["info"]["size"] / 1e6
    stored = newest["info"]["repository"]["delta"] / 1e6
    say(
        f"backup {newest['label']} ({newest['type']}): {size:,.0f} MB, {stored:,.0f} MB of it stored now, encrypted; "
        f"verified; {time.monotonic() - started:.0f} s"
    )


@contextmanager
def restored(cluster: Cluster, to: str, say: Say) -> Iterator[tuple[int, float]]:
    """A server beside the running one, restored to a time. It is gone afterwards.

    Yields:
        The port that it listens on, and how many seconds it took.

    Raises:
        BuildError: there is no such time in the repository, or the server doesn't start.
    """
    primary = primary_of(cluster)
    segment = run_sql(cluster, primary, "select pg_walfile_name(pg_current_wal_lsn())")
    run_sql(cluster, primary, "select pg_switch_wal()")
    wait_for(
        lambda: run_sql(cluster, primary, "select last_archived_wal from pg_stat_archiver") >= segment,
        f"the log {segment} is not archived; see {cluster.root / 'log'}",
        LIMIT,
    )
    folder, port = cluster.root / "restored", cluster.port + 3
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    own(folder)
    say(f"restoring to {to}")
    started = time.monotonic()
    try:
        pgbackrest(
            cluster, f"--pg1-path={folder}", "--type=time", f"--target={to}", "--target-action=promote", "restore"
        )
        settings = f"-c config_file={cluster.root}/conf/{primary}.conf -c data_directory={folder} -c port={port} " \
                   f"-c archive_mode=off -c synchronous_standby_names= -c shared_buffers=128MB"  # fmt: skip
        log = str(cluster.root / "log" / "restored.log")
        control = [binary("pg_ctl"), "-D", str(folder), "-w", "-t", str(REPLAY_SECONDS), "-l", log, "-o", settings]
        as_server([*control, "start"], seconds=NO_LIMIT)
        wait_for(
            lambda: run_sql(cluster, port, "select pg_is_in_recovery()") == "f",
            f"the restored server stands still: {log}",
            REPLAY_SECONDS,
        )
        yield port, time.monotonic() - started
    finally:
        with suppress(BuildError):
            as_server([binary("pg_ctl"), "-D", str(folder), "-m", "immediate", "-w", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Restored:
    """What a restore drill measured."""

    seconds: float
    megabytes: float
    tables: int


def restore_drill(cluster: Cluster, to: str, say: Say) -> Restored:
    """Restore beside the running server, to a point in time, and prove what is there.

    Without a time of its own the drill writes a row, takes the time, writes another: the first has to be there, the
    second not, and every published table has to hold what the running server holds.

    Args:
        cluster: which one; it needs a backup.
        to: a time with its zone, as Postgres reads it; empty for the drill's own.
        say: takes lines of progress.

    Raises:
        BuildError: the restore failed, or something is not as it has to be.
    """
    primary, run = primary_of(cluster), Run("restore drill", "prod")
    marker, wanted = secrets.token_hex(8), None
    if not to:
        time.sleep(1)  # pgBackRest restores to no moment of the second in which a backup ended
        run_sql(cluster, primary, _MARKERS, DATABASE)
        run_sql(cluster, primary, f"insert into drill.markers values ('{marker} before')", DATABASE)
        to = run_sql(cluster, primary, "select clock_timestamp()")
        time.sleep(1)
        run_sql(cluster, primary, f"insert into drill.markers values ('{marker} after')", DATABASE)
        wanted = _hashes(cluster, primary)
    with restored(cluster, to, say) as (port, seconds):
        megabytes = float(run_sql(cluster, port, "select sum(pg_database_size(oid)) / 1e6 from pg_database"))
        found = _hashes(cluster, port)
        if wanted is not None:
            rows = run_sql(cluster, port, f"select text from drill.markers where text like '{marker}%'", DATABASE)
            if rows != f"{marker} before":
                raise BuildError(
                    f"the restored server should have the row before {to} and not the one after it; it has: {rows}"
                )
            if found != wanted:
                differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
                raise BuildError(f"restored tables differ from the running ones: {', '.join(differing)}")
    compared = f"{len(found)} published tables" + (" equal to the running ones" if wanted is not None else "")
    if not found:
        compared = "nothing is published yet, so no table was compared"
    say(f"restored {megabytes:,.0f} MB in {seconds:.1f} s ({seconds / megabytes * 1000:.0f} s a GB); {compared}")
    noted(cluster, primary, run, {"restoring": seconds}, {"megabytes": round(megabytes), "to": to}, say)
    return Restored(seconds, megabytes, len(found))


@dataclass
class Failover:
    """What a failover drill measured."""

    acknowledged: int = 0
    lost: int = 0
    gap_seconds: float = 0.0
    times: list[tuple[int, float]] = field(default_factory=list)


def failover_drill(cluster: Cluster, say: Say, before_seconds: float = 3.0) -> Failover:
    """Kill the primary under writes through the pooler, promote the replica, and have the old primary follow it.

    Raises:
        BuildError: an acknowledged write is lost, nothing can be written afterwards, or a step failed.
    """
    old = primary_of(cluster)
    new = cluster.other(old)
    if run_sql(cluster, old, "select sync_state from pg_stat_replication") != "sync":
        raise BuildError(f"node {new} does not follow as a synchronous replica: `make infra-up` first")
    password = secrets.token_urlsafe(24)
    run_sql(cluster, old, _LEDGER.format(password=password), DATABASE)
    outcome, done, run = Failover(), threading.Event(), Run("failover drill", "prod")
    writer = threading.Thread(target=_write_on, args=(cluster, password, outcome.times, done), daemon=True)
    writer.start()
    try:
        time.sleep(before_seconds)
        postmaster = cluster.postmaster(old)
        # All of its processes, as when a machine is gone: those that serve go on for a while without their parent.
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="utf-8").split()
        for process in [postmaster, *map(int, children)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        killed = time.monotonic()
        say(f"node {old} is killed after {len(outcome.times):,} acknowledged writes")
        promote(cluster, new)
        written = len(outcome.times)
        wait_for(lambda: len(outcome.times) > written + 10, "nothing can be written after the failover")
        time.sleep(1)
    finally:
        done.set()
        writer.join(timeout=30)
    moments = [moment for _, moment in outcome.times]
    outcome.gap_seconds = max(later - moment for moment, later in pairwise(moments) if later > killed)
    outcome.acknowledged = len(outcome.times)
    kept = {int(line) for line in run_sql(cluster, new, "select number from drill.ledger", DATABASE).splitlines()}
    outcome.lost = len({number for number, _ in outcome.times} - kept)
    say(
        f"node {new} takes writes after {outcome.gap_seconds:.1f} s; "
        f"{outcome.lost} of {outcome.acknowledged:,} acknowledged writes lost"
    )
    if outcome.lost:
        raise BuildError(f"{outcome.lost} acknowledged writes are lost")
    rejoin(cluster, old, new)
    say(f"node {old} follows, synchronous")
    noted(cluster, new, run, {"without writes": outcome.gap_seconds}, {"acknowledged": outcome.acknowledged}, say)
    return outcome


def promote(cluster: Cluster, node: str) -> None:
    """Make the replica the primary, and lead the pooler to it."""
    write(cluster.root / "conf" / f"{node}.follows.conf", "")
    run_sql(cluster, node, "select pg_reload_conf()")
    run_sql(cluster, node, "select pg_promote(true, 60)")
    point_pooler(cluster, node)


def rejoin(cluster: Cluster, old: str, new: str) -> None:
    """Have the former primary follow the new one: what it had and nobody else is wound back."""
    with suppress(OSError, ValueError, IndexError):
        postmaster = cluster.postmaster(old)
        wait_for(lambda: not Path(f"/proc/{postmaster}").exists(), f"node {old} still runs")
    # A rewind asks the control file for the timeline, which only a checkpoint writes there.
    run_sql(cluster, new, "checkpoint")
    source = f"host={cluster.root}/run port={cluster.node_port(new)} user=postgres dbname=postgres"
    settings = str(cluster.root / "conf" / f"{old}.conf")
    # What it needs of its own log and has let go of is in the archive.
    as_server([binary("pg_rewind"), "--target-pgdata", str(cluster.data(old)), "--source-server", source,
               "--config-file", settings, "--restore-target-wal", "--no-sync"], seconds=NO_LIMIT)  # fmt: skip
    follow(cluster, new, old)
    start_node(cluster, old)
    make_synchronous(cluster, new, old)
    point_pooler(cluster, new)


_MARKERS = "create schema if not exists drill; create table if not exists drill.markers (text text)"

_LEDGER = """
    create schema if not exists drill;
    drop table if exists drill.ledger;
    create table drill.ledger (number bigint primary key);
    do $$ begin create role drill; exception when duplicate_object then null; end $$;
    alter role drill login password '{password}';
    grant connect on database granary to drill;
    grant usage on schema drill to drill;
    grant insert on drill.ledger to drill"""


def _write_on(cluster: Cluster, password: str, times: list[tuple[int, float]], done: threading.Event) -> None:
    """Write numbers, one a transaction, and keep those that were acknowledged; connect again where that breaks."""
    number = 0
    while not done.is_set():
        with suppress(psycopg2.Error), closing(psycopg2.connect(
            host="localhost", port=cluster.pooler_port, user="drill", password=password, dbname=DATABASE,
            sslmode="verify-full", sslrootcert=f"{cluster.root}/tls/ca.crt", connect_timeout=2,
        )) as connection:  # fmt: skip
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not done.is_set():
                    number += 1
                    cursor.execute("insert into drill.ledger values (%s)", [number])
                    times.append((number, time.monotonic()))
        time.sleep(0.05)


def _hashes(cluster: Cluster, node: str | int) -> dict[str, str]:
    """A number for the rows of each published table, of a node or of the server at a port."""
    tables = run_sql(cluster, node, _PUBLISHED, DATABASE).splitlines()
    return {table: run_sql(cluster, node, _HASH.format(table=table), DATABASE, NO_LIMIT) for table in tables}
