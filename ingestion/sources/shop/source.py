"""What the shop has to say since the last load, by its change tables or else by polling."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dlt
import duckdb

from ingestion.contract_sql import literal, quoted
from ingestion.contracts import Table
from ingestion.loading import Extract, Reader, SourceError
from ingestion.sources.shop.database import Database, attach

FOLLOW = ("auto", "changes", "polling")


@dataclass(frozen=True)
class Settings:
    """The shop's configuration, dlt's way: section [sources.shop], variables SOURCES__SHOP__…"""

    credentials: str
    schema: str | None
    follow: str
    lag_minutes: float
    max_delete_share: float


def is_configured() -> bool:
    """Whether SOURCES__SHOP__CREDENTIALS (or its place in .dlt) is set."""
    return bool(_setting("credentials"))


def _setting(name: str, default: Any = None) -> Any:
    key = f"sources.shop.{name}"
    value = dlt.secrets.get(key) if name == "credentials" else dlt.config.get(key)
    return default if value is None else value


def settings() -> Settings:
    """The shop's settings with their defaults. Raises SourceError where one is not among its choices."""
    follow = str(_setting("follow", "auto"))
    if follow not in FOLLOW:
        raise SourceError(f"shop: SOURCES__SHOP__FOLLOW is '{follow}': use one of {', '.join(FOLLOW)}")
    return Settings(
        credentials=str(_setting("credentials")),
        schema=_setting("schema"),
        follow=follow,
        lag_minutes=float(_setting("lag_minutes", 60)),
        max_delete_share=float(_setting("max_delete_share", 0.1)),
    )


def extracts(reader: Reader) -> Iterator[Extract]:
    """The shop's extracts, one a table, all from one consistent state of the database.

    Raises:
        SourceError: the database refuses, lacks a table or column, or an implausible share of a table is gone.
    """
    chosen = settings()
    database = attach(reader.connection, chosen.credentials, chosen.schema, reader.workspace, copy=False)
    by_changes = _by_changes(database, reader, chosen)
    if database.dialect == "sqlite" and not all(by_changes.values()):
        reader.connection.execute("detach shop")
        database = attach(reader.connection, chosen.credentials, chosen.schema, reader.workspace, copy=True)
    # Postgres and MySQL: every statement of this transaction sees the same state of the source (repeatable read).
    reader.connection.execute("begin transaction")
    try:
        bounds = _bounds(database, reader) if any(by_changes.values()) else {}
        for table in reader.contract.tables:
            notes = _drift(database, table)
            if by_changes[table.name]:
                yield _changes(database, reader, table, bounds[table.name], chosen, notes)
            else:
                yield _polling(database, reader, table, chosen, notes)
    except duckdb.Error as error:
        raise SourceError(f"shop: the database broke off while it was read: {error}; load again") from error
    finally:
        _finish(reader)


def _finish(reader: Reader) -> None:
    try:
        reader.connection.execute("commit")
    except duckdb.Error:
        # The source is gone in the middle: nothing was written to it, and nothing is left to undo.
        pass


def _by_changes(database: Database, reader: Reader, chosen: Settings) -> dict[str, bool]:
    found = {table.name: bool(database.columns(_change_table(table))) for table in reader.contract.tables}
    if chosen.follow == "polling":
        return dict.fromkeys(found, False)
    if chosen.follow == "changes" and not all(found.values()):
        lacking = ", ".join(f"{name}_changes" for name, there in found.items() if not there)
        raise SourceError(f"shop: SOURCES__SHOP__FOLLOW=changes, but the database has no table {lacking}")
    return found


def _change_table(table: Table) -> str:
    return str(table.meta.get("change_table", f"{table.name}_changes"))


