"""A published mart as a file: Parquet, CSV, Excel or JSON, with its types, row by row, however large.

DuckDB writes the files, for both engines: from Postgres it reads by one statement, so that a file is of one generation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from ingestion.destination.lake import PUBLISHED
from ingestion.destination.target import Target, attach_part, attach_postgres
from ingestion.duck import connect
from ingestion.sql import literal, quoted
from warehouse.errors import BuildError
from warehouse.reading.query import require_published, spelled_otherwise

FORMATS = ("parquet", "csv", "xlsx", "json")
SHEET_ROWS = 1_048_576  # what a sheet holds, the header among them
SHEET_TEXT = 32_767  # characters that a cell holds, as UTF-16 counts them
SHEET_DIGITS = 15  # what a number of a sheet holds
BATCH = 10_000
# What spreadsheets take for a formula (OWASP, CSV Injection).
_FORMULA = r"^[=+\-@\t\r]"


@dataclass(frozen=True)
class Wanted:
    """What is exported: a mart, of it some rows and columns, in which form, to where.

    `safe` puts an apostrophe before texts of a CSV file that a spreadsheet would run as formulas.
    """

    mart: str
    format: str
    where: str = ""
    columns: tuple[str, ...] = ()
    folder: Path = Path("exports")
    safe: bool = True


def export(target: Target, wanted: Wanted, say: Callable[[str], None]) -> Path:
    """Write the file. Returns its path.

    Raises:
        BuildError: there is no such mart, column or format, the filter fails, or a sheet would not hold the rows.
    """
    if wanted.format not in FORMATS:
        raise BuildError(f"there is no format {wanted.format!r}: choose from {', '.join(FORMATS)}")
    if wanted.folder.exists() and not wanted.folder.is_dir():
        raise BuildError(f"{wanted.folder} is no folder: give FOLDER= another one")
    with open_for_export(target) as connection:
        columns = _columns(connection, target, wanted)
        relation = _relation(target, wanted, [name for name, _ in columns])
        path = wanted.folder.resolve() / f"{wanted.mart}.{wanted.format}"
        partial = path.with_name(path.name + ".writing")
        limits = Counter[tuple[str, str]]()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if wanted.format == "xlsx":
                rows = _write_sheet(connection, relation, [name for name, _ in columns], partial, wanted.mart, limits)
            else:
                rows = _copy(connection, relation, columns, wanted, partial)
            partial.replace(path)
            everything = _relation(target, replace(wanted, where=""), [name for name, _ in columns])
            names = [name for name, kind in columns if kind == "VARCHAR"]
            texts = {name: f"(select {quoted(name)} as value from {everything})" for name in names}
            hints = [] if rows else spelled_otherwise(connection, wanted.where, texts.get)
        except duckdb.Error as error:
            raise BuildError(f"{wanted.mart} could not be exported: {str(error).strip().splitlines()[0]}") from error
        except OSError as error:
            raise BuildError(f"{path} can't be written: {error.strerror}") from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
    for (column, what), number in limits.items():
        say(f"note: {column}: {number:,} {what}")
    for hint in hints:
        say(f"note: {hint}")
    say(f"{rows:,} rows of {wanted.mart} are in {path} ({path.stat().st_size:,} bytes)")
    return path


@contextmanager
def open_for_export(target: Target) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the published marts as `marts`."""
    require_published(target)
    connection = connect()
    try:
        if target.engine == "duckdb":
            attach_part(connection, target, PUBLISHED, "marts", read_only=True)
        else:
            attach_postgres(connection, "marts")
        yield connection
    except duckdb.Error as error:
        raise BuildError(f"the published marts can't be opened: {str(error).strip().splitlines()[0]}") from error
    finally:
        connection.close()


def _columns(connection: duckdb.DuckDBPyConnection, target: Target, wanted: Wanted) -> list[tuple[str, str]]:
    """The columns that are exported, with their types in DuckDB."""
    schema, _, name = wanted.mart.rpartition(".")
    found = connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'marts' and schema_name = ? "
        "and table_name = ? order by column_index",
        [target.schema(schema), name],
    ).fetchall()
    if not found:
        raise BuildError(f"there is no published mart {wanted.mart!r}: {_marts(connection, target)}")
    types = dict(found)
    unknown = [column for column in wanted.columns if column not in types]
    if unknown:
        raise BuildError(f"{wanted.mart} has no column {', '.join(unknown)}: it has {', '.join(types)}")
    return [(column, types[column]) for column in wanted.columns or types]


