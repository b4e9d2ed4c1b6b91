"""A table's key: the one that its database holds, else one that its rows have."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import combinations

from sqlalchemy import TableClause, or_, select, text
from sqlalchemy.engine import Connection, Inspector

from warehouse.project.scaffold.found import FoundColumn

# Rows that are looked at.
SAMPLE = 1000
# Of how many columns each two are tried as a key, and what may be part of one.
PAIRED = 5
_KEYS = re.compile(r"int|serial|char|text|uuid|date|time|num|dec")
_TOO_LONG = re.compile(r"json|bytea|blob|\[\]|interval")


def held_key(inspector: Inspector, schema: str, name: str, columns: Sequence[FoundColumn]) -> tuple[str, ...]:
    """The primary key, else the shortest unique one that is never null."""
    primary = inspector.get_pk_constraint(name, schema)["constrained_columns"]
    if primary:
        return tuple(primary)
    nullable = {column.name for column in columns if column.is_nullable}
    unique = [each["column_names"] for each in inspector.get_unique_constraints(name, schema)]
    whole = [tuple(each) for each in unique if not nullable & set(each)]
    return min(whole, key=len, default=())


def found_key(
    connection: Connection, table: TableClause, columns: Sequence[FoundColumn], references: Collection[str], count: int
) -> tuple[str, ...]:
    """What is unique in all rows and never null: a column that is named as a key, or any one, or two of them."""
    if not count:
        return ()
    names = [
        column.name
        for column in columns
        if len(column.sample) == min(count, SAMPLE) and _KEYS.search(column.kind) and not _TOO_LONG.search(column.kind)
    ]
    names.sort(key=lambda name: not re.search(r"(?i)(id|key|code|no|number)$", name) and name not in references)
    singles = [(name,) for name in names]
    pairs = list(combinations(names[:PAIRED], 2))
    samples = {column.name: column.sample for column in columns}
    for each in [*singles, *pairs]:
        seen = list(zip(*(samples[name] for name in each), strict=True))
        if len(set(seen)) == len(seen) and _is_unique(connection, table, each):
            return each
    return ()


def _is_unique(connection: Connection, table: TableClause, names: Sequence[str]) -> bool:
    keys = [table.c[name] for name in names]
    twice = select(text("1")).select_from(table).group_by(*keys).having(text("count(*) > 1")).limit(1)
    empty = select(text("1")).select_from(table).where(or_(*(key.is_(None) for key in keys))).limit(1)
    return not any(connection.execute(query).first() for query in (twice, empty))
