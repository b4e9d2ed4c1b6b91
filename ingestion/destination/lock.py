"""One load or build at a time: a lock on the warehouse's folder, and on Postgres one in the database too.

Both end with the process that holds them, however it ends. In the database it is a lock on a table of the builder's
own: an advisory lock, or a session's name, anybody could take who may log in. What a killed build left running there is
ended by the next one, which knows its sessions by their name and their login.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from ingestion.destination.lake import WORK
from ingestion.destination.roles import AS_TRANSFORMER, has_roles
from ingestion.destination.target import Target
from ingestion.environment import variables

# How long a statement of the build waits for a reader's lock; a table is replaced only while nobody reads it.
LOCK_TIMEOUT = "5min"
# How long a session whose process is gone may take to notice.
PATIENCE_SECONDS = 10.0
# What stands after that name, and before a number, in the names of the sessions of a worker (warehouse/build/workers).
SESSION_OF_WORKER = " worker "
# The table that is locked; nobody ever reads it.
LOCK_TABLE = "build_lock"
# By its name in the catalog, which who may not enter the schema may ask, too.
_OF_LOCK_TABLE = (
    "from pg_class as c join pg_namespace as n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s"
)


class LockError(Exception):
    """The warehouse can't be had for a load or a build. The message says who has it, or what is wrong."""


@contextmanager
def build_lock(target: Target) -> Iterator[None]:
    """Hold the warehouse's lock.

    Raises:
        LockError: another build holds it.
    """
    with (
        _folder_lock(target),
        _database_lock(target) if target.in_postgres else nullcontext(),
        target.lake.kept_open() if target.lake else nullcontext(),
    ):
        yield


