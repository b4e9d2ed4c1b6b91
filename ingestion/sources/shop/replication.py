"""The shop on Postgres, followed by its write-ahead log: a snapshot first, then every change in the order of commits.

Changes are decoded by wal2json from a replication slot, looked at without being taken, and loaded like any extract. How
far a load has read is its cursor: it counts when the load is complete, and is written in the same transaction as that.
Only then is the slot moved on; what it gives again after a kill is known by the cursor. So each change comes into raw
once.

A version's revision is its position in the log (LSN), its time that of the commit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extras import LogicalReplicationConnection

from ingestion.contract_sql import literal, quoted
from ingestion.contracts import Table
from ingestion.extracts import Extract, Reader, SourceError, first_line
from ingestion.sources.shop.database import Database
from ingestion.sources.shop.polling import key_of, living

# How long a slot may still be held by a load that was killed.
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Following:
    """How the log is followed.

    url: the shop's Postgres.
    slot: the slot's name.
    batch: about how many lines of the log a load takes at most, commits among them; it ends with one.
    """

    url: str
    slot: str
    batch: int


def extracts(
    following: Following, database: Database, reader: Reader, notes: dict[str, tuple[str, ...]]
) -> Generator[Extract, None, None]:
    """The snapshot where nothing was followed yet, else the changes since the last load.

    Raises:
        SourceError: the server can't be followed, or its slot is gone.
    """
    tables = reader.contract.tables
    cursors = [_cursor(reader, table) for table in tables]
    try:
        with closing(psycopg2.connect(_dsn(following.url))) as connection:
            connection.autocommit = True
            _check(connection, database, tables)
            status = _slot_status(connection, following.slot)
            if all(cursor is None for cursor in cursors):
                yield from _snapshot(following, connection, database, reader, notes, drop=status is not None)
                return
            if status is None or status == "lost":
                raise SourceError(
                    f"shop: the replication slot {following.slot} is gone, and with it the changes since the last "
                    "load; nothing was loaded. Load with SOURCES__SHOP__FOLLOW=polling once, which sees what is there "
                    "now and what was deleted; then follow again, from a new snapshot"
                )
            yield from _changes(following, connection, database, reader, notes, max(each or 0 for each in cursors))
    except psycopg2.Error as error:
        raise SourceError(f"shop: the log could not be followed: {first_line(error)}; load again") from error


def _dsn(url: str) -> str:
    return "postgresql://" + url.split("://", 1)[1]


def _cursor(reader: Reader, table: Table) -> int | None:
    position = json.loads(reader.cursors.get(table.name) or "{}").get("lsn")
    return None if position is None else int(position)


def _rows(connection: Any, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall()) if cursor.description else []


def _check(connection: Any, database: Database, tables: tuple[Table, ...]) -> None:
    level = _rows(connection, "select current_setting('wal_level')")[0][0]
    if level != "logical":
        raise SourceError(f"shop: its log can't be followed, for wal_level is {level}: set it to logical and restart")
    partly = _rows(
        connection,
        "select relname from pg_class where relnamespace = %s::regnamespace and relname = any(%s) "
        "and relreplident <> 'f' order by relname",
        [database.schema, [table.name for table in tables]],
    )
    if partly:
        statements = "; ".join(f'alter table {database.schema}."{name}" replica identity full' for (name,) in partly)
        raise SourceError(f"shop: the log has not all values of {len(partly)} tables; nothing was loaded: {statements}")


def _slot_status(connection: Any, slot: str) -> str | None:
    found = _rows(connection, "select wal_status from pg_replication_slots where slot_name = %s", [slot])
    return str(found[0][0]) if found else None


def _to_file(connection: Any, query: sql.Composable, file: Path) -> Path:
    with connection.cursor() as cursor, file.open("wb") as target:
        cursor.copy_expert(sql.SQL("copy ({}) to stdout (format csv, header)").format(query), target)
    return file


def _csv(file: Path) -> str:
    return f"read_csv({literal(str(file))}, all_varchar = true, header = true, quote = '\"', escape = '\"')"


def _snapshot(
    following: Following,
    connection: Any,
    database: Database,
    reader: Reader,
    notes: dict[str, tuple[str, ...]],
    *,
    drop: bool,
) -> Generator[Extract, None, None]:
    """All tables as they were when the slot began, which a load that was never completed may have made already."""
    if drop:
        _patiently(lambda: _rows(connection, "select pg_drop_replication_slot(%s)", [following.slot]))
    with closing(psycopg2.connect(_dsn(following.url), connection_factory=LogicalReplicationConnection)) as replication:
        with replication.cursor() as cursor:
            cursor.execute(f"CREATE_REPLICATION_SLOT {quoted(following.slot)} LOGICAL wal2json EXPORT_SNAPSHOT")
            _, start, snapshot, _ = cursor.fetchone() or (None,) * 4
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read read only")
            cursor.execute("set transaction snapshot %s", [snapshot])
            cursor.execute("set local timezone = 'UTC'")
        position = int(_rows(connection, "select %s::pg_lsn - '0/0'::pg_lsn", [start])[0][0])
        for table in reader.contract.tables:
            named = sql.Identifier(database.schema, table.name)
            count = int(_rows(connection, sql.SQL("select count(*) from {}").format(named))[0][0])  # type: ignore[arg-type]
            columns = sql.SQL(", ").join(map(sql.Identifier, table.column_names))
            query = sql.SQL("select {} from {}").format(columns, named)
            file = _to_file(connection, query, reader.workspace / f"snapshot.{table.name}.csv")
            modified = quoted(str(table.meta.get("modified_at", "updated_at")))
            relation = (
                f"(select *, 'U' as _operation, {position}::bigint as _revision, "
                f"coalesce(timezone('UTC', try_cast({modified} as timestamptz)), {reader.observed}) as _effective_at "
                f"from {_csv(file)})"
            )
            yield Extract(
                table,
                relation,
                count,
                cursor=json.dumps({"lsn": position}),
                deletes=_gone(reader, table, file, position),
                notes=notes[table.name],
            )
        connection.rollback()
        connection.autocommit = True


def _gone(reader: Reader, table: Table, file: Path, position: int) -> str | None:
    """What raw holds as living from another way of following, and the snapshot doesn't have."""
    if table.name not in reader.existing:
        return None
    living(reader, table)
    columns = ", ".join(quoted(column) for column in table.column_names)
    return (
        f"select {columns}, 'D' as _operation, {position}::bigint as _revision, {reader.observed} as _effective_at "
        f"from living where _operation <> 'D' and key not in (select {key_of(table)} from {_csv(file)})"
    )


