"""The records of many files, parsed set-wise into a temporary table, and the lines that the parser can't read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from ingestion.contract.contracts import Column
from ingestion.load.extracts import first_line
from ingestion.readers.documents import value_in
from ingestion.readers.files.layout import Layout, written_as
from ingestion.readers.files.versions import Version
from ingestion.sql import literal, quoted

_LONGEST_LINE = 100_000_000
# DuckDB's types that hold several values; raw has them as JSON.
_NESTED = ("STRUCT", "MAP", "UNION")


def parsed(connection: duckdb.DuckDBPyConnection, layout: Layout, versions: Sequence[Version]) -> list[Version]:
    """Parse a layout's sound files into the temporary tables `parsed(layout)` and `unreadable(layout)`.

    The first has the columns that the files have, by raw's names, `path`, and a rowid in the order of the file; the
    second `path`, `line`, `text` and `fault`.

    Returns:
        The versions; those whose records the parser doesn't find in full are faulty now, and have no rows there.
    """
    sound = [version for version in versions if version.content]
    types = _types(layout, sound)
    listed = "".join(f"{quoted(column.name)} {types[column.name]}, " for column in layout.columns)
    records, bad = parsed_table(layout), unreadable_table(layout)
    connection.execute(f"create or replace temp table {records} ({listed}path varchar)")
    connection.execute(f"create or replace temp table {bad} (path varchar, line bigint, text varchar, fault varchar)")
    connection.execute("create or replace temp table fields (name varchar)")
    faults = _read_all(connection, layout, types, sound)
    found = dict(
        connection.execute(f"""
            select path, count(*) from (select path from {records} union all select path from {bad}) group by path
        """).fetchall()
    )
    if layout.format in ("json", "ndjson") and sound:
        fields = tuple(
            str(row[0]) for row in connection.execute("select distinct name from fields order by name").fetchall()
        )
        versions = [
            replace(each, content=replace(each.content, header=fields)) if each.content else each for each in versions
        ]
    return [_checked(connection, layout, version, faults, found.get(str(version.path), 0)) for version in versions]


def parsed_table(layout: Layout) -> str:
    """The temporary table of the records of a layout's new files."""
    return quoted(f"parsed_{layout.table.name}")


def unreadable_table(layout: Layout) -> str:
    """The temporary table of the lines of a layout's new files that are no records."""
    return quoted(f"unreadable_{layout.table.name}")


def _checked(
    connection: duckdb.DuckDBPyConnection, layout: Layout, version: Version, faults: dict[Path, str], read: int
) -> Version:
    count, fault = version.record_count, faults.get(version.path)
    if version.content and not fault and read != count:
        fault = f"{count:,} records were counted, but {read:,} could be parsed"
    if version.content and not fault and layout.holds == "table":
        fault = _repeated(connection, layout, version)
    if not fault:
        return version
    for table in (parsed_table(layout), unreadable_table(layout)):
        connection.execute(f"delete from {table} where path = {literal(str(version.path))}")
    return version.faulty(fault)


def _repeated(connection: duckdb.DuckDBPyConnection, layout: Layout, version: Version) -> str | None:
    """What is wrong with a table of which a key stands twice: nobody knows which of the two is the record."""
    key = ", ".join(quoted(name) for name in layout.table.key if name not in (layout.period, *layout.numbered))
    row = connection.execute(f"""
        select count(*), any_value(key) from (
            select to_json(struct_pack({key})) as key from {parsed_table(layout)}
            where path = {literal(str(version.path))} group by all having count(*) > 1
        )""").fetchone()
    repeated, example = row or (0, "")
    return f"{repeated:,} keys stand in more than one record, such as {example}" if repeated else None


def _types(layout: Layout, versions: Sequence[Version]) -> dict[str, str]:
    """DuckDB's type of each column: a file's own where all files have the same, else text."""
    types: dict[str, str] = {}
    for column in layout.columns:
        found = {_type_in(version, column) for version in versions} - {""}
        types[column.name] = found.pop() if len(found) == 1 else "VARCHAR"
    return types


def _type_in(version: Version, column: Column) -> str:
    """Nothing where the file lacks the column or has no types."""
    if version.content is None or not version.content.types:
        return ""
    name = written_as(column, version.content.header)
    kind = dict(zip(version.content.header, version.content.types, strict=True)).get(name or "", "")
    return "VARCHAR" if _is_nested(kind) else kind


def _is_nested(kind: str) -> bool:
    return kind.startswith(_NESTED) or kind.endswith("]")


