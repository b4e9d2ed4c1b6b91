"""A table that says neither when a record changed nor what was deleted: the whole of it, compared with raw's.

Nothing of a record is kept for it but what raw has anyway: the contract pass compares what it would load, tokens in the
place of identifiers, with the latest version of the same key.
"""

from __future__ import annotations

from ingestion.contract.contracts import Table
from ingestion.load.extracts import Extract, Reader
from ingestion.readers.sql.database import Database
from ingestion.readers.sql.polling import deletes_of_gone, find_gone, require_different_keys
from ingestion.sql import quoted


def extract(
    database: Database, reader: Reader, table: Table, max_delete_share: float, notes: tuple[str, ...]
) -> Extract:
    """All records, of which those are loaded that differ from their latest version in raw.

    A record that changed, or came back, holds from when it was observed, and one that is gone was deleted then.

    Raises:
        SourceError: once the records are read: an implausible share of what raw has is gone, or a key stands twice.
    """
    everything = database.relation(table)
    same = " and ".join(f"r.{quoted(name)} = living.{quoted(name)}" for name in table.key)

    def conclude() -> None:
        require_different_keys(reader, table)
        reader.connection.execute(f"create or replace temp table living as {reader.latest(table)}")
        find_gone(reader, table, f"not exists (from read_keys as r where {same})", max_delete_share)

    relation = f"""(
        select *, 'U' as _operation, 0 as _revision, {reader.observed} as _effective_at
        from {database.rows(everything, table.column_names)})"""
    return Extract(
        table,
        relation,
        database.count(everything),
        conclude=conclude,
        compared=True,
        deletes=deletes_of_gone(reader, table),
        notes=notes,
    )