def _drift(database: Database, table: Table) -> tuple[str, ...]:
    """Compare the table with its contract. A column that is gone stops the load, a new one is reported."""
    columns = database.columns(table.name)
    if not columns:
        raise SourceError(f"shop: the database has no table {table.name} in {database.schema}; nothing was loaded")
    gone = [name for name in table.column_names if name not in columns]
    if gone:
        raise SourceError(
            f"shop: table {table.name} has lost the column {', '.join(gone)} (it has {', '.join(columns)}); nothing was "
            "loaded. Restore it at the source, or take it out of models/staging/shop/_shop__sources.yml and staging"
        )
    never = set(table.meta.get("never_extracted", ()))
    new = [name for name in columns if name not in table.column_names and name not in never]
    return (f"shop.{table.name} has a new column {', '.join(new)}, which its contract doesn't know",) if new else ()


def _bounds(database: Database, reader: Reader) -> dict[str, int]:
    """The last position of every change table, all read in one transaction of the source."""
    names = {table.name: _change_table(table) for table in reader.contract.tables}
    parts = [
        f"select {literal(name)} as name, max({database.identifier('position')}) as bound from {database.table(changes)}"
        for name, changes in names.items()
        if database.columns(changes)
    ]
    query = " union all ".join(parts)
    if database.dialect == "sqlite":
        # DuckDB may read SQLite through several connections, which don't share a state: ask with one of our own.
        with closing(sqlite3.connect(f"file:{database.path}?mode=ro", uri=True)) as source:
            rows = source.execute(query).fetchall()
    else:
        rows = reader.connection.execute(f"select * from {database.remote(query)}").fetchall()
    return {str(name): int(bound or 0) for name, bound in rows}


def _changes(
    database: Database, reader: Reader, table: Table, bound: int, chosen: Settings, notes: tuple[str, ...]
) -> Extract:
    """Read a change table by position: (the last load's position, the bound].

    In Postgres and MySQL a position can be taken before another and committed after it. The last positions
    within the lag are therefore read again; those known are dropped by comparing.
    """
    changes = _change_table(table)
    columns = database.columns(changes)
    gone = [name for name in ["position", "operation", "changed_at", *table.column_names] if name not in columns]
    if gone:
        raise SourceError(f"shop: table {changes} has no column {', '.join(gone)}; nothing was loaded")
    cursor = json.loads(reader.cursors.get(table.name, "{}"))
    last = int(cursor.get("position", 0))
    position, changed_at = database.identifier("position"), database.identifier("changed_at")
    where = f"{position} > {last} and {position} <= {bound}"
    since: datetime | None = None
    if last and database.dialect != "sqlite":
        since = datetime.fromisoformat(cursor["changed_at"]) - timedelta(minutes=chosen.lag_minutes)
        where = f"{position} <= {bound} and ({position} > {last} or {changed_at} >= '{since.isoformat(sep=' ')}')"
    count = database.number(f"select count(*) from {database.table(changes)} where {where}")
    listed = ["position", "operation", "changed_at", *table.column_names]
    rows = database.select(changes, listed, where) if last else f"(select * from {database.scan(changes, listed)} where cast(\"position\" as bigint) <= {bound})"
    newest = cursor.get("changed_at")
    if count:
        latest = database.connection.execute(
            f"select max(cast(changed_at as timestamp)) from {database.select(changes, ['changed_at'], where)}"
        ).fetchone()
        newest = max(filter(None, [newest, latest[0].isoformat(sep=" ") if latest and latest[0] else None]))
    relation = (
        f"(select {', '.join(quoted(c) for c in table.column_names)}, "
        f"case when operation in ('D', 'd') then 'D' else 'U' end as _operation, "
        f'cast("position" as bigint) as _revision, cast(changed_at as timestamp) as _effective_at from {rows})'
    )
    return Extract(
        table=table,
        relation=relation,
        source_count=count,
        cursor=json.dumps({"position": bound, "changed_at": newest}),
        compare_since=since,
        notes=notes,
    )


