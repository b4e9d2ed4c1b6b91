"""A page as JSON: its records, and what it says of the listing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# What JSON is made of, as far as its nesting goes.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}:,]', re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One page: its records as parsed JSON, and what it says of the whole listing.

    A record that Python can't read is its text: it has a number of 5,000 digits, ten thousand brackets, bytes that are
    no text.
    """

    records: list[Any]
    number: int
    pages: int
    total: int


def parsed(content: bytes, records: str) -> Mapping[str, Any]:
    """A reply as JSON; `records` is the field with the list of records.

    Raises:
        ValueError: it is no JSON document.
    """
    encoding = json.detect_encoding(content)
    try:
        reply = _loads(content.decode(encoding))
    except UnicodeDecodeError:
        reply = _apart(content.decode(encoding, "surrogateescape"), records)
    except (ValueError, RecursionError):
        reply = _apart(content.decode(encoding), records)
    if not isinstance(reply, dict):
        raise ValueError(f"it is no object with the field {records}")
    return reply


def _loads(text: str) -> Any:
    # NaN and Infinity are no JSON, though Python reads them: as texts, they are judged like any other.
    return json.loads(text, parse_constant=str, parse_float=_number)


def _number(text: str) -> float | str:
    """A number as Python has it, or its text where Python would round it."""
    value = float(text)
    return value if Decimal(repr(value)) == Decimal(text) else text


def _apart(text: str, records: str) -> Any:
    """The reply with each of its records read for itself, so that one that can't be read is one record.

    Raises:
        ValueError: what is left of it without its records is no JSON, or has none.
    """
    depth, begin, last, slices = 0, 0, "", list[tuple[int, int]]()
    first = end = 0  # of the list
    for token in _TOKEN.finditer(text):
        kind = token[0]
        if kind in "[{":
            depth += 1
            if depth == 2 and kind == "[" and last == f'"{records}":' and not first:
                first = begin = token.end()
        elif kind in "]}":
            depth -= 1
            if first and not end and depth == 1:
                end = token.start()
                slices.append((begin, end))
        elif kind == "," and first and not end and depth == 2:
            slices.append((begin, token.start()))
            begin = token.end()
        last = last + ":" if kind == ":" else kind
    if not end:
        raise ValueError(f"it has no whole list {records}")
    reply = _loads(f"{text[:first]}{text[end:]}")
    reply[records] = [_record(text[start:stop]) for start, stop in slices if text[start:stop].strip()]
    return reply


def _record(text: str) -> Any:
    if not text.isascii() and any("\udc80" <= each <= "\udcff" for each in text):
        # Bytes that are no text.
        return text.strip().encode(errors="surrogateescape").decode(errors="backslashreplace")
    try:
        return _loads(text)
    except RecursionError:
        return text.strip()
    except ValueError:
        # A number of more digits than Python takes. What isn't JSON at all spoils the whole reply.
        json.loads(re.sub(r"\d{1000,}", "1", text))
        return text.strip()