def lock_holder(target: Target) -> str | None:
    """Who holds the warehouse's lock and since when, in words; None where nobody does.

    Raises:
        LockError: the warehouse can't be asked.
    """
    with suppress(OSError), _lock_file(target).open(encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            since = datetime.fromtimestamp(_lock_file(target).stat().st_mtime, UTC)
            return f"process {handle.read().strip() or 'unknown'} since {since:%Y-%m-%d %H:%M:%S} UTC"
    if not target.in_postgres:
        return None
    with closing(_connect()) as connection, connection.cursor() as cursor:
        cursor.execute("set timezone to 'UTC'")
        return _database_holder(cursor, _lock_schema(target))


def _lock_schema(target: Target) -> str:
    return "lake_granary" if target.lake else target.schema("granary")


def _lock_file(target: Target) -> Path:
    return target.folder / f"{target.name}.lock"


@contextmanager
def _folder_lock(target: Target) -> Iterator[None]:
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        handle = _lock_file(target).open("a+", encoding="utf-8")
    except OSError as error:
        raise LockError(
            f"the folder {target.folder} can't be written ({error.strerror}): make it writable or set WAREHOUSE_DIR"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise LockError(
                f"another build of this warehouse is running (process {holder}): wait for it to end, then build again"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
    finally:
        handle.close()


def session_name(target: Target) -> str:
    """The name that all sessions of a build have on Postgres."""
    return _lock_schema(target)


@contextmanager
def _database_lock(target: Target) -> Iterator[None]:
    """Hold the warehouse's lock in the database, and name every session that the build opens meanwhile."""
    options = f"{os.environ.get('PGOPTIONS', '')} -c lock_timeout={LOCK_TIMEOUT}".strip()
    with variables({"PGAPPNAME": session_name(target), "PGOPTIONS": options}), closing(_connect()) as connection:
        connection.autocommit = True
        if target.name == "prod" and has_roles(connection):
            options += f" {AS_TRANSFORMER}"
        with connection.cursor() as cursor:
            try:
                if AS_TRANSFORMER in options:
                    cursor.execute("set role granary_transformer")
                _take(cursor, target)
            except psycopg2.errors.InsufficientPrivilege as error:
                raise LockError(
                    f"this login may not build: {str(error).strip().splitlines()[0]}; see docs/access.md, who writes"
                ) from error
            if target.lake:
                _give_up_workers()
            _end_orphans(cursor, session_name(target))
        with variables({"PGOPTIONS": options}):
            yield


def _connect() -> psycopg2.extensions.connection:
    try:
        return psycopg2.connect("")
    except psycopg2.Error as error:
        raise LockError(
            f"the warehouse can't be opened: {str(error).strip().splitlines()[0]}; check that it runs and that "
            "PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE name it"
        ) from error


def _take(cursor: psycopg2.extensions.cursor, target: Target) -> None:
    """Lock the table in a transaction that stays open.

    Between statements it keeps no snapshot, which would hold up vacuum; no time-out ends it.
    """
    schema = _lock_schema(target)
    table = f"{schema}.{LOCK_TABLE}"
    cursor.execute(
        "select set_config(name, '0', false) from pg_settings "
        "where name in ('idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')"
    )
    if not _lock_table_exists(cursor, schema):
        # The first build of all; where two begin at once, one of them makes it.
        with suppress(psycopg2.errors.UniqueViolation, psycopg2.errors.DuplicateTable, psycopg2.errors.DuplicateSchema):
            cursor.execute(f"create schema if not exists {schema}; create table if not exists {table} ()")
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        cursor.execute("begin")
        try:
            cursor.execute(f"lock table {table} in exclusive mode nowait")
            return
        except psycopg2.errors.LockNotAvailable:
            cursor.execute("rollback")
        if time.monotonic() > until:
            who = _database_holder(cursor, schema) or "elsewhere"
            raise LockError(f"another build of this warehouse is running ({who}): wait for it to end, then build again")
        time.sleep(0.2)


def _lock_table_exists(cursor: psycopg2.extensions.cursor, schema: str) -> bool:
    cursor.execute(f"select 1 {_OF_LOCK_TABLE}", [schema, LOCK_TABLE])
    return cursor.fetchone() is not None


def _database_holder(cursor: psycopg2.extensions.cursor, schema: str) -> str | None:
    cursor.execute(
        "select a.pid, coalesce(host(a.client_addr), 'the server itself'), a.backend_start from pg_locks as l "
        "join pg_stat_activity as a on a.pid = l.pid where l.mode = 'ExclusiveLock' and l.granted "
        "and l.database = (select oid from pg_database where datname = current_database()) "
        f"and l.relation = (select c.oid {_OF_LOCK_TABLE})",
        [schema, LOCK_TABLE],
    )
    row = cursor.fetchone()
    if row is None:
        return None
    # Since when is told to who may see others' sessions.
    since = f" since {row[2]:%Y-%m-%d %H:%M:%S}" if row[2] else ""
    return f"from {row[1]}{since}, backend {row[0]}"


def _give_up_workers() -> None:
    """Have no worker of a build that was killed commit anything from now on; the lock's own transaction stays open."""
    with closing(_connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s)", [f"{WORK}.procrastinate_workers"])
        if cursor.fetchone() != (None,):
            cursor.execute(f"delete from {WORK}.procrastinate_workers")


def _end_orphans(cursor: psycopg2.extensions.cursor, name: str) -> None:
    """End the sessions that a killed build left: they may hold locks for as long as their statement runs."""
    query = (
        "select pid from pg_stat_activity "
        "where split_part(application_name, %s, 1) = %s and usename = session_user and datname = current_database() "
        "and pid <> pg_backend_pid()"
    )
    names = [SESSION_OF_WORKER, name]
    until = time.monotonic() + PATIENCE_SECONDS
    cursor.execute(f"select pg_terminate_backend(pid) from ({query}) as orphans", names)
    while True:
        # Within a transaction, a server shows the sessions that it showed at first.
        cursor.execute("select pg_stat_clear_snapshot()")
        cursor.execute(query, names)
        left = [row[0] for row in cursor.fetchall()]
        if not left:
            return
        if time.monotonic() > until:
            raise LockError(
                f"sessions of a build that was killed don't end: backends {', '.join(map(str, left))}; end them with "
                "pg_terminate_backend, then build again"
            )
        time.sleep(0.1)
