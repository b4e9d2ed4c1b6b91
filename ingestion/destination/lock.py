"""One load or build at a time: a lock on the warehouse's folder, and on Postgres one in the database too.

Both end with the process that holds them, however it ends. What a killed build left running in the database is ended
by the next one, which knows its sessions by their name: while it holds the lock, no other may have that name.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from ingestion.destination.roles import AS_TRANSFORMER, has_roles
from ingestion.destination.target import Target
from ingestion.environment import variables

# How long a statement of the build waits for a reader's lock; a table is replaced only while nobody reads it.
LOCK_TIMEOUT = "5min"
# How long a session whose process is gone may take to notice.
PATIENCE_SECONDS = 10.0


class LockError(Exception):
    """The warehouse can't be had for a load or a build. The message says who has it, or what is wrong."""


@contextmanager
def build_lock(target: Target) -> Iterator[None]:
    """Hold the warehouse's lock.

    Raises:
        LockError: another build holds it.
    """
    with _folder_lock(target):
        if target.engine == "duckdb":
            yield
        else:
            with _database_lock(target):
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
    if target.engine == "duckdb":
        return None
    with closing(_connect()) as connection, connection.cursor() as cursor:
        cursor.execute("set timezone to 'UTC'")
        return _database_holder(cursor, session_name(target))


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
    return f"{target.prefix}granary"


@contextmanager
def _database_lock(target: Target) -> Iterator[None]:
    """Hold Postgres's advisory lock of this warehouse, and name every session that the build opens meanwhile."""
    options = f"{os.environ.get('PGOPTIONS', '')} -c lock_timeout={LOCK_TIMEOUT}".strip()
    with variables({"PGAPPNAME": session_name(target), "PGOPTIONS": options}), closing(_connect()) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            _take(cursor, session_name(target))
            _end_orphans(cursor, session_name(target))
        if target.name == "prod" and has_roles(connection):
            options += f" {AS_TRANSFORMER}"
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


def _take(cursor: psycopg2.extensions.cursor, name: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        cursor.execute("select pg_try_advisory_lock(hashtext('granary'), hashtext(%s))", [name])
        row = cursor.fetchone()
        if row and row[0]:
            return
        if time.monotonic() > until:
            who = _database_holder(cursor, name) or "elsewhere"
            raise LockError(f"another build of this warehouse is running ({who}): wait for it to end, then build again")
        time.sleep(0.2)


def _database_holder(cursor: psycopg2.extensions.cursor, name: str) -> str | None:
    cursor.execute(
        "select a.pid, coalesce(host(a.client_addr), 'the server itself'), a.backend_start from pg_locks as l "
        "join pg_stat_activity as a on a.pid = l.pid where l.locktype = 'advisory' and l.granted "
        "and l.classid = hashtext('granary')::bit(32)::bigint::oid "
        "and l.objid = hashtext(%s)::bit(32)::bigint::oid",
        [name],
    )
    row = cursor.fetchone()
    if row is None:
        return None
    # Since when is told to who may see others' sessions.
    since = f" since {row[2]:%Y-%m-%d %H:%M:%S}" if row[2] else ""
    return f"from {row[1]}{since}, backend {row[0]}"


def _end_orphans(cursor: psycopg2.extensions.cursor, name: str) -> None:
    """End the sessions that a killed build left: they may hold locks for as long as their statement runs."""
    query = (
        "select pid from pg_stat_activity "
        "where application_name = %s and datname = current_database() and pid <> pg_backend_pid()"
    )
    until = time.monotonic() + PATIENCE_SECONDS
    cursor.execute(f"select pg_terminate_backend(pid) from ({query}) as orphans", [name])
    while True:
        cursor.execute(query, [name])
        left = [row[0] for row in cursor.fetchall()]
        if not left:
            return
        if time.monotonic() > until:
            raise LockError(
                f"sessions of a build that was killed don't end: backends {', '.join(map(str, left))}; end them with "
                "pg_terminate_backend, then build again"
            )
        time.sleep(0.1)