def _changes(
    following: Following,
    connection: Any,
    database: Database,
    reader: Reader,
    notes: dict[str, tuple[str, ...]],
    since: int,
) -> Generator[Extract, None, None]:
    tables = reader.contract.tables
    bound = int(_rows(connection, "select pg_current_wal_flush_lsn() - '0/0'::pg_lsn")[0][0])
    file = reader.workspace / "log.csv"
    query = _decoded(following, database, tables, bound)
    _rows(connection, "set timezone = 'UTC'")
    _patiently(lambda: _to_file(connection, query, file))
    # A transaction is read where it was committed: the position of its commit, not of its changes, says whether it is
    # known.
    reader.connection.execute(f"""
        create or replace temp table log as
        with decoded as (select * from {_csv(file)}),
        commits as (select xid, cast(position as bigint) as committed from decoded where action = 'C')
        select cast(d.position as bigint) as position, d.action, d.table_name, d.committed_at,
            cast(d.new as json) as new, cast(d.old as json) as old, c.committed
        from decoded as d inner join commits as c using (xid)""")
    row = reader.connection.execute("select count(*), max(committed) from log").fetchone()
    decoded, last = row if row else (0, None)
    # The server stops after the commit with which the batch is full; what it counts are lines, commits among them.
    end = max(since, int(last) if decoded >= following.batch else bound)
    reader.connection.execute(f"delete from log where committed <= {since}")
    for table in tables:
        yield _extract(reader, table, end, notes[table.name])
    reader.on_complete.append(lambda: _move_on(following, end))


