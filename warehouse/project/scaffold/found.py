"""What is found of a database's tables and columns."""

from __future__ import annotations

from dataclasses import dataclass, field

# Types of numbers that have decimals, in the databases' words: those of a binary float, and all.
FLOATS = ("real", "double", "float")
FRACTIONS = ("numeric", "decimal", *FLOATS)


@dataclass(frozen=True)
class FoundColumn:
    """A column as the database declares it, and what the sample has of it, as texts.

    kind: the type in the database's words, in small letters.
    values: those that an enumeration, or a check of the column alone, allows; else all that stand in a column whose
        name says that it has few.
    values_are_seen: whether they were found in the rows, and nothing holds the column to them.
    days: of dates and times the first and the last day that stand in it, ISO 8601; empty where it wasn't asked.
    """

    name: str
    kind: str
    is_nullable: bool
    comment: str = ""
    values: tuple[str, ...] = ()
    sample: tuple[str, ...] = ()
    values_are_seen: bool = False
    days: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundTable:
    """A table or view.

    key: the columns of its primary key, else of a unique one that is never null, else some that are unique in all rows.
    key_is_held: whether the database holds the key; where not, it was found in the rows there are.
    references: the columns that point at another table of the survey, with that one's place and column.
    wide_references: what points at another table by several columns, in words.
    row_count: up to COUNTED + 1.
    """

    schema: str
    name: str
    columns: tuple[FoundColumn, ...]
    key: tuple[str, ...]
    row_count: int
    key_is_held: bool = True
    is_view: bool = False
    comment: str = ""
    references: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    wide_references: tuple[str, ...] = ()
