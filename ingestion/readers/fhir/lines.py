"""Lines of one resource each as the temporary table `resource_lines`, each told by its type, and what is wrong with it.

Its rowid is a line's place, over all files in their order. Numbers that DuckDB would write otherwise are texts there:
it passes them through a binary float, which makes 2.5 of 2.50, and the digits past the fifteenth up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from ingestion.duck import fill
from ingestion.readers.documents import dumped
from ingestion.readers.fhir.contents import careful
from ingestion.sql import literal, utc_time

_LONGEST_LINE = 100_000_000
# Levels within a resource. Postgres reads some thousand, which a line of less than so many bytes can't have.
_DEEPEST, _SHORT = 500, 10_000
_AT_ONCE = 1_000
NO_OBJECT, TOO_DEEP, ZERO = "record:no object", "record:nested too deeply", "record:zero character"

# A number where JSON has one, that is written otherwise: zeros at its end, more than 15 digits, an exponent.
_ODD = r"([:\[,]\s*)(-?[0-9]+\.[0-9]+0|-?[0-9][0-9.]{15,}|-?[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]+)(\s*[,}\]])"
_ZERO = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PATHS = ("resourceType", "id", "meta.lastUpdated", "meta.versionId", '"#".op', '"#".at', '"#".version')


def read_lines(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], marked: Sequence[Path]) -> None:
    """Read files of lines, in their order, into `resource_lines`.

    Its columns: `path`, `line`, `fault` (null where the line is a resource), `type`, `id`, `is_deleted`, `updated_at`
    and `told_at` (since when the version holds, as the resource and as its bundle says, UTC), `version` (its number,
    where it has one), `needs_care`.

    Args:
        connection: where to make the table.
        files: the files.
        marked: those of them whose lines have what their bundle says of a resource.
    """
    connection.execute("""
        create or replace temp table resource_lines (
            path varchar, line varchar, fault varchar, needs_care boolean, type varchar, id varchar,
            is_deleted boolean, updated_at timestamp, told_at timestamp, version bigint
        )""")
    if files:
        _read(connection, files, marked)
        _take_care(connection, marked)


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], marked: Sequence[Path]) -> None:
    listed = ", ".join(literal(str(path)) for path in files)
    odd = literal(_ODD)
    # Twice, since of two numbers that follow each other the first takes the comma between them.
    as_text = f"{odd}, '\\1\"\\2\"\\3', 'g')"
    mended = f"regexp_replace(regexp_replace(line, {as_text}, {as_text}"
    # Where DuckDB writes all of it as it stands there, no number is written otherwise: that is told quickly.
    is_odd = f"json(line) <> line and regexp_matches(line, {odd})"
    # What was within a text is no JSON any more, or is still to be found.
    is_sound = f"(mended is null or (json_valid(mended) and not regexp_matches(mended, {odd})))"
    brackets = "length(line) - length(replace(replace(line, '{', ''), '[', ''))"
    connection.execute(f"""
        insert into resource_lines
        select path, case when mended is not null and {is_sound} then mended else line end,
            case when not is_record then {literal(NO_OBJECT)} end,
            case
                when not is_record or not {is_sound} then true
                when strlen(line) > {_SHORT} and {brackets} > {_DEEPEST} then true
                else contains(line, '\\u0000')
            end,
            {_told(marked)}
        from (
            select *, json_extract_string(case when is_record then line end, {_paths()}) as told from (
                select *, case when is_record then case when {is_odd} then {mended} end end as mended
                from (
                    select filename as path, line, starts_with(line, '{{') and json_valid(line) as is_record
                    from read_csv(
                        [{listed}], columns = {{'line': 'VARCHAR'}}, delim = chr(1), quote = '', escape = '',
                        header = false, auto_detect = false, filename = true, max_line_size = {_LONGEST_LINE}
                    )
                )
            )
        )""")


def _told(marked: Sequence[Path]) -> str:
    """What is asked of each line, from the values of _PATHS: the last columns of `resource_lines`."""
    listed = ", ".join(literal(str(path)) for path in marked)
    is_marked = f"path in ({listed})" if marked else "false"
    return f"""
            case when regexp_full_match(told[1], '[A-Z][A-Za-z]{{1,63}}') then told[1] end, told[2],
            case when {is_marked} then told[5] = 'D' end is true, {utc_time("told[3]")},
            case when {is_marked} then {utc_time("told[6]")} end,
            try_cast(regexp_extract(
                coalesce(told[4], case when {is_marked} then told[7] end), '^[0-9]{{1,18}}$'
            ) as bigint)"""


def _paths() -> str:
    return f"[{', '.join(literal(f'$.{path}') for path in _PATHS)}]"


def _take_care(connection: duckdb.DuckDBPyConnection, marked: Sequence[Path]) -> None:
    """Read by Python what DuckDB can't, or would change, or what no engine should get to see."""
    connection.execute("create or replace temp table cared (place bigint, line varchar, fault varchar)")
    last = -1
    while rows := connection.execute(f"""
            select rowid, line from resource_lines where needs_care and rowid > {last} order by rowid limit {_AT_ONCE}
            """).fetchall():
        fill(connection, "cared", ["place", "line", "fault"], [(place, *_cared(line)) for place, line in rows])
        last = rows[-1][0]
    if last < 0:
        return
    columns = ("type", "id", "is_deleted", "updated_at", "told_at", "version")
    connection.execute(f"""
        update resource_lines set line = now.line, fault = now.fault, {", ".join(f"{c} = now.{c}" for c in columns)}
        from (
            select place, line, fault, {_told(marked)}
            from (
                select cared.*, path,
                    json_extract_string(case when cared.fault is null then cared.line end, {_paths()}) as told
                from cared inner join resource_lines on resource_lines.rowid = place
            )
        ) as now(place, line, fault, {", ".join(columns)})
        where now.place = resource_lines.rowid""")


def _cared(line: str) -> tuple[str, str | None]:
    """A line as it is read, and what is wrong with it, if anything."""
    document = careful(line.encode("utf-8", "surrogateescape"))
    if not isinstance(document, dict):
        return line, TOO_DEEP if line.startswith("{") and line.rstrip().endswith("}") else NO_OBJECT
    if _depth(document) > _DEEPEST:
        return line, TOO_DEEP
    text = dumped(document)
    return text.decode(), ZERO if _ZERO.search(text) else None


def _depth(document: object) -> int:
    """How many levels of objects and lists a document has."""
    depth, level = 0, [document]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth
