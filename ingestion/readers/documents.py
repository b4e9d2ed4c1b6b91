"""JSON as systems write it, read without rounding a number and without losing the records beside a broken one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ingestion.contract.contracts import Column
from ingestion.sql import literal, quoted

# What JSON is made of, as far as its nesting goes.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}:,]', re.DOTALL)
# A name in a path, and which one of a list is meant.
_CHOSEN = re.compile(r"([^\[\]]+)\[([^=\]]+)=([^\]]*)\]")


def parsed(content: bytes, records: str, *, as_written: bool = False) -> Any:
    """A document as JSON.

    A record that Python can't read is its text: it has a number of 5,000 digits, ten thousand brackets, bytes that are
    no text.

    Args:
        content: the document's bytes.
        records: where the list of records stands in it: a field's name, names with dots between, or nothing where the
            document is the list.
        as_written: a number that would be written otherwise, such as 2.50, is its text, too.

    Raises:
        ValueError: it is no JSON document.
    """
    encoding = json.detect_encoding(content)
    loads = _loads_as_written if as_written else _loads
    try:
        return loads(content.decode(encoding))
    except UnicodeDecodeError:
        return _apart(content.decode(encoding, "surrogateescape"), records, loads)
    except (ValueError, RecursionError):
        return _apart(content.decode(encoding), records, loads)


def field(document: Any, path: str) -> Any:
    """What stands in a document at a field's name, or at names with dots between; itself where the path is empty.

    `link[relation=next].url` is asked of the first object in the list `link` whose field `relation` is `next`.

    Raises:
        KeyError: there is no such field.
    """
    for step in filter(None, path.split(".")):
        chosen = _CHOSEN.fullmatch(step)
        if not isinstance(document, dict):
            raise KeyError(path)
        document = document[chosen[1] if chosen else step]
        if chosen:
            listed = document if isinstance(document, list) else []
            alike = [each for each in listed if isinstance(each, dict) and each.get(chosen[2]) == chosen[3]]
            if not alike:
                raise KeyError(path)
            document = alike[0]
    return document


def _loads(text: str) -> Any:
    # NaN and Infinity are no JSON, though Python reads them: as texts, they are judged like any other.
    return json.loads(text, parse_constant=str, parse_float=_number)


def _loads_as_written(text: str) -> Any:
    return json.loads(text, parse_constant=str, parse_float=_number_as_written)


def _number_as_written(text: str) -> float | str:
    """A number as Python has it, or its text where Python would write it otherwise."""
    value = float(text)
    return value if repr(value) == text else text


def _number(text: str) -> float | str:
    """A number as Python has it, or its text where Python would round it."""
    value = float(text)
    return value if Decimal(repr(value)) == Decimal(text) else text


def _apart(text: str, records: str, loads: Callable[[str], Any]) -> Any:
    """The document with each of its records read for itself, so that one that can't be read is one record.

    Raises:
        ValueError: what is left of it without its records is no JSON, or has none.
    """
    path = [None, *(json.dumps(name) for name in records.split(".") if name)]
    open_ones, key, last, slices = list[str | None](), None, "", list[tuple[int, int]]()
    first = begin = end = 0  # of the list
    for token in _TOKEN.finditer(text):
        kind = token[0]
        if kind in "[{":
            open_ones.append(key)
            key = None
            if kind == "[" and not first and open_ones == path:
                first = begin = token.end()
        elif kind in "]}":
            if first and not end and open_ones == path:
                end = token.start()
                slices.append((begin, end))
            if open_ones:
                open_ones.pop()
        elif kind == ",":
            if first and not end and open_ones == path:
                slices.append((begin, token.start()))
                begin = token.end()
            key = None
        elif kind == ":":
            key = last
        last = kind
    if not end:
        raise ValueError(f"it has no whole list {records}".rstrip())
    document = loads(f"{text[:first]}{text[end:]}")
    field(document, records).extend(
        record(text[start:stop], loads) for start, stop in slices if text[start:stop].strip()
    )
    return document


def record_as_written(text: str) -> Any:
    """What `record` gives, each number that would be written otherwise as its text."""
    return record(text, _loads_as_written)


def record(text: str, loads: Callable[[str], Any] = _loads) -> Any:
    """One record's text as JSON, or the text itself where Python can't read it (see `parsed`).

    Raises:
        ValueError: it is no JSON.
    """
    if not text.isascii() and any("\udc80" <= each <= "\udcff" for each in text):
        # Bytes that are no text.
        return text.strip().encode(errors="surrogateescape").decode(errors="backslashreplace")
    try:
        return loads(text)
    except RecursionError:
        return text.strip()
    except ValueError:
        # A number of more digits than Python takes. What isn't JSON at all spoils the whole reply.
        json.loads(re.sub(r"\d{1000,}", "1", text))
        return text.strip()


def dumped(value: Any) -> bytes:
    """A value as one line of JSON, without its end."""
    # A lone surrogate is text in JSON and in Python, and in no database.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def field_of(column: Column) -> str:
    """The field of a record in which a column's value stands, or begins to."""
    name = column.at_source
    return re.split(r"[.\[]", name[2:])[0] if name.startswith("$.") else name


def value_in(record: str, column: Column) -> str:
    """A column's value as text, from a record's JSON: at a field's name, or at a JSON path such as `$.address.city`.

    A document of which only some fields may be kept (`keeps`) stays JSON, whatever it holds.
    """
    name = column.at_source
    path = literal(name if name.startswith(("$.", "$[")) else "$." + quoted(name))
    if column.keeps:
        return f"nullif(cast({record} -> {path} as varchar), 'null')"
    return f"({record} ->> {path})"
