"""Files of every format made ready to be parsed set-wise, their records counted apart from the parser."""

from __future__ import annotations

import codecs
import csv
import gzip
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import BinaryIO, cast

import duckdb

from ingestion.readers.documents import dumped, field, parsed, record
from ingestion.readers.files.layout import Layout, written_as
from ingestion.readers.files.verification import BadFileError, Content, chunks, verify
from ingestion.sql import literal

# A number of more digits than a binary float keeps, or in a form that DuckDB would change.
_LONG_NUMBER = re.compile(rb"[0-9.]{16}|[0-9.][eE][+-]?[0-9]")
_CHUNK = 1 << 20


def prepared(copy: Path, layout: Layout, workspace: Path) -> tuple[Path, Content]:
    """A copied file as what is parsed (itself, or one that is made of it), and what it holds.

    Args:
        copy: the file; gzipped if its name ends in `.gz`.
        layout: what it should be.
        workspace: a folder for what is made.

    Raises:
        BadFileError: it is not sound, or lacks a column.
    """
    made = workspace / f"{copy.name}.{layout.table.name}"
    match layout.format:
        case "csv":
            text = copy if _is_utf8(layout.encoding) else _recoded(copy, layout.encoding, made)
            content = verify(text, layout.delimiter)
        case "excel":
            text = made
            content = _sheet(copy, layout.sheet, made)
        case "parquet":
            text = copy
            content = _parquet(copy)
        case _:
            return made, _documents(copy, layout, made)
    missing = [column.at_source for column in layout.always if not written_as(column, content.header)]
    if missing:
        raise BadFileError(f"missing column {', '.join(missing)}")
    return text, content


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


def _recoded(copy: Path, encoding: str, made: Path) -> Path:
    """The text in UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with made.open("wb") as text:
        try:
            for chunk in chunks(copy):
                text.write(decoder.decode(chunk).encode())
            text.write(decoder.decode(b"", final=True).encode())
        except UnicodeDecodeError as error:
            raise BadFileError(f"not {encoding}: {error.reason}") from error
    return made


def _documents(copy: Path, layout: Layout, made: Path) -> Content:
    """JSON as lines of one record each. What can't be read as JSON stays as its text, in a JSON string."""
    count = 0
    with made.open("wb") as lines:
        for line in _json_lines(copy) if layout.format == "ndjson" else _json_records(copy, layout.records):
            lines.write(line + b"\n")
            count += 1
    if not count:
        raise BadFileError("empty: no records")
    return Content((), count)


def _json_lines(copy: Path) -> Iterator[bytes]:
    for line in lines_of(copy):
        text = line.strip()
        if not text:
            continue
        # What a line of sound JSON may not have, and what needs care: all else is left to DuckDB.
        if b"\x01" in text or b"\r" in text or _LONG_NUMBER.search(text) or not _is_text(text):
            yield _careful(text)
        else:
            yield text


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _careful(line: bytes) -> bytes:
    try:
        return dumped(record(line.decode("utf-8", "surrogateescape")))
    except ValueError:
        return dumped(line.decode("utf-8", "backslashreplace"))


def lines_of(copy: Path) -> Iterator[bytes]:
    """The lines of a file, blank ones too, without their LF and the file's byte order mark."""
    held = b""
    for number, chunk in enumerate(chunks(copy)):
        *whole, held = (held + (chunk if number else chunk.removeprefix(codecs.BOM_UTF8))).split(b"\n")
        yield from whole
    yield held


def _json_records(copy: Path, where: str) -> Iterator[bytes]:
    content = b"".join(chunks(copy))
    try:
        found = field(parsed(content, where), where)
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"no whole JSON document: {error}") from error
    except KeyError as error:
        raise BadFileError(f"it has no field {where}") from error
    if not isinstance(found, list):
        raise BadFileError(f"{where or 'it'} is no list of records")
    return (dumped(each) for each in found)


def _sheet(copy: Path, name: str, made: Path) -> Content:
    """A sheet of a workbook as CSV: its first row that isn't empty is the header."""
    from openpyxl import load_workbook  # takes a tenth of what all of ingestion takes to be imported

    # What was computed, not the formulas; an error such as #DIV/0! is its text, which the contract rejects.
    try:
        with cast("BinaryIO", gzip.open(copy)) if copy.suffix == ".gz" else copy.open("rb") as file:
            workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
            if name and name not in workbook.sheetnames:
                raise BadFileError(f"it has no sheet {name}, but {', '.join(workbook.sheetnames)}")
            sheet = workbook[name or workbook.sheetnames[0]]
            # What a file says of its own size may be wrong: then rows would be missing.
            sheet.reset_dimensions()
            rows = ([_shown(value) for value in row] for row in sheet.iter_rows(values_only=True))
            filled = [row for row in rows if any(row)]
    except BadFileError:
        raise
    except Exception as error:  # a broken workbook raises what its XML, its zip or its numbers make of it
        raise BadFileError(f"no sound workbook: {error}") from error
    if len(filled) < 2:
        raise BadFileError("empty: a header, but no records" if filled else "empty")
    header = filled[0]
    width = max((place for place, title in enumerate(header) if title), default=-1) + 1
    titles = [title or f"column {place + 1}" for place, title in enumerate(header[:width])]
    if len(set(titles)) < len(titles):
        raise BadFileError("a column's name stands twice in the header")
    with made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(titles)
        # A cell right of the header makes its row one with too many columns.
        writer.writerows([*row[:width], *(value for value in row[width:] if value)] for row in filled[1:])
    return Content(tuple(titles), len(filled) - 1)


def _shown(value: object) -> str:
    """A cell as text. A workbook's numbers are binary floats, and hold 15 digits."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else format(value, ".15g")
        case datetime():
            return value.isoformat(sep=" ")
        case date() | time() | timedelta():
            return str(value)
    return str(value)


def _parquet(copy: Path) -> Content:
    """By the file's own footer."""
    with duckdb.connect() as connection:
        try:
            count = connection.execute(f"select num_rows from parquet_file_metadata({literal(str(copy))})").fetchone()
            names = connection.execute(f"describe from read_parquet({literal(str(copy))})").fetchall()
        except duckdb.Error as error:
            raise BadFileError(f"no sound Parquet: {str(error).splitlines()[0]}") from error
    if not count or not count[0]:
        raise BadFileError("empty: a schema, but no records")
    return Content(tuple(str(row[0]) for row in names), int(count[0]), tuple(str(row[1]) for row in names))
