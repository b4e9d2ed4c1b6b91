"""A table that says neither when a record changed nor what was deleted: the whole of it, compared with raw's."""

from __future__ import annotations

from ingestion.contract.contracts import Table
from ingestion.load.extracts import Extract, Reader
from ingestion.readers.gone import compared
from ingestion.readers.sql.database import Database


def extract(database: Database, reader: Reader, table: Table, notes: tuple[str, ...]) -> Extract:
    """All records, of which those are loaded that differ from their latest version in raw.

    A record that changed, or came back, holds from when it was observed, and one that is gone was deleted then.

    Raises:
        SourceError: once the records are read: an implausible share of what raw has is gone, or a key stands twice.
    """
    everything = database.relation(table)
    relation = f"""(
        select *, 'U' as _operation, 0 as _revision, {reader.observed} as _effective_at
        from {database.rows(everything, table.column_names)})"""
    return compared(reader, Extract(table, relation, database.count(everything), notes=notes))
