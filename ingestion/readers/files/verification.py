"""Whether a delivered CSV file is whole and what it says it is, found out without the parser that reads it later.

The parser must not be asked: DuckDB reads a gzip that was cut off, and a file with an open quote, without a word.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

_CHUNK = 1 << 20
_LONGEST_VALUE = 16 << 20

_LINE = re.compile(rb"[^\r\n]+")


class BadFileError(Exception):
    """A file that can't be read as a whole. Its text is the reason, in a few words."""


@dataclass(frozen=True)
class Content:
    """What a verified file holds: its columns in their order, its records, the columns' types where it has any."""

    header: tuple[str, ...]
    record_count: int
    types: tuple[str, ...] = ()


def verify(path: Path, delimiter: str) -> Content:
    """Read a file once, in chunks, and say what it holds.

    Args:
        path: a CSV file, or a gzip of one if its name ends in `.gz`.
        delimiter: what stands between two values.

    Raises:
        BadFileError: it is empty, cut off, or no text in UTF-8.
    """
    lines = _Lines(delimiter.encode())
    decoder = codecs.getincrementaldecoder("utf-8")()
    read, first_line = 0, b""
    for chunk in chunks(path):
        if b"\0" in chunk:
            raise BadFileError("binary: it holds zero bytes")
        try:
            # Most text is ASCII, which is told faster than by decoding it.
            if not chunk.isascii() or decoder.getstate()[0]:
                decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise BadFileError(f"not UTF-8: bad byte near position {read + error.start:,}") from error
        if not read:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
            first_line = re.split(rb"[\r\n]", chunk, maxsplit=1)[0]
        lines.add(chunk)
        read += len(chunk)
    if decoder.getstate()[0]:
        raise BadFileError("not UTF-8: it ends within a character")
    lines.finish()
    if not lines.count:
        raise BadFileError("empty")
    header = _header(first_line, delimiter)
    if lines.count == 1:
        raise BadFileError("empty: a header, but no records")
    if len(lines.ends) > 1:
        raise BadFileError("its lines end in different ways")
    return Content(header, lines.count - 1)


def chunks(path: Path) -> Iterator[bytes]:
    """The file's text, decompressed. To read a gzip to its end checks its length and checksum."""
    zipped = path.suffix == ".gz"
    with cast("BinaryIO", gzip.open(path)) if zipped else path.open("rb") as file:
        while True:
            try:
                chunk = file.read(_CHUNK)
            except EOFError as error:
                raise BadFileError("truncated gzip: it was cut off") from error
            except (gzip.BadGzipFile, zlib.error) as error:
                raise BadFileError(f"no sound gzip: {error}") from error
            if not chunk:
                return
            yield chunk


def _header(line: bytes, delimiter: str) -> tuple[str, ...]:
    header = next(csv.reader([line.decode(errors="replace")], delimiter=delimiter), [])
    if len(set(header)) < len(header):
        raise BadFileError("a column's name stands twice in the header")
    return tuple(header)


def _ends_of(bare: bytes) -> dict[str, int]:
    """How many line ends of each kind there are."""
    returns = bare.count(b"\r") if b"\r" in bare else 0
    both = bare.count(b"\r\n") if returns else 0
    return {"crlf": both, "cr": returns - both, "lf": bare.count(b"\n") - both}


def _lines_with_text(bare: bytes, ends: dict[str, int]) -> int:
    """The lines that are not blank, where nothing is quoted. They are looked at singly only where some are blank."""
    text = bare.strip(b"\r\n")
    pairs = (b"\n\n", b"\n\r", b"\r\r") if ends["crlf"] or ends["cr"] else (b"\n\n",)
    if any(pair in text for pair in pairs):
        return len(_LINE.findall(text))
    before, after = bare[: len(bare) - len(bare.lstrip(b"\r\n"))], bare[len(bare.rstrip(b"\r\n")) :]
    return sum(ends.values()) - sum(_ends_of(before).values()) - sum(_ends_of(after).values()) + 1 if text else 0


class _Lines:
    """Counts the lines of a CSV that are not blank, whatever line ends stand in its quoted values."""

    def __init__(self, delimiter: bytes) -> None:
        self.count = 0
        self.ends: set[str] = set()
        self._held = b""
        self._within_line = False
        self._separators = (delimiter, b"\n", b"\r")
        # A quoted value: opened where a field begins, closed by a quote that isn't doubled, or by the end of what was
        # read.
        before = re.escape(delimiter)
        self._pattern = re.compile(rb"(?:^|(?<=[" + before + rb'\r\n]))"[^"]*(?:""[^"]*)*(?P<closed>"(?!")|\Z)')

    def _quoted(self, text: bytes) -> Iterator[re.Match[bytes]]:
        """The quoted values. Most texts have none, and that is told faster than by the pattern."""
        return self._pattern.finditer(text) if b'"' in text else iter(())

    def add(self, chunk: bytes) -> None:
        """Count what is sure; hold back the last field, which may go on in the next chunk."""
        text = self._held + chunk
        last = max(self._quoted(text), key=lambda match: match.start(), default=None)
        if last and last.end() == len(text):
            cut = last.start()
        else:
            after = last.end() if last else 0
            separator = max(text.rfind(each, after) for each in self._separators)
            cut = separator + 1 if separator >= 0 else (last.start() if last else 0)
        if cut and text[cut - 1 : cut] == b"\r":
            cut -= 1
        if len(text) - cut > _LONGEST_VALUE:
            raise BadFileError(f"a value is longer than {_LONGEST_VALUE:,} bytes: is a quote not closed?")
        self._count(text[:cut])
        self._held = text[cut:]

    def finish(self) -> None:
        """Count what was held back."""
        for match in self._quoted(self._held):
            if not match["closed"]:
                raise BadFileError("a quoted value is never closed")
        self._count(self._held)

    def _count(self, text: bytes) -> None:
        if not text:
            return
        bare = self._pattern.sub(b"_", text) if b'"' in text else text
        ends = _ends_of(bare)
        lines = _lines_with_text(bare, ends)
        if self._within_line and bare[:1] not in (b"\r", b"\n"):
            lines -= 1
        self.count += lines
        self._within_line = bare[-1:] not in (b"\r", b"\n")
        self.ends |= {end for end, found in ends.items() if found}
