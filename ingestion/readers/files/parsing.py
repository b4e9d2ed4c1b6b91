"""The records of many files, parsed set-wise into a temporary table, and the lines that the parser can't read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from ingestion.load.extracts import first_line
from ingestion.readers.files.layout import bare
from ingestion.readers.files.versions import Version
from ingestion.sql import literal, quoted


def parsed(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], added: Sequence[str], versions: Sequence[Version]
) -> Iterator[Version]:
    """Parse all sound files into the table `parsed` and their unreadable lines into `unreadable`.

    Args:
        connection: where the tables are made.
        columns: the columns that every file has, by the files' own names.
        added: those that a file may have, by raw's names.
        versions: the files.

    Yields:
        The versions; those whose records the parser doesn't find in full are faulty now, and have no rows there.
    """
    listed = ", ".join(f"{quoted(name)} varchar" for name in [*columns, *added])
    connection.execute(f"create or replace temp table parsed ({listed}, path varchar)")
    faults = _read_all(connection, columns, added, versions)
    _unreadable(connection)
    found = dict(
        connection.execute("""
            select path, count(*) from (select path from parsed union all select path from unreadable) group by path
        """).fetchall()
    )
    for version in versions:
        count, count_parsed = version.record_count, found.get(str(version.path), 0)
        fault = faults.get(version.path)
        if version.content and not fault and count_parsed != count:
            fault = f"{count:,} records were counted, but {count_parsed:,} could be parsed"
        if fault:
            for table in ("parsed", "unreadable"):
                connection.execute(f"delete from {table} where path = {literal(str(version.path))}")
        yield version.faulty(fault) if fault else version


def _read_all(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], added: Sequence[str], versions: Sequence[Version]
) -> dict[Path, str]:
    """Read the sound files. Returns what is wrong with those that the parser breaks off at."""
    faults: dict[Path, str] = {}
    # One read for all files whose columns stand in the same order, which is nearly always all files.
    by_header: dict[tuple[str, ...], list[Version]] = {}
    for version in versions:
        if version.content:
            by_header.setdefault(version.content.header, []).append(version)
    for header, group in by_header.items():
        try:
            _read_csv(connection, header, columns, added, [version.path for version in group])
        except duckdb.Error:
            # One of them breaks the parser: read each on its own, so that it breaks for itself alone.
            for version in group:
                try:
                    _read_csv(connection, header, columns, added, [version.path])
                except duckdb.Error as error:
                    faults[version.path] = f"the parser breaks off: {first_line(error)}"
    return faults


def _read_csv(
    connection: duckdb.DuckDBPyConnection,
    header: Sequence[str],
    columns: Sequence[str],
    added: Sequence[str],
    paths: Sequence[Path],
) -> None:
    """Append the files' records to `parsed`, in their order. Nothing is sniffed: the header has been read already."""
    written = {bare(name): quoted(name) for name in header}
    values = [*map(quoted, columns), *(written.get(bare(name), "null") for name in added)]
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    files = ", ".join(literal(str(path)) for path in paths)
    connection.execute(f"""
        insert into parsed
        select {", ".join(values)}, filename
        from read_csv(
            [{files}], columns = {{{types}}}, auto_detect = false, header = true, filename = true,
            delim = ',', quote = '"', escape = '"', nullstr = '',
            store_rejects = true, rejects_table = 'csv_errors', rejects_scan = 'csv_scans'
        )""")


def _unreadable(connection: duckdb.DuckDBPyConnection) -> None:
    """The lines that have too few or too many columns, or broken quotes: one row each, as `unreadable`."""
    connection.execute(
        "create or replace temp table unreadable (path varchar, line bigint, text varchar, fault varchar)"
    )
    if not connection.execute("select 1 from duckdb_tables() where table_name = 'csv_errors'").fetchall():
        return
    connection.execute("""
        insert into unreadable
        select s.file_path, e.line, trim(any_value(e.csv_line), chr(10) || chr(13)), case min(e.error_type)
            when 'MISSING COLUMNS' then 'too few' when 'TOO MANY COLUMNS' then 'too many'
            when 'UNQUOTED VALUE' then 'quotes' else lower(any_value(cast(e.error_type as varchar))) end
        from csv_errors as e inner join csv_scans as s using (scan_id, file_id)
        group by s.file_path, e.line, e.line_byte_position""")
