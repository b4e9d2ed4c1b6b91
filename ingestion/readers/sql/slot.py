"""What is asked of a source's Postgres to follow its log: whether it can be, its slot, what the slot holds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from ingestion.load.extracts import SourceError
from ingestion.readers.sql.database import Relation

# What the server is asked of each line of the log.
DECODED = ("position", "xid", "action", "table_name", "committed_at", "new", "old")
# How long a slot may still be held by a load that was killed.
_PATIENCE_SECONDS = 20.0


def dsn(url: str) -> str:
    """A source's URL as libpq takes it, which leaves what PGOPTIONS asks of the warehouse's server to that."""
    found = "postgresql://" + url.split("://", 1)[1]
    return found if "options=" in found else f"{found}{'&' if '?' in found else '?'}options="


def rows(connection: Any, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """The rows of a query, none where it gives none."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall()) if cursor.description else []


def require_whole_log(connection: Any, source: str, tables: Sequence[Relation]) -> None:
    """Raise SourceError where the server doesn't write what following takes; the message says what to set."""
    level = rows(connection, "select current_setting('wal_level')")[0][0]
    if level != "logical":
        raise SourceError(
            f"{source}: its log can't be followed, for wal_level is {level}: set it to logical and restart"
        )
    partly = rows(
        connection,
        "select format('%%I.%%I', n.nspname, c.relname) from pg_class as c join pg_namespace as n "
        "on n.oid = c.relnamespace join unnest(%s, %s) as wanted (schema_name, table_name) "
        "on n.nspname = wanted.schema_name and c.relname = wanted.table_name where c.relreplident <> 'f' order by 1",
        [[table.schema for table in tables], [table.name for table in tables]],
    )
    if partly:
        statements = "; ".join(f"alter table {name} replica identity full" for (name,) in partly)
        raise SourceError(
            f"{source}: the log has not all values of {len(partly)} tables; nothing was loaded: {statements}"
        )


def slot_status(connection: Any, slot: str) -> str | None:
    """Postgres's own word for how a slot is; None where there is none of that name."""
    found = rows(connection, "select wal_status from pg_replication_slots where slot_name = %s", [slot])
    return str(found[0][0]) if found else None


def kept_bytes(url: str, slot: str) -> int | None:
    """How much of its log the server keeps for a slot, in bytes; None where there is none of that name."""
    with closing(psycopg2.connect(dsn(url))) as connection:
        found = rows(
            connection,
            "select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) from pg_replication_slots where slot_name = %s",
            [slot],
        )
    return int(found[0][0] or 0) if found else None


def to_file(connection: Any, query: sql.Composable, file: Path) -> Path:
    """Write a query's rows to a CSV file with a header, by COPY."""
    with connection.cursor() as cursor, file.open("wb") as target:
        cursor.copy_expert(sql.SQL("copy ({}) to stdout (format csv, header)").format(query), target)
    return file


def log_name(table: Relation) -> str:
    """What a table is called in the log: `table_name` of `decoded`."""
    return f"{table.schema}.{table.name}"


def decoded(slot: str, batch: int, tables: Mapping[Relation, Sequence[str]], bound: int) -> sql.Composable:
    """A query of what a slot holds up to a position, with the columns `DECODED`; nothing is taken from it.

    The server itself leaves out the columns that no contract has, so they never leave it.

    Args:
        slot: the slot's name.
        batch: about how many lines to give at most.
        tables: the tables, and the database's own names of the columns that the contract has of each.
        bound: the position.
    """
    wanted = sorted({column for columns in tables.values() for column in columns})
    # As texts: DuckDB would read a number through a double. wal2json leaves out how bytes begin.
    value = "case c ->> 'type' when 'bytea' then '\\x' else '' end || (c ->> 'value')"
    values = (
        f"(select jsonb_object_agg(c ->> 'name', {value}) from jsonb_array_elements(d.data -> {{part}}) as c "
        "where c ->> 'name' = any({wanted}))"
    )
    query = (
        "select d.lsn - '0/0'::pg_lsn as position, d.xid, d.data ->> 'action' as action, "
        "(d.data ->> 'schema') || '.' || (d.data ->> 'table') as table_name, "
        f"d.data ->> 'timestamp' as committed_at, {values.replace('{part}', '{new}')} as new, "
        f"{values.replace('{part}', '{old}')} as old from (select lsn, xid::text as xid, data::jsonb as data from "
        "pg_logical_slot_peek_changes({slot}, '0/0'::pg_lsn + {bound}, {batch}, 'format-version', '2', "
        "'include-timestamp', 'true', 'add-tables', {tables})) as d"
    )
    return sql.SQL(query).format(
        new=sql.Literal("columns"),
        old=sql.Literal("identity"),
        wanted=sql.Literal(wanted),
        slot=sql.Literal(slot),
        bound=sql.Literal(bound),
        batch=sql.Literal(batch),
        tables=sql.Literal(named(tables)),
    )


def named(tables: Iterable[Relation]) -> str:
    """A list of tables as wal2json takes it."""

    def escaped(name: str) -> str:
        return re.sub(r"([\s,'.*\\])", r"\\\1", name)

    return ",".join(f"{escaped(table.schema)}.{escaped(table.name)}" for table in tables)


def move_on(url: str, slot: str, end: int) -> None:
    """Let the server forget the log up to here. Where that fails, the next load does it."""
    with suppress(psycopg2.Error), closing(psycopg2.connect(dsn(url))) as connection:
        connection.autocommit = True
        rows(
            connection,
            "select pg_replication_slot_advance(%s, least('0/0'::pg_lsn + %s, pg_current_wal_flush_lsn()))",
            [slot, end],
        )


def patiently(call: Callable[[], object]) -> None:
    """Call it again while the slot is still held: the session of a load that was killed may take a moment to end."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            call()
            return
        except psycopg2.errors.ObjectInUse:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
