"""What a source has no longer, concluded from all that it has, and the guard of an implausible share.

A source that tells neither when a record changed nor what was deleted is compared as a whole: what the contract pass
would load, tokens in the place of identifiers, with the latest version of the same key in raw. Nothing of a record is
kept for it but what raw has anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingestion.contract.contracts import Table, contract_file
from ingestion.load.extracts import Extract, Reader, SourceError
from ingestion.readers.settings import setting, variable
from ingestion.sql import quoted


def compared(reader: Reader, extract: Extract, at: str | None = None) -> Extract:
    """An extract of all records that a source has now, to be compared with raw: what it lacks is deleted.

    Args:
        reader: what a load works with.
        extract: the records.
        at: when what is gone was deleted, see `deletes_of_gone`.

    Raises:
        SourceError: once the records are read: an implausible share of what raw has is gone, or a key stands twice.
    """
    table = extract.table

    def conclude() -> str | None:
        require_different_keys(reader, table)
        reader.connection.execute(f"create or replace temp table living as {reader.latest(table)}")
        find_gone(reader, table, "read_keys", table.key)
        return extract.cursor

    return replace(extract, compared=True, conclude=conclude, deletes=deletes_of_gone(reader, table, at))


def find_gone(reader: Reader, table: Table, there: str, by: Sequence[str]) -> None:
    """What is living in raw and gone at the source, as the temporary table `gone`.

    Args:
        reader: what a load works with; it has the table `living`.
        table: the contract.
        there: the table of the keys of what the source has.
        by: the columns that are its keys, there and in `living`.

    Raises:
        SourceError: more are gone than can be believed.
    """
    # An anti join is several times as fast as `not exists` and `not in`, and faster where it carries keys alone.
    key = ", ".join(quoted(name) for name in by)
    reader.connection.execute(f"""
        create or replace temp table gone as
        with missing as (select {key} from living anti join {there} using ({key}) where _operation <> 'D')
        from living semi join missing using ({key})""")
    row = reader.connection.execute(
        "select (select count(*) from gone), count(*) from living where _operation <> 'D'"
    ).fetchone()
    gone, known = row or (0, 0)
    share = float(setting(table.source, "max_delete_share", 0.1))
    if gone > max(1, share * known):
        raise SourceError(
            f"{table.source}: {gone:,} of {known:,} known {table.name} are gone from the source, more than the "
            f"plausible share of {share:.0%}; nothing was loaded. If they were really deleted, set "
            f"{variable(table.source, 'max_delete_share')}={min(1.0, gone / known + 0.005):.2f} for one run"
        )


def deletes_of_gone(reader: Reader, table: Table, at: str | None = None) -> str:
    """A select of the versions that delete what is in `gone`.

    A delete has no time of its own: it happened when it was observed, or at `at` where what was read is of another
    time (DuckDB, a timestamp), and after the version that it ends.
    """
    columns = ", ".join(quoted(c) for c in table.column_names)
    return f"""
        select {columns}, 'D' as _operation, _revision + 1 as _revision,
            greatest({at or reader.observed}, _effective_at) as _effective_at
        from gone"""


def require_different_keys(reader: Reader, table: Table) -> None:
    """Raise SourceError where keys stand in more than one record of those that were judged."""
    keys = ", ".join(quoted(k) for k in table.key)
    row = reader.connection.execute(f"""
        select count(*) from (select {keys} from judged where _is_good group by all having count(*) > 1)
        """).fetchone()
    refuse_repeated_keys(table, row[0] if row else 0)


def refuse_repeated_keys(table: Table, repeated: int) -> None:
    """Raise SourceError where there are such keys: of two records of one key, nobody knows which is the record."""
    if repeated:
        raise SourceError(
            f"{table.source}: {repeated:,} keys ({', '.join(table.key)}) of {table.name} stand in more than one "
            f"record; nothing was loaded. Mend it at the source, or name the right key in {contract_file(table.source)}"
        )
