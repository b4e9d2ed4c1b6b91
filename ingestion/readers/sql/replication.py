"""A Postgres database, followed by its write-ahead log: a snapshot first, then every change in the order of commits.

Changes are decoded by wal2json from a replication slot, looked at without being taken, and loaded like any extract. How
far a load has read is its cursor: it counts when the load is complete, and is written in the same transaction as that.
Only then is the slot moved on; what it gives again after a kill is known by the cursor. So each change comes into raw
once.

A version's revision is its position in the log (LSN), its time that of the commit.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extras import LogicalReplicationConnection

from ingestion.contract.contracts import Table
from ingestion.duck import copied_csv
from ingestion.load.extracts import Extract, Reader, SourceError, first_line
from ingestion.readers.settings import variable
from ingestion.readers.sql.database import Database, Relation
from ingestion.readers.sql.polling import key_of, living
from ingestion.readers.sql.slot import (
    DECODED,
    decoded,
    dsn,
    log_name,
    move_on,
    patiently,
    require_whole_log,
    rows,
    slot_status,
    to_file,
)
from ingestion.sql import literal, quoted, utc_time


@dataclass(frozen=True)
class Following:
    """A load that follows the log.

    url: the source's Postgres.
    slot: the slot's name.
    batch: about how many lines of the log a load takes at most, commits among them; it ends with one.
    notes: what a person should know of each table.
    """

    url: str
    slot: str
    batch: int
    database: Database
    reader: Reader
    notes: Mapping[str, tuple[str, ...]]


def extracts(following: Following) -> Generator[Extract, None, None]:
    """The snapshot where nothing was followed yet, else the changes since the last load.

    Raises:
        SourceError: the server can't be followed, or its slot is gone.
    """
    source, tables = following.reader.contract.name, following.reader.contract.tables
    since = {table.name: _cursor(following.reader, table) for table in tables}
    unseen = tuple(table for table in tables if since[table.name] is None)
    try:
        with closing(psycopg2.connect(dsn(following.url))) as connection:
            connection.autocommit = True
            require_whole_log(connection, source, [following.database.relation(table) for table in tables])
            status = slot_status(connection, following.slot)
            if len(unseen) == len(tables):
                if status is not None:
                    patiently(lambda: rows(connection, "select pg_drop_replication_slot(%s)", [following.slot]))
                yield from _snapshot(following, connection, unseen, quoted(following.slot))
                return
            if status is None or status == "lost":
                raise SourceError(
                    f"{source}: the replication slot {following.slot} is gone, and with it the changes since the last "
                    f"load; nothing was loaded. Load with {variable(source, 'follow')}=polling once, which sees what "
                    "is there now and what was deleted; then follow again, from a new snapshot"
                )
            yield from _changes(following, connection, {name: at for name, at in since.items() if at is not None})
            # The contract got these later. Their snapshot is younger than where the slot moves on to.
            if unseen:
                yield from _snapshot(following, connection, unseen, f"{quoted(f'{following.slot}_new')} TEMPORARY")
    except psycopg2.Error as error:
        raise SourceError(f"{source}: the log could not be followed: {first_line(error)}; load again") from error


def _cursor(reader: Reader, table: Table) -> int | None:
    position = json.loads(reader.cursors.get(table.name) or "{}").get("lsn")
    return None if position is None else int(position)


def _as_text(file: Path, names: Iterable[str]) -> str:
    return copied_csv(file, dict.fromkeys(names, "varchar"))


def _snapshot(
    following: Following, connection: Any, tables: tuple[Table, ...], slot: str
) -> Generator[Extract, None, None]:
    """Tables as they were when a slot began, which is made here: its quoted name, and whether it is temporary."""
    database, reader = following.database, following.reader
    with closing(psycopg2.connect(dsn(following.url), connection_factory=LogicalReplicationConnection)) as replication:
        with replication.cursor() as cursor:
            cursor.execute(f"CREATE_REPLICATION_SLOT {slot} LOGICAL wal2json EXPORT_SNAPSHOT")
            _, start, snapshot, _ = cursor.fetchone() or (None,) * 4
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read read only")
            cursor.execute("set transaction snapshot %s", [snapshot])
            cursor.execute("set local timezone = 'UTC'")
        position = int(rows(connection, "select %s::pg_lsn - '0/0'::pg_lsn", [start])[0][0])
        for table in tables:
            there = database.relation(table)
            named = sql.Identifier(there.schema, there.name)
            count = int(rows(connection, sql.SQL("select count(*) from {}").format(named))[0][0])  # type: ignore[arg-type]
            columns = sql.SQL(", ").join(sql.Identifier(column.at_source) for column in table.columns)
            query = sql.SQL("select {} from {}").format(columns, named)
            file = to_file(connection, query, reader.workspace / f"snapshot.{table.name}.csv")
            seen = _as_text(file, table.column_names)
            modified = utc_time(quoted(table.modified_at)) if table.modified_at else "null"
            relation = (
                f"(select *, 'U' as _operation, {position}::bigint as _revision, "
                f"coalesce({modified}, {reader.observed}) as _effective_at "
                f"from {seen})"
            )
            yield Extract(
                table,
                relation,
                count,
                cursor=json.dumps({"lsn": position}),
                deletes=_gone(reader, table, seen, position),
                notes=following.notes[table.name],
            )
        connection.rollback()
        connection.autocommit = True


def _gone(reader: Reader, table: Table, seen: str, position: int) -> str | None:
    """What raw holds as living from another way of following, and the snapshot doesn't have."""
    if table.name not in reader.existing:
        return None
    living(reader, table)
    columns = ", ".join(quoted(column) for column in table.column_names)
    return (
        f"select {columns}, 'D' as _operation, {position}::bigint as _revision, {reader.observed} as _effective_at "
        f"from living where _operation <> 'D' and key not in (select {key_of(table)} from {seen})"
    )


