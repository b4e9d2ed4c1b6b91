"""The resources that were read, by type, as extracts: what each says, since when, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion.contract.contracts import Table
from ingestion.duck import fill, number
from ingestion.load.extracts import Extract, Reader, all_columns, no_rows
from ingestion.readers.fhir.contents import MARK
from ingestion.readers.fhir.elements import Resources
from ingestion.readers.fhir.lines import read_lines
from ingestion.sql import literal, quoted

_NAME = re.compile(r"_?[a-z][A-Za-z0-9]{0,63}")
_SHOWN = 20
_NO_ELEMENT = "(no name of an element)"
_GIVEN = "_operation, _revision, _effective_at"


@dataclass(frozen=True)
class Lines:
    """A file of lines of one resource each.

    name: what it is called in raw and in messages.
    at: since when a version holds that says nothing of it, UTC.
    revision: what such a version's is above, and below that of a later file.
    is_marked: its lines have what their bundle says of a resource.
    """

    path: Path
    name: str
    at: datetime
    revision: int
    is_marked: bool = False


def read(connection: duckdb.DuckDBPyConnection, files: Sequence[Lines]) -> None:
    """Read files of lines, in their order, as the view `told`: each line, since when it holds, and its revision.

    Of versions of one time the later line of a file is the later one, where the resource has no number of its version.
    """
    read_lines(connection, [file.path for file in files], [file.path for file in files if file.is_marked])
    columns = {"path": "varchar", "name": "varchar", "file_at": "timestamp", "revision": "bigint"}
    listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(f"create or replace temp table read_files ({listed})")
    rows = [(str(file.path), file.name, file.at.replace(tzinfo=None), file.revision) for file in files]
    fill(connection, "read_files", columns, rows)
    connection.execute("""
        create or replace temp table first_places as
        select path, min(rowid) as first_place from resource_lines group by path""")
    connection.execute("""
        create or replace temp view told as
        select lines.*, read_files.name, lines.rowid - first_place + 1 as number,
            case when is_deleted then 'D' else 'U' end as _operation,
            coalesce(updated_at, told_at, file_at) as _effective_at,
            case
                when updated_at is null and told_at is null then read_files.revision + lines.rowid - first_place + 1
                when version is not null then version
                when updated_at is null then epoch_us(told_at) + lines.rowid - first_place + 1
                else epoch_us(updated_at)
            end as _revision
        from resource_lines as lines
        inner join read_files using (path)
        inner join first_places using (path)""")


def counts_by_file(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """The lines that were read of each file, by its path, and those of them that say nothing of their time."""
    rows = connection.execute("""
        select path, count(*), count(*) filter (where fault is null and updated_at is null and told_at is null)
        from resource_lines group by path""").fetchall()
    return {str(path): (count, timeless) for path, count, timeless in rows}


def extracts_of(
    reader: Reader, typed: Sequence[Resources], others: Table, cursors: Mapping[str, str] | None = None
) -> Generator[Extract, None, None]:
    """What was read, a table at a time; `others` has what no other table has.

    Args:
        reader: what a load works with.
        typed: the tables of the types.
        others: the table of all other types.
        cursors: how far each table's extract reads, by the table's name.
    """
    connection = reader.connection
    counts = dict(connection.execute("select type, count(*) from told where fault is null group by type").fetchall())
    columns = all_columns(reader.contract)
    for each in typed:
        cursor = (cursors or {}).get(each.table.name)
        if each.type not in counts:  # to find nothing in nothing takes DuckDB as long to plan as anything
            yield Extract(each.table, f"({no_rows(columns[each.table.name])})", 0, cursor=cursor)
            continue
        unknown = _unknown_elements(reader, each)
        yield Extract(
            each.table,
            f"({each.selected(_GIVEN)})",
            source_count=counts[each.type],
            cursor=cursor,
            repeats=_may_repeat(reader, each.table, f"type = {literal(each.type)}"),
            beyond=tuple(unknown.items()),
            notes=_notes(reader.contract.name, each, unknown),
        )
    yield _others(reader, typed, others)


def _others(reader: Reader, typed: Sequence[Resources], table: Table) -> Extract:
    """The resources of types that have no table, and the lines that are no resources."""
    known = ", ".join(literal(each.type) for each in typed)
    mine = f"coalesce(type not in ({known}), true)"
    key = {"resource_type": "type", "id": "id"}
    values = {**key, "byte_count": _BYTES}
    listed = ", ".join(f"{values[name]} as {quoted(name)}" for name in table.column_names)
    source = reader.contract.name
    found = reader.connection.execute(
        f"select type, count(*) from told where {mine} and type is not null and fault is null group by type order by 1"
    ).fetchall()
    shown = ", ".join(f"{kind} {count:,}" for kind, count in found)
    note = f"{source}: of types that have no table: {shown}; {reader.contract.schema}.{table.name} has their ids"
    return Extract(
        table,
        f"(select {listed}, {_GIVEN} from told where {mine} and fault is null)",
        source_count=number(reader.connection, f"select count(*) from told where {mine} or fault is not null"),
        # A line that can't be told into elements may tell of anybody: where it lies, and nothing of what it says.
        rejects=f"""
            select to_json([{", ".join("null" for _ in table.reject_key)}]) as record_key,
                json_object('file_name', name, 'line', number, 'byte_count', strlen(line)) as record,
                to_json([fault]) as reasons, _revision, _effective_at
            from told where fault is not null"""
        if reader.connection.execute("select 1 from told where fault is not null limit 1").fetchall()
        else None,
        repeats=_may_repeat(reader, table, mine),
        notes=(note,) if found else (),
    )


# Without what its bundle says of it.
_BYTES = """strlen(line) - coalesce(strlen(',"#":' || cast(json_extract(line, '$."#"') as varchar)), 0)"""


def _may_repeat(reader: Reader, table: Table, mine: str) -> bool:
    """Whether an id stands twice among these resources, or in raw: else all of them are new, which is told quickly."""
    connection = reader.connection
    if connection.execute(f"""
            select 1 from told where {mine} and fault is null group by type, id having count(*) > 1 limit 1
            """).fetchall():
        return True
    if table.name not in reader.existing:
        return False
    ids = f"(select id from told where {mine} and fault is null)"
    return bool(
        connection.execute(
            f"select 1 from {reader.complete(table.name)} as known semi join {ids} as new using (id) limit 1"
        ).fetchall()
    )


def _unknown_elements(reader: Reader, resources: Resources) -> dict[str, int]:
    """The elements that the contract neither loads nor leaves, and how many resources have each, the most first."""
    rows = reader.connection.execute(f"""
        select element, sum(records) as records from (
            select unnest(elements) as element, count(*) as records from (
                select json_keys(line) as elements from resource_lines
                where type = {literal(resources.type)} and fault is null and not is_deleted
            ) group by elements
        ) group by element order by records desc, element""").fetchall()
    found = dict[str, int]()
    for name, count in rows:
        if name not in resources.known | {MARK}:
            # What is no name of an element may be anything.
            shown = str(name) if _NAME.fullmatch(str(name)) else _NO_ELEMENT
            found[shown] = found.get(shown, 0) + int(count)
    return found


def _notes(source: str, resources: Resources, unknown: dict[str, int]) -> tuple[str, ...]:
    shown = [f"{resources.type}.{name}: {count:,} records" for name, count in unknown.items()]
    more = [f"{len(shown) - _SHOWN:,} more"] if len(shown) > _SHOWN else []
    return (f"{source}: not in the contract: {', '.join(shown[:_SHOWN] + more)}",) if shown else ()