def _marts(connection: duckdb.DuckDBPyConnection, target: Target) -> str:
    rows = connection.execute("""
        select schema_name || '.' || table_name from duckdb_tables()
        where database_name = 'marts' and regexp_matches(table_name, '^(fct|dim|agg|ops)_')
            and not schema_name like '%\\_\\_next' escape '\\' order by 1""").fetchall()
    names = [str(row[0]).removeprefix(target.prefix) for row in rows if str(row[0]).startswith(target.prefix)]
    return f"choose from {', '.join(names)}" if names else "nothing is published yet"


def _relation(target: Target, wanted: Wanted, columns: list[str]) -> str:
    schema, _, name = wanted.mart.rpartition(".")
    listed = ", ".join(map(quoted, columns))
    select = f"select {listed} from {{}}{quoted(target.schema(schema))}.{quoted(name)}"
    select += f" where {wanted.where}" if wanted.where.strip() else ""
    if target.engine == "postgres":
        # The filter is Postgres's to apply, and all rows come by one statement.
        return f"postgres_query('marts', {literal(select.format(''))})"
    return f"({select.format('marts.')})"


def _copy(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: list[tuple[str, str]], wanted: Wanted, path: Path
) -> int:
    options = {"parquet": "format parquet, compression zstd", "csv": "format csv, header", "json": "format json, array"}
    chosen = [
        f"case when regexp_matches({quoted(name)}, '{_FORMULA}') then '''' || {quoted(name)} else {quoted(name)} end "
        f"as {quoted(name)}"
        if wanted.format == "csv" and wanted.safe and kind == "VARCHAR"
        else quoted(name)
        for name, kind in columns
    ]
    row = connection.execute(
        f"copy (select {', '.join(chosen)} from {relation} as mart) to {literal(str(path))} ({options[wanted.format]})"
    ).fetchone()
    return int(row[0]) if row else 0


def _write_sheet(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: list[str],
    path: Path,
    mart: str,
    limits: Counter[tuple[str, str]],
) -> int:
    """Write a sheet row by row, so that only some of it is in memory. `limits` counts what a sheet can't hold."""
    import xlsxwriter

    counted = connection.execute(f"select count(*) from {relation} as mart").fetchone()
    if counted and counted[0] >= SHEET_ROWS:
        raise BuildError(
            f"{mart} has {counted[0]:,} rows, and a sheet holds {SHEET_ROWS - 1:,}: "
            "give WHERE=, or choose csv or parquet"
        )
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet(re.sub(r"[\[\]:*?/\\]", "_", mart)[:31])
        bold = book.add_format({"bold": True})
        dates = book.add_format({"num_format": "yyyy-mm-dd"})
        times = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet.freeze_panes(1, 0)
        for number, name in enumerate(columns):
            sheet.set_column(number, number, max(10, len(name) + 2))
            sheet.write_string(0, number, name, bold)
        cursor = connection.execute(f"select * from {relation} as mart")
        line = 0
        while rows := cursor.fetchmany(BATCH):
            for row in rows:
                line += 1
                for number, value in enumerate(row):
                    limit = write_cell(sheet, line, number, value, dates, times)
                    if limit:
                        limits[columns[number], limit] += 1
    return line


def write_cell(sheet: Any, line: int, number: int, value: Any, dates: Any, times: Any) -> str | None:
    """One cell by its type. A text stays a text, whatever it begins with; a number too long for a sheet is one.

    Returns:
        What became of a value that a sheet doesn't hold as it is; None of any other.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        sheet.write_boolean(line, number, value)
    elif isinstance(value, datetime | date) and value.year >= 1900 and value.year < 9999:
        sheet.write_datetime(line, number, value, times if isinstance(value, datetime) else dates)
    elif isinstance(value, int | float | Decimal) and len(str(abs(value)).replace(".", "")) <= SHEET_DIGITS:
        sheet.write_number(line, number, value)
    elif isinstance(value, str) and len(value.encode("utf-16-le")) > 2 * SHEET_TEXT:
        cut = value.encode("utf-16-le")[: 2 * SHEET_TEXT].decode("utf-16-le", "ignore")
        sheet.write_string(line, number, cut)
        return f"texts were cut: a cell holds {SHEET_TEXT:,} characters; csv and parquet hold all"
    else:
        sheet.write_string(line, number, str(value) if isinstance(value, UUID) else f"{value}")
        if isinstance(value, datetime | date):
            return "dates stand there as texts: a sheet has the years from 1900 to 9998"
        if isinstance(value, int | float | Decimal):
            return f"numbers stand there as texts: a sheet keeps {SHEET_DIGITS} digits"
    return None
