"""A table without a change table, by polling: what has a new `updated_at`, and which keys came or went.

Polling sees the states that it polls, and none in between.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from ingestion.contract.contracts import Table
from ingestion.load.extracts import Extract, Reader, SourceError, timestamp_literal
from ingestion.readers.gone import deletes_of_gone, find_gone, refuse_repeated_keys, require_different_keys
from ingestion.readers.sql.database import Database
from ingestion.sql import quoted

_BEGINNING = datetime(1900, 1, 1)  # noqa: DTZ001 (source times are in UTC and have no zone)


def extract(database: Database, reader: Reader, table: Table, lag: timedelta, notes: tuple[str, ...]) -> Extract:
    """The records that changed since the last load, less a lag, or that raw doesn't hold as living.

    All keys are read each time: a key that is gone is a delete, one that is there but not living in raw (restored,
    late with an old time, mended) is read whatever its time.

    Raises:
        SourceError: an implausible share of the records is gone, or a key stands twice.
    """
    if any(column.identifies for column in table.columns if column.name in table.key):
        raise SourceError(
            f"{table.source}: table {table.name} is polled, which compares its keys with raw's, but part of its key "
            "is a direct "
            "identifier, of which raw has tokens; nothing was loaded. Give it a change table, or another key"
        )
    modified = table.modified_at
    assert modified is not None
    if table.name not in reader.cursors:
        return _everything(database, reader, table, modified, notes)
    cursor = json.loads(reader.cursors.get(table.name) or "{}").get("modified_at")
    since = datetime.fromisoformat(cursor) - lag if cursor else _BEGINNING
    living(reader, table)
    _source_keys(database, reader, table, modified)
    find_gone(reader, table, "source_keys", ["key"])
    wanted, outside = _wanted(reader, since)
    relation = database.relation(table)
    # The source itself leaves out what hasn't changed, unless records are wanted whose time says that they haven't,
    # or the time is kept as text, which doesn't compare as a time.
    where = None
    if cursor and not outside and database.columns(relation)[modified].startswith(("timestamp", "datetime")):
        where = f"{relation.own(modified)} >= '{since.isoformat(sep=' ')}+00'"
    records = f"""(
        select {", ".join("s." + quoted(c) for c in table.column_names)}, 'U' as _operation,
            {_version(table)} as _revision, w._effective_at
        from {database.rows(relation, table.column_names, where)} as s
        inner join wanted as w on w.key = {key_of(table, "s.")})"""
    return Extract(
        table=table,
        relation=records,
        source_count=wanted,
        cursor=json.dumps({"modified_at": _newest(reader) or cursor}),
        compare_since=since,
        deletes=deletes_of_gone(reader, table),
        notes=notes,
    )


def _everything(database: Database, reader: Reader, table: Table, modified: str, notes: tuple[str, ...]) -> Extract:
    """The first load: all records, in one reading. There is nothing yet to compare with, and nothing to delete."""
    everything = database.relation(table)
    relation = f"""(
        select *, 'U' as _operation, {_version(table)} as _revision,
            coalesce({database.moment(modified)}, {reader.observed}) as _effective_at
        from {database.rows(everything, table.column_names)} as s)"""

    def conclude() -> str:
        require_different_keys(reader, table)
        newest = reader.connection.execute(
            f"select max({quoted(modified)}) from judged where {quoted(modified)} <= {reader.observed}"
        ).fetchone()
        return json.dumps({"modified_at": newest[0].isoformat(sep=" ") if newest and newest[0] else None})

    return Extract(table, relation, database.count(everything), conclude=conclude, notes=notes)


def _version(table: Table) -> str:
    return "coalesce(try_cast(s.version as bigint), 0)" if "version" in table.column_names else "0"


def key_of(table: Table, prefix: str = "") -> str:
    """A record's key as one text, which is the same for the source's types and raw's."""
    return "to_json([" + ", ".join(f"cast({prefix}{quoted(k)} as varchar)" for k in table.key) + "])"


def living(reader: Reader, table: Table) -> None:
    """The latest version of every record in raw, as the temporary table `living`; deleted ones are in it."""
    reader.connection.execute(
        f"create or replace temp table living as select {key_of(table)} as key, * from ({reader.latest(table)})"
    )


def _source_keys(database: Database, reader: Reader, table: Table, modified: str) -> None:
    """The keys that the source has, with their times in UTC, as the temporary table `source_keys`."""
    columns = list(dict.fromkeys([*table.key, modified]))
    reader.connection.execute(f"""
        create or replace temp table source_keys as
        select {key_of(table)} as key, {database.moment(modified)} as modified_at
        from {database.rows(database.relation(table), columns)}""")
    row = reader.connection.execute("select count(*), count(distinct key) from source_keys").fetchone()
    read, different = row if row else (0, 0)
    refuse_repeated_keys(table, read - different)
    counted = database.count(database.relation(table))
    if counted != read:
        raise SourceError(
            f"{table.source}: {table.name} counts {counted:,} records, but {read:,} keys were read: it is written to "
            "and can't be read in one state; load again"
        )


def _wanted(reader: Reader, since: datetime) -> tuple[int, int]:
    """The keys to read with the time from which each holds, as the temporary table `wanted`.

    A restored record whose time is not after its delete has no time of its own: it holds from when it was observed,
    and goes on to, however often it is read again within the lag.

    Returns:
        How many are wanted, and how many of these although their time is before `since`.
    """
    reader.connection.execute(f"""
        create or replace temp table wanted as
        select s.key, s.modified_at,
            case
                when s.modified_at is null then {reader.observed}
                when l._operation = 'D' and s.modified_at <= l._effective_at
                    then greatest({reader.observed}, l._effective_at)
                when l._operation = 'U' then greatest(s.modified_at, l._effective_at)
                else s.modified_at
            end as _effective_at
        from source_keys as s left join living as l on l.key = s.key
        where s.modified_at >= {timestamp_literal(since)} or coalesce(l._operation, 'D') = 'D'""")
    row = reader.connection.execute(f"""
        select count(*), count(*) filter (coalesce(modified_at < {timestamp_literal(since)}, true)) from wanted
        """).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _newest(reader: Reader) -> str | None:
    """The newest time at the source; one in the future would hide what changes until then, so it doesn't count."""
    row = reader.connection.execute(
        f"select max(modified_at) from source_keys where modified_at <= {reader.observed}"
    ).fetchone()
    return row[0].isoformat(sep=" ") if row and row[0] else None
