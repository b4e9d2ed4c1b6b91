"""A table followed by its change table, from position to position: every version, and every delete.

A change table has a growing number `position`, `operation` (I, U or D; upper or lower case), `changed_at` and the
contract's columns, with the values after the change (of a delete, before it).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from ingestion.contract.contracts import Table
from ingestion.duck import number
from ingestion.load.extracts import Extract, Reader, SourceError
from ingestion.readers.settings import variable
from ingestion.readers.sql.database import Database, Relation
from ingestion.sql import quoted

POSITION = "position"


def change_table(database: Database, table: Table) -> Relation:
    """A table's change table: `<table>_changes`, or what its contract's meta says."""
    return database.relation(table, str(table.meta.get("change_table", f"{table.at_source}_changes")))


def extract(
    database: Database, reader: Reader, table: Table, bound: int | None, lag: timedelta, notes: tuple[str, ...]
) -> Extract:
    """The changes after the last load's position, up to `bound` (None: there are none at all).

    In Postgres and MySQL a position can be taken before another and committed after it. The last positions
    within the lag are therefore read again; those known are dropped by comparing.

    Raises:
        SourceError: the change table lacks a column, or was set back.
    """
    log = change_table(database, table)
    columns = database.columns(log)
    listed = [POSITION, "operation", "changed_at", *table.column_names]
    gone = [name for name in listed if name not in columns]
    if gone:
        raise SourceError(
            f"{table.source}: table {log.name} has no column {', '.join(gone)} (it has {', '.join(columns)}); nothing "
            f"was loaded. Add it at the source, or set {variable(table.source, 'follow')}=polling"
        )
    cursor = json.loads(reader.cursors.get(table.name) or "{}")
    last = int(cursor.get(POSITION, 0))
    if bound is not None and bound < last:
        raise SourceError(
            f"{table.source}: {log.name} ends at position {bound:,}, but was read up to {last:,} before: it was "
            "emptied and begins anew; nothing was loaded. Let its positions go on after the last, or set "
            f"{variable(table.source, 'follow')}=polling"
        )
    bound = last if bound is None else bound
    where = f"{quoted(POSITION)} > {last} and {quoted(POSITION)} <= {bound}"
    since: datetime | None = None
    if cursor.get("changed_at") and database.dialect != "sqlite":
        since = datetime.fromisoformat(cursor["changed_at"]) - lag
        # A literal without a type: the source reads it as the column's type, with or without a zone.
        where = (
            f"{quoted(POSITION)} <= {bound} and "
            f"({quoted(POSITION)} > {last} or changed_at >= '{since.isoformat(sep=' ')}+00')"
        )
    rows = database.rows(log, listed, where)
    # SQLite's values are text: they are cast here, because these three are no columns of the contract.
    relation = (
        f"select {', '.join(quoted(c) for c in table.column_names)}, "
        "case when upper(cast(operation as varchar)) = 'D' then 'D' else 'U' end as _operation, "
        f"cast({quoted(POSITION)} as bigint) as _revision, "
        f"{database.moment('changed_at')} as _effective_at from {rows}"
    )
    count = database.count(log, where)
    if POSITION not in cursor:
        before, unlogged = _before_the_log(database, reader, table, log)
        relation, count = f"{relation}{before}", count + unlogged
    return Extract(
        table=table,
        relation=f"({relation})",
        source_count=count,
        cursor=json.dumps({POSITION: bound, "changed_at": _newest(database, reader, log, where, cursor)}),
        compare_since=since,
        notes=notes,
    )


def _newest(database: Database, reader: Reader, log: Relation, where: str, cursor: dict[str, Any]) -> str | None:
    """The time of the newest change read, in UTC; a time in the future would leave the lag nothing to read again."""
    row = reader.connection.execute(f"""
        select max(moment) from (
            select {database.moment("changed_at")} as moment
            from {database.rows(log, ["changed_at"], where)}
        ) where moment <= {reader.observed}""").fetchone()
    times = [time for time in (cursor.get("changed_at"), row[0].isoformat(sep=" ") if row and row[0] else None) if time]
    return max(times, default=None)


def _before_the_log(database: Database, reader: Reader, table: Table, log: Relation) -> tuple[str, int]:
    """First load only: records that the change table doesn't mention, because it began after them.

    Returns:
        What to append to the select over the change table, and the number of these records.
    """
    keys, everything = ", ".join(quoted(k) for k in table.key), database.relation(table)
    reader.connection.execute(f"""
        create or replace temp table unlogged as
        select {keys} from {database.rows(everything, table.key)}
        where ({keys}) not in (select ({keys}) from {database.rows(log, table.key)})""")
    count = number(reader.connection, "select count(*) from unlogged")
    if not count:
        return "", 0
    modified = database.moment(table.modified_at) if table.modified_at else "null"
    columns = ", ".join(quoted(c) for c in table.column_names)
    select = (
        f" union all select {columns}, 'U' as _operation, 0 as _revision, "
        f"coalesce({modified}, {reader.observed}) as _effective_at "
        f"from {database.rows(everything, table.column_names)} where ({keys}) in (from unlogged)"
    )
    return select, count
