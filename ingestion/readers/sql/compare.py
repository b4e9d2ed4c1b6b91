"""A table that says neither when a record changed nor what was deleted: the whole of it, compared with raw's.

Nothing of a record is kept for it but what raw has anyway: the contract pass compares what it would load, tokens in the
place of identifiers, with the latest version of the same key.
"""

from __future__ import annotations

from ingestion.contract.contracts import Table
from ingestion.load.extracts import Extract, Reader
from ingestion.readers.sql.database import Database
from ingestion.readers.sql.polling import refuse_repeated_keys, require_plausible
from ingestion.sql import quoted


def extract(
    database: Database, reader: Reader, table: Table, max_delete_share: float, notes: tuple[str, ...]
) -> Extract:
    """All records, of which those are loaded that differ from their latest version in raw.

    A record that changed, or came back, holds from when it was observed, and one that is gone was deleted then.

    Raises:
        SourceError: once the records are read: an implausible share of what raw has is gone, or a key stands twice.
    """
    keys, everything = ", ".join(quoted(name) for name in table.key), database.relation(table)

    def conclude() -> None:
        connection = reader.connection
        row = connection.execute(f"""
            select count(*) from (select {keys} from judged where _is_good group by all having count(*) > 1)
            """).fetchone()
        refuse_repeated_keys(table, row[0] if row else 0)
        connection.execute(f"create or replace temp table living as {reader.latest(table)}")
        row = connection.execute(f"""
            select count(*) filter (not exists (from read_keys as r where {_same(table, "r", "l")})), count(*)
            from living as l where l._operation <> 'D'""").fetchone()
        gone, known = row or (0, 0)
        require_plausible(table, gone, known, max_delete_share)

    relation = f"""(
        select *, 'U' as _operation, 0 as _revision, {reader.observed} as _effective_at
        from {database.rows(everything, table.column_names)})"""
    deletes = f"""
        select {", ".join(quoted(name) for name in table.column_names)}, 'D' as _operation,
            _revision + 1 as _revision, greatest({reader.observed}, _effective_at) as _effective_at
        from living as l
        where _operation <> 'D' and not exists (from read_keys as r where {_same(table, "r", "l")})"""
    return Extract(
        table,
        relation,
        database.count(everything),
        conclude=conclude,
        compared=True,
        deletes=deletes,
        notes=notes,
    )


def _same(table: Table, one: str, other: str) -> str:
    return " and ".join(f"{one}.{quoted(name)} = {other}.{quoted(name)}" for name in table.key)
