"""SQL that names no engine: text, and calls of the macros in which engines differ.

What is emitted is a template of dbt: `{{ json_text('class', ['code']) }} = 'AMB'`. Calls lie within each other as
arguments, where SQL around them is a text that is put together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """A call of a macro, with SQL, texts, numbers, paths of keys and positions, or lists of paths."""

    macro: str
    arguments: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.macro}({', '.join(_argument(argument) for argument in self.arguments)})"


@dataclass(frozen=True)
class Sql:
    """SQL of parts: text as it stands, and calls."""

    parts: tuple[str | Call, ...]

    def __add__(self, other: Sql | str) -> Sql:
        return Sql(_merged((*self.parts, *(other.parts if isinstance(other, Sql) else (other,)))))

    def __radd__(self, other: str) -> Sql:
        return Sql(_merged((other, *self.parts)))

    def template(self) -> str:
        """As a dbt model has it."""
        return "".join(
            f"{{{{ {part} }}}}" if isinstance(part, Call) or any(mark in part for mark in ("{{", "{%", "{#")) else part
            for part in (part if isinstance(part, Call) else _Plain(part) for part in self.parts)
        )


def _merged(parts: Iterable[str | Call]) -> tuple[str | Call, ...]:
    """Parts of which no two texts stand beside each other."""
    merged: list[str | Call] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, str) and isinstance(last, str):
            merged[-1] = last + part
        elif part != "":
            merged.append(part)
    return tuple(merged)


class _Plain(str):
    """Text of SQL; where it has Jinja's marks it is written as a text of Jinja's."""

    def __format__(self, specification: str) -> str:
        return _quoted(self)


class Name(str):
    """A name of Jinja's, such as that of a list which the template sets."""


def _quoted(text: str) -> str:
    """A text of Jinja's."""
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"'{escaped}'" if "'" not in text else '"' + escaped.replace('"', '\\"') + '"'


def _argument(argument: object) -> str:
    if isinstance(argument, Sql):
        parts = [str(part) if isinstance(part, Call) else _quoted(part) for part in argument.parts]
        return " ~ ".join(parts) or "''"
    if isinstance(argument, str):
        return argument if isinstance(argument, Name) else _quoted(argument)
    if isinstance(argument, tuple):
        return f"[{', '.join(_argument(item) for item in argument)}]"
    return str(argument)


def sql(text: str) -> Sql:
    """SQL as it stands."""
    return Sql((text,))


def call(macro: str, *arguments: object) -> Sql:
    """SQL that a macro makes."""
    return Sql((Call(macro, arguments),))


def literal(text: str) -> Sql:
    """A text of SQL's."""
    return sql("'" + text.replace("'", "''") + "'")