def _polling(
    database: Database, reader: Reader, table: Table, chosen: Settings, notes: tuple[str, ...]
) -> Extract:
    """Read what changed by `updated_at`, with a lag window, and find deletes by comparing keys.

    A record that is there but not live in raw (restored, or late with an old time) is read whatever its time.
    One that comes back unchanged after a delete has no time of its own: it holds from when it was observed.
    """
    modified = str(table.meta.get("modified_at", "updated_at"))
    cursor = json.loads(reader.cursors.get(table.name, "{}"))
    listed = ", ".join(quoted(c) for c in table.column_names)
    observed = f"timestamp '{reader.observed_at.replace(tzinfo=None).isoformat(sep=' ')}'"
    keys = ", ".join(quoted(k) for k in table.key)
    connection = database.connection
    highest = connection.execute(
        f"select max(try_cast({quoted(modified)} as timestamp)) from {database.select(table.name, [modified])}"
    ).fetchone()
    newest = highest[0].isoformat(sep=" ") if highest and highest[0] else cursor.get("modified_at")
    revision = "try_cast(version as bigint)" if "version" in table.column_names else f"epoch_us(try_cast({quoted(modified)} as timestamp))"
    meta = f"'U' as _operation, {revision} as _revision, coalesce(try_cast({quoted(modified)} as timestamp), {observed}) as _effective_at"
    if not cursor:
        count = database.number(f"select count(*) from {database.table(table.name)}")
        relation = f"(select {listed}, {meta} from {database.scan(table.name, table.column_names)})"
        return Extract(table, relation, count, json.dumps({"modified_at": newest}), notes=notes)
    since = datetime.fromisoformat(cursor["modified_at"]) - timedelta(minutes=chosen.lag_minutes) if cursor["modified_at"] else datetime(1970, 1, 1)
    _live_keys(reader, table)
    connection.execute(f"create or replace temp table source_keys as select {keys} from {database.select(table.name, list(table.key))}")
    same = " and ".join(f"cast(s.{quoted(k)} as varchar) = cast(l.{quoted(k)} as varchar)" for k in table.key)
    gone, live = connection.execute(
        f"select count(*) filter (where not exists (select 1 from source_keys s where {same})), count(*) "
        "from live l where l._operation <> 'D'"
    ).fetchone() or (0, 0)
    if gone > max(1, chosen.max_delete_share * live):
        raise SourceError(
            f"shop: {gone:,} of {live:,} known {table.name} are gone from the source, more than the plausible share of "
            f"{chosen.max_delete_share:.0%}; nothing was loaded. If they were really deleted, set "
            f"SOURCES__SHOP__MAX_DELETE_SHARE={min(1.0, gone / live):.2f} for one run"
        )
    changed = f"try_cast({quoted(modified)} as timestamp) >= timestamp '{since.isoformat(sep=' ')}'"
    pulled = database.select(table.name, table.column_names)
    connection.execute(f"""
        create or replace temp table polled as
        select {listed}, 'U' as _operation, {revision} as _revision,
            case when l._operation = 'D' then greatest({observed}, coalesce(try_cast(s.{quoted(modified)} as timestamp), {observed}))
                else coalesce(try_cast(s.{quoted(modified)} as timestamp), {observed}) end as _effective_at
        from {pulled} s left join (select {keys} as {keys.replace(", ", ", ")}, _operation from live) l using ({keys})
        where {changed.replace(quoted(modified), "s." + quoted(modified))} or l._operation is null or l._operation = 'D'
        union all by name
        select l.* exclude (_operation, _revision, _effective_at), 'D' as _operation, l._revision + 1 as _revision, {observed} as _effective_at
        from live l where l._operation <> 'D' and not exists (select 1 from source_keys s where {same})""")
    count = connection.execute("select count(*) from polled").fetchone()
    return Extract(
        table=table,
        relation="(select * from polled)",
        source_count=int(count[0]) if count else 0,
        cursor=json.dumps({"modified_at": newest}),
        compare_since=since,
        notes=notes,
    )


def _live_keys(reader: Reader, table: Table) -> None:
    """The latest version of every key in raw, as the temporary table `live`."""
    keys = ", ".join(quoted(k) for k in table.key)
    reader.connection.execute(f"""
        create or replace temp table live as
        select {", ".join(quoted(c) for c in table.column_names)}, _operation, _revision, _effective_at
        from {reader.complete(table.name)}
        qualify row_number() over (partition by {keys} order by _effective_at desc, _revision desc) = 1""")