def _decoded(following: Following, database: Database, tables: tuple[Table, ...], bound: int) -> sql.Composable:
    """What the server is asked: it leaves out the columns that no contract has, so they never leave it."""
    wanted = sorted({column for table in tables for column in table.column_names})
    values = (
        "(select jsonb_object_agg(c ->> 'name', c -> 'value') from jsonb_array_elements(d.data -> {part}) as c "
        "where c ->> 'name' = any({wanted}))"
    )
    query = (
        "select d.lsn - '0/0'::pg_lsn as position, d.xid, d.data ->> 'action' as action, d.data ->> 'table' as "
        f"table_name, d.data ->> 'timestamp' as committed_at, {values.replace('{part}', '{new}')} as new, "
        f"{values.replace('{part}', '{old}')} as old from (select lsn, xid::text as xid, data::jsonb as data from "
        "pg_logical_slot_peek_changes({slot}, '0/0'::pg_lsn + {bound}, {batch}, 'format-version', '2', "
        "'include-timestamp', 'true', 'add-tables', {tables})) as d"
    )
    return sql.SQL(query).format(
        new=sql.Literal("columns"),
        old=sql.Literal("identity"),
        wanted=sql.Literal(wanted),
        slot=sql.Literal(following.slot),
        bound=sql.Literal(bound),
        batch=sql.Literal(following.batch),
        tables=sql.Literal(",".join(f"{database.schema}.{table.name}" for table in tables)),
    )


def _extract(reader: Reader, table: Table, end: int, notes: tuple[str, ...]) -> Extract:
    def values(operation: str) -> str:
        # An update doesn't repeat long values that it leaves alone: they stand in the old row.
        return ", ".join(
            f"old ->> {literal('$.' + name)} as {quoted(name)}"
            if operation == "D"
            else f"case when json_exists(new, {literal('$.' + name)}) then new ->> {literal('$.' + name)} "
            f"else old ->> {literal('$.' + name)} end as {quoted(name)}"
            for name in table.column_names
        )

    def key(row: str) -> str:
        return "[" + ", ".join(f"{row} ->> {literal('$.' + name)}" for name in table.key) + "]"

    told = "position as _revision, timezone('UTC', cast(committed_at as timestamptz)) as _effective_at"
    mine = f"from log where table_name = {literal(table.name)}"
    # A record that gets another key is gone under the old one.
    moved = f"action = 'U' and {key('old')} <> {key('new')}"
    relation = f"""(
        select {values("U")}, 'U' as _operation, {told} {mine} and action in ('I', 'U')
        union all select {values("D")}, 'D' as _operation, {told} {mine} and (action = 'D' or ({moved})))"""
    row = reader.connection.execute(
        f"select count(*) filter (action in ('I', 'U', 'D')) + count(*) filter ({moved}), "
        f"count(*) filter (action = 'T') {mine}"
    ).fetchone()
    count, truncated = row if row else (0, 0)
    return Extract(
        table,
        relation,
        int(count),
        cursor=json.dumps({"lsn": end}),
        deletes=_truncated(reader, table) if truncated else None,
        notes=notes,
    )


def _truncated(reader: Reader, table: Table) -> str:
    """A truncate deletes whatever was living before it: in raw, and among the changes before it in this load."""
    columns = ", ".join(quoted(column) for column in table.column_names)
    names = f"{columns}, _operation, _revision, _effective_at"
    return f"""
        with truncates as (
            select position, timezone('UTC', cast(committed_at as timestamptz)) as moment
            from log where table_name = {literal(table.name)} and action = 'T'
        ),
        known as (select {names} from {reader.complete(table.name)} union all select {names} from good),
        before as (
            select known.*, truncates.position, truncates.moment from known
            inner join truncates on known._revision < truncates.position
            qualify row_number() over (
                partition by truncates.position, {key_of(table)} order by _revision desc, _effective_at desc
            ) = 1
        ),
        -- What one truncate deleted is not there for the next.
        first_ones as (
            select * from before where _operation <> 'D'
            qualify row_number() over (partition by {key_of(table)}, _revision order by position) = 1
        )
        select {columns}, 'D' as _operation, position as _revision, moment as _effective_at from first_ones"""


def _move_on(following: Following, end: int) -> None:
    """Let the server forget the log up to here. Where that fails, the next load does it."""
    with suppress(psycopg2.Error), closing(psycopg2.connect(_dsn(following.url))) as connection:
        connection.autocommit = True
        _rows(
            connection,
            "select pg_replication_slot_advance(%s, least('0/0'::pg_lsn + %s, pg_current_wal_flush_lsn()))",
            [following.slot, end],
        )


def _patiently(call: Any) -> None:
    """Call it again while the slot is still held: the session of a load that was killed may take a moment to end."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            call()
            return
        except psycopg2.errors.ObjectInUse:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
