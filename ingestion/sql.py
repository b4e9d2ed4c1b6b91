"""Pieces of SQL that are written everywhere: names, texts, times."""

from __future__ import annotations


def quoted(identifier: str) -> str:
    """An identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A string literal in single quotes."""
    return "'" + value.replace("'", "''") + "'"


# What trimming takes away, as macros/portable/text.sql has it: white space of any kind.
_BLANK_CODES = [9, 10, 11, 12, 13, 133, 160, 5760, *range(8192, 8204), 8232, 8233, 8239, 8287, 12288, 65279]
BLANKS = "' ' || " + " || ".join(f"chr({code})" for code in _BLANK_CODES)


def folded(text: str) -> str:
    """A text as codes are compared, as the macro `folded` has it: trimmed, in small letters as far as ASCII goes."""
    letters = "'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'"
    careful = f"translate(nullif(trim({text}, {BLANKS}), ''), {letters})"
    return f"case when regexp_full_match({text}, '[a-z0-9_.-]+') then {text} else {careful} end"


def collapsed(text: str) -> str:
    """Outer blanks gone, runs of blanks inside made one, nothing left made null, as the macro `collapsed` has it."""
    spaced = f"translate({text}, {BLANKS}, repeat(' ', {len(_BLANK_CODES) + 1}))"
    careful = f"nullif(trim(regexp_replace({spaced}, ' +', ' ', 'g')), '')"
    return f"case when regexp_full_match({text}, '[!-~]+( [!-~]+)*') then {text} else {careful} end"


def tells_a_day(text: str) -> str:
    """A condition: the text begins with a digit, as every date does. 'infinity' and 'epoch' are words to DuckDB."""
    return f"(({text} >= '0' and {text} < ':') or regexp_matches({text}, '^\\s*[0-9]'))"


def utc_time(text: str) -> str:
    """A text as a time in UTC, null where it isn't one; a text without an offset is in UTC."""
    # 2024-01-31 23:59:59 has no room for an offset.
    plain = f"length({text}) = 19 and substr({text}, 17, 1) = ':'"
    moment = f"timezone('UTC', try_cast({text} as timestamptz))"
    return f"case when {plain} then try_cast({text} as timestamp) when {tells_a_day(text)} then {moment} end"


def utc_moment(value: str) -> str:
    """A typed date or time as a time in UTC; null where it is infinite, for nothing happens then."""
    # By a time zone and back takes twenty times as long, and DuckDB knows the type before it begins.
    zoned = f"timezone('UTC', try_cast({value} as timestamptz))"
    moment = f"case when typeof({value}) = 'TIMESTAMP' then try_cast({value} as timestamp) else {zoned} end"
    return f"case when isfinite({moment}) then {moment} end"