def _read_all(
    connection: duckdb.DuckDBPyConnection, layout: Layout, types: dict[str, str], versions: Sequence[Version]
) -> dict[Path, str]:
    """Read the sound files. Returns what is wrong with those that the parser breaks off at."""
    faults: dict[Path, str] = {}
    # One read for all files whose columns stand in the same order, which is nearly always all files.
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Version]] = {}
    for version in versions:
        if version.content:
            alike.setdefault((version.content.header, version.content.types), []).append(version)
    for group in alike.values():
        try:
            _read(connection, layout, types, group)
        except duckdb.Error:
            # One of them breaks the parser: read each on its own, so that it breaks for itself alone.
            for version in group:
                try:
                    _read(connection, layout, types, [version])
                except duckdb.Error as error:
                    faults[version.path] = f"the parser breaks off: {first_line(error)}"
    return faults


def _read(
    connection: duckdb.DuckDBPyConnection, layout: Layout, types: dict[str, str], versions: Sequence[Version]
) -> None:
    """Append the records of files of one form to the tables, in their order. Nothing is sniffed."""
    content = versions[0].content
    assert content is not None
    files = f"[{', '.join(literal(str(version.path)) for version in versions)}]"
    match layout.format:
        case "json" | "ndjson":
            _read_json(connection, layout, files)
        case "parquet":
            written = dict(zip(content.header, content.types, strict=True))
            values = [
                _typed(quoted(name), written[name], types[column.name]) if name else "null"
                for column, name in ((column, written_as(column, content.header)) for column in layout.columns)
            ]
            connection.execute(f"""
                insert into {parsed_table(layout)}
                select {"".join(f"{value}, " for value in values)}filename from read_parquet({files}, filename = true)
                """)
        case _:
            _read_csv(connection, layout, content.header, files)


def _typed(value: str, kind: str, wanted: str) -> str:
    """A value of a Parquet file, as the column of `parsed` has it."""
    if _is_nested(kind):
        return f"cast(to_json({value}) as varchar)"
    if wanted == "VARCHAR" and kind in ("DOUBLE", "FLOAT"):
        # Other files have other numbers here, and a whole one is one in all of them.
        return f"format('{{:.15g}}', cast({value} as double))"
    return value


def _read_csv(connection: duckdb.DuckDBPyConnection, layout: Layout, header: Sequence[str], files: str) -> None:
    names = [written_as(column, header) for column in layout.columns]
    values = "".join(f"{quoted(name) if name else 'null'}, " for name in names)
    kinds = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    delimiter = "," if layout.format == "excel" else layout.delimiter
    connection.execute(f"""
        insert into {parsed_table(layout)}
        select {values}filename
        from read_csv(
            {files}, columns = {{{kinds}}}, auto_detect = false, header = true, filename = true,
            delim = {literal(delimiter)}, quote = '"', escape = '"', nullstr = '',
            store_rejects = true, rejects_table = 'csv_errors', rejects_scan = 'csv_scans'
        )""")
    if not connection.execute("select 1 from duckdb_tables() where table_name = 'csv_errors'").fetchall():
        return
    # The lines that have too few or too many columns, or broken quotes: one row each.
    connection.execute(f"""
        insert into {unreadable_table(layout)}
        select s.file_path, e.line, trim(any_value(e.csv_line), chr(10) || chr(13)), case min(e.error_type)
            when 'MISSING COLUMNS' then 'columns:too few' when 'TOO MANY COLUMNS' then 'columns:too many'
            when 'UNQUOTED VALUE' then 'columns:quotes' else 'columns:' || lower(any_value(e.error_type::varchar)) end
        from csv_errors as e inner join csv_scans as s using (scan_id, file_id)
        where s.file_path in (select unnest({files}))
        group by s.file_path, e.line, e.line_byte_position""")
    connection.execute("drop table csv_errors")
    connection.execute("drop table csv_scans")


def _read_json(connection: duckdb.DuckDBPyConnection, layout: Layout, files: str) -> None:
    """Read lines of JSON, one record each: values of any JSON type as their text, so that nothing is guessed."""
    values = "".join(f"{value_in('line', column)}, " for column in layout.columns)
    connection.execute(f"""
        create or replace temp table lines as
        select line, row_number() over () as number, filename as path,
            json_valid(line) and json_type(case when json_valid(line) then line end) = 'OBJECT' as is_record
        from read_csv(
            {files}, columns = {{'line': 'VARCHAR'}}, delim = chr(1), quote = '', escape = '', header = false,
            auto_detect = false, filename = true, max_line_size = {_LONGEST_LINE}
        )""")
    connection.execute(f"insert into {parsed_table(layout)} select {values}path from lines where is_record")
    connection.execute("insert into fields select distinct unnest(json_keys(line)) from lines where is_record")
    connection.execute(f"""
        insert into {unreadable_table(layout)}
        select path, number - min(number) over (partition by path) + 1, line, 'record:no object' from lines
        qualify not is_record""")