def _changes(following: Following, connection: Any, since: Mapping[str, int]) -> Generator[Extract, None, None]:
    """What the log has of each table since a position of its own: one that came later was seen later."""
    reader = following.reader
    tables = tuple(table for table in reader.contract.tables if table.name in since)
    bound = int(rows(connection, "select pg_current_wal_flush_lsn() - '0/0'::pg_lsn")[0][0])
    file = reader.workspace / "log.csv"
    relations = {table.name: following.database.relation(table) for table in tables}
    wanted = {relations[table.name]: [column.at_source for column in table.columns] for table in tables}
    query = decoded(following.slot, following.batch, wanted, bound)
    rows(connection, "set timezone = 'UTC'")
    patiently(lambda: to_file(connection, query, file))
    # A transaction is read where it was committed: the position of its commit, not of its changes, says whether it is
    # known.
    reader.connection.execute(f"""
        create or replace temp table log as
        with decoded as (select * from {_as_text(file, DECODED)}),
        commits as (select xid, cast(position as bigint) as committed from decoded where action = 'C')
        select cast(d.position as bigint) as position, d.action, d.table_name, d.committed_at,
            cast(d.new as json) as new, cast(d.old as json) as old, c.committed
        from decoded as d inner join commits as c using (xid)""")
    row = reader.connection.execute("select count(*), max(committed) from log").fetchone()
    lines, last = row if row else (0, None)
    # The server stops after the commit with which the batch is full; what it counts are lines, commits among them.
    end = max(min(since.values()), int(last) if lines >= following.batch else bound)
    for table in tables:
        reader.connection.execute(
            f"delete from log where table_name = {literal(log_name(relations[table.name]))} "
            f"and committed <= {since[table.name]}"
        )
        yield _extract(reader, table, relations[table.name], max(end, since[table.name]), following.notes[table.name])
    reader.on_complete.append(lambda: move_on(following.url, following.slot, end))


def _extract(reader: Reader, table: Table, relation: Relation, end: int, notes: tuple[str, ...]) -> Extract:
    def at(name: str) -> str:
        own = relation.columns.get(name, name).replace('"', '\\"')
        return literal(f'$."{own}"')

    def values(operation: str) -> str:
        # An update doesn't repeat long values that it leaves alone: they stand in the old row.
        return ", ".join(
            f"old ->> {at(name)} as {quoted(name)}"
            if operation == "D"
            else f"case when json_exists(new, {at(name)}) then new ->> {at(name)} "
            f"else old ->> {at(name)} end as {quoted(name)}"
            for name in table.column_names
        )

    def key(row: str) -> str:
        return "[" + ", ".join(f"{row} ->> {at(name)}" for name in table.key) + "]"

    told = "position as _revision, timezone('UTC', cast(committed_at as timestamptz)) as _effective_at"
    mine = f"from log where table_name = {literal(log_name(relation))}"
    # A record that gets another key is gone under the old one.
    moved = f"action = 'U' and {key('old')} <> {key('new')}"
    changed = f"""(
        select {values("U")}, 'U' as _operation, {told} {mine} and action in ('I', 'U')
        union all select {values("D")}, 'D' as _operation, {told} {mine} and (action = 'D' or ({moved})))"""
    row = reader.connection.execute(
        f"select count(*) filter (action in ('I', 'U', 'D')) + count(*) filter ({moved}), "
        f"count(*) filter (action = 'T') {mine}"
    ).fetchone()
    count, truncated = row if row else (0, 0)
    return Extract(
        table,
        changed,
        int(count),
        cursor=json.dumps({"lsn": end}),
        deletes=_truncated(reader, table, relation) if truncated else None,
        notes=notes,
    )


def _truncated(reader: Reader, table: Table, relation: Relation) -> str:
    """A truncate deletes whatever was living before it: in raw, and among the changes before it in this load."""
    columns = ", ".join(quoted(column) for column in table.column_names)
    names = f"{columns}, _operation, _revision, _effective_at"
    return f"""
        with truncates as (
            select position, timezone('UTC', cast(committed_at as timestamptz)) as moment
            from log where table_name = {literal(log_name(relation))} and action = 'T'
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
