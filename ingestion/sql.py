"""Pieces of SQL that are written everywhere: names, texts, times."""

from __future__ import annotations


def quoted(identifier: str) -> str:
    """An identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A string literal in single quotes."""
    return "'" + value.replace("'", "''") + "'"


def utc_time(text: str) -> str:
    """A text as a time in UTC, null where it isn't one; a text without an offset is in UTC."""
    # 2024-01-31 23:59:59 has no room for an offset. DuckDB reads 'infinity' as a time; nothing happened at it.
    plain = f"length({text}) = 19 and substr({text}, 17, 1) = ':'"
    moment = f"timezone('UTC', try_cast({text} as timestamptz))"
    return f"case when {plain} then try_cast({text} as timestamp) when isfinite({moment}) then {moment} end"
