"""The types of columns: what each is in Arrow, in JSON and in a question, whichever engine has it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

import pyarrow as pa

_INTEGERS = {"smallint": 16, "integer": 32, "bigint": 64}
_EQUAL = ("eq", "ne", "in", "null")
_ORDERED = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "null")
_DIGITS = 38  # of the widest decimal of either engine

# What the engines call their types, where that is not how the contracts call them.
_ALIASES = {
    "varchar": "text",
    "character varying": "text",
    "timestamp without time zone": "timestamp",
    "double": "double precision",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "bool": "boolean",
    "float8": "double precision",
    "decimal": "numeric",
}


@dataclass(frozen=True)
class Kind:
    """The type of a column.

    name: as the contracts call it: text, uuid, smallint, integer, bigint, numeric, double precision, boolean, date,
        timestamp; anything else is read as text.
    precision, scale: of a numeric that has them.
    """

    name: str
    precision: int | None = None
    scale: int | None = None

    @cached_property
    def written(self) -> str:
        """The type as SQL writes it."""
        return self.name if self.precision is None else f"{self.name}({self.precision}, {self.scale})"

    @cached_property
    def operators(self) -> tuple[str, ...]:
        """What a column of this type can be filtered by."""
        if self.name == "text":
            return ("eq", "ne", "in", "starts", "contains", "null")
        return _EQUAL if self.name in ("uuid", "boolean") else _ORDERED

    @cached_property
    def arrow(self) -> pa.DataType:
        """The type in Arrow and Parquet. An exact number without a declared scale stays a text."""
        if self.name == "numeric" and self.precision is not None:
            return pa.decimal128(self.precision, self.scale or 0)
        return {
            "smallint": pa.int16(),
            "integer": pa.int32(),
            "bigint": pa.int64(),
            "double precision": pa.float64(),
            "boolean": pa.bool_(),
            "date": pa.date32(),
            "timestamp": pa.timestamp("us", "UTC"),
        }.get(self.name, pa.string())

    @property
    def pattern(self) -> str:
        """What a numeric looks like as text: what doesn't fit into the column is no value of it."""
        whole = max((self.precision or _DIGITS) - (self.scale or 0), 1)
        scale = _DIGITS if self.precision is None else self.scale
        return rf"^-?[0-9]{{1,{whole}}}" + (rf"(\.[0-9]{{1,{scale}}})?$" if scale else "$")

    @property
    def json_schema(self) -> dict[str, Any]:
        """What a value is in JSON. Exact numbers are texts there: most readers of JSON make doubles of numbers."""
        if self.name in _INTEGERS:
            bits = _INTEGERS[self.name]
            return {"type": "integer", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}
        if self.name == "numeric":
            return {"type": "string", "pattern": self.pattern}
        return {
            "double precision": {"type": "number"},
            "boolean": {"type": "boolean"},
            "date": {"type": "string", "format": "date"},
            "timestamp": {"type": "string", "format": "date-time"},
            "uuid": {"type": "string", "format": "uuid"},
        }.get(self.name, {"type": "string"})


def kind_of(engine_type: str) -> Kind:
    """The kind that an engine's name of a type means, such as `DECIMAL(28,4)` or `timestamp without time zone`."""
    match = re.fullmatch(r"\s*([a-zA-Z][a-zA-Z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*", engine_type)
    name = match[1].lower() if match else "text"
    name = _ALIASES.get(name, name)
    if name == "numeric" and match and match[2]:
        return Kind(name, int(match[2]), int(match[3] or 0))
    if name not in (*_READ, "text"):
        name = "text"
    return Kind(name)


def value_of(kind: Kind, text: str) -> Any:
    """A value that somebody sent as text, by the column's type.

    Raises:
        ValueError: it is none of that type; says what one looks like.
    """
    if "\0" in text:
        raise ValueError("a text without NUL characters")
    return _READ[kind.name](kind, text) if kind.name in _READ else text


def _integer(kind: Kind, text: str) -> int:
    limit = 2 ** (_INTEGERS[kind.name] - 1)
    if re.fullmatch(r"[+-]?[0-9]{1,19}", text) and -limit <= int(text) < limit:
        return int(text)
    raise ValueError(f"a whole number from {-limit} to {limit - 1}")


def _decimal(kind: Kind, text: str) -> Decimal:
    if re.fullmatch(kind.pattern, text):
        return Decimal(text)
    digits = f"at most {kind.scale} digits after the point" if kind.precision is not None else f"{_DIGITS} digits"
    raise ValueError(f"a number such as 12.5, of {digits}")


def _double(kind: Kind, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value == 0:
        return value
    raise ValueError("a number such as 12.5")


def _boolean(kind: Kind, text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise ValueError("true or false")


def _date(kind: Kind, text: str) -> date:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError("a day such as 2025-01-31")


def _time(kind: Kind, text: str) -> datetime:
    """A time in UTC, without a zone as the marts have it; one that names an offset is moved to UTC."""
    try:
        value = datetime.fromisoformat(text.replace(" ", "+") if re.search(r" \d\d:\d\d$", text[11:]) else text)
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except (ValueError, OverflowError):
        raise ValueError("a time such as 2025-01-31T14:05:00Z; in a URL a + is written %2B") from None


def _uuid(kind: Kind, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("a UUID such as 00000000-0000-0000-0000-000000000000") from None


_READ: dict[str, Callable[[Kind, str], Any]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    "numeric": _decimal,
    "double precision": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _time,
    "uuid": _uuid,
}
