"""A first star of a source: what happens in it, whom and what it is about, what is counted of it.

The shape is Kimball's: a fact at the grain of its lines, with the dates and keys of the document that they belong to,
and a dimension for each entity that it refers to.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from warehouse.errors import BuildError
from warehouse.project.scaffold.proposal import MODIFIED, Column, Table, singular

# Times that say when a record was written, and not when what it tells of happened.
_TECHNICAL = re.compile(r"(^|_)(create|creation|insert|record|load|import|sync|last_|modif|updat|delet|valid)")
# Numbers that don't add up: per unit, per cent, on a scale, or names that happen to be digits.
_NOT_ADDITIVE = re.compile(
    r"(^|_)(price|rate|percent(age)?|pct|ratio|share|factor|score|rating|rank|ranking|level|grade|version|revision|"
    r"position|sort(ing|_order)?|order_by|number|num|no|nr|line|year|month|week|day|hour|age|latitude|longitude|lat|lon|"
    r"lng|zip|code|id|balance|stock|limit|average|avg|mean|min|max|discount|temperature|width|height|depth)$"
)
_QUANTITY = re.compile(r"(^|_)(qty|quantity|units|pieces|items)$")
_PRICE = re.compile(r"(^|_)price$")
_LABEL = re.compile(r"(^|_)(name|title|label|description|code)$")
# What has no columns that people group by.
_NO_ATTRIBUTE = re.compile(r"json|bytea|blob|binary|xml|\[\]|array|range|geometry|geography|tsvector|vector")
NO_STAR = "none"


@dataclass(frozen=True)
class Dimension:
    """An entity with its history. `columns`: what it shows beside its key."""

    table: Table
    name: str
    columns: tuple[Column, ...]

    @property
    def entity(self) -> str:
        """What one member is called."""
        return singular(self.table.name)

    @property
    def natural_key(self) -> Column:
        """What the source knows a member by."""
        return self.table.key[0]

    @property
    def label(self) -> Column | None:
        """What people call a member."""
        texts = [column for column in self.columns if column.data_type == "text" and not column.is_person]
        return next((column for column in texts if _LABEL.search(column.alias)), None)


@dataclass(frozen=True)
class Role:
    """A dimension as the fact refers to it.

    holder: the table in which the reference stands: the lines, or what they belong to.
    """

    name: str
    dimension: Dimension
    column: Column
    holder: Table
    of_parent: bool

    @property
    def reference(self) -> str:
        """The reference in SQL, of the rows of either."""
        return f"{'documents' if self.of_parent else 'lines'}.{self.column.alias}"


@dataclass(frozen=True)
class Star:
    """What to make of a table of events.

    parent: the document that the lines belong to; None where they stand for themselves. link: their reference to it.
    event: when it happened. event_of_parent: whether the parent says so.
    amount: a quantity and the price of one, where both are there.
    """

    fact: str
    event_name: str
    lines: Table
    parent: Table | None
    link: Column | None
    event: Column
    event_of_parent: bool
    roles: tuple[Role, ...]
    attributes: tuple[tuple[Column, bool], ...]
    measures: tuple[Column, ...]
    amount: tuple[Column, Column] | None

    @property
    def daily(self) -> str:
        """The aggregate of its days."""
        return f"agg_{self.fact.removeprefix('fct_')}__daily"

    @property
    def event_at(self) -> str:
        """The time of what happened."""
        return f"{self.event.alias.removesuffix('_date').removesuffix('_at')}_at"

    @property
    def event_date(self) -> str:
        """The business day of what happened."""
        return f"{self.event_at.removesuffix('_at')}_date"

    @property
    def amount_name(self) -> str:
        """What a quantity at its price comes to is called."""
        return f"{self.event_name}_amount"

    @property
    def is_by_parent(self) -> bool:
        """Whether it is computed again by what its lines belong to: every line has one."""
        return bool(self.link and self.link.is_required)

    @property
    def may_move(self) -> bool:
        """Whether a line may come to belong to another parent."""
        return self.is_by_parent and self.link not in self.lines.key

    @property
    def touched(self) -> tuple[Column, ...]:
        """By which columns the fact is computed again."""
        return (self.link,) if self.link and self.is_by_parent else tuple(self.lines.key)

    @property
    def dimensions(self) -> list[Dimension]:
        """Each once, in the order of the roles."""
        return list({role.dimension.name: role.dimension for role in self.roles}.values())


def first_star(source: str, tables: Sequence[Table], fact: str, taken: Collection[str]) -> Star | None:
    """Choose a star.

    Args:
        source: the source, which a name that is taken gets before it.
        tables: those of the proposal.
        fact: the table of the events, or of the documents that they are lines of; where empty, the one with most
            references and rows that has a time and something to add up; `none` for none.
        taken: names of models that are there.

    Raises:
        BuildError: there is no such table, or nothing says when what it has happened.
    """
    if fact == NO_STAR:
        return None
    by_name = {table.name: table for table in tables}
    if not fact:
        found = [star for each in tables if not each.has_history and (star := _star(source, each, by_name, taken))]
        return max((star for star in found if star.roles), key=_worth, default=None)
    named = next((each for each in tables if fact in (each.name, each.found.name)), None)
    if named is None:
        raise BuildError(f"FACT={fact} is no table that is taken: those are {', '.join(by_name)}")
    lines = next((each for each in tables if (link := _parent(each, by_name)) and link[0] is named), named)
    star = _star(source, lines, by_name, taken)
    if star is None:
        raise BuildError(
            f"nothing says when what {fact} has happened: neither it nor what it belongs to has a date or time"
        )
    return star


def _worth(star: Star) -> tuple[bool, int, int, str]:
    return bool(star.measures), len(star.roles), star.lines.found.row_count, star.lines.name


def _star(source: str, lines: Table, tables: dict[str, Table], taken: Collection[str]) -> Star | None:
    parent, link = _parent(lines, tables) or (None, None)
    times = [(column, False) for column in _times(lines)]
    times += [(column, True) for column in (_times(parent) if parent else ())]
    if not times:
        return None
    event, event_of_parent = min(times, key=lambda each: (_is_technical(each[0]), each[0].found.is_nullable))
    roles = _roles(source, lines, parent, link, tables, taken)
    attributes = [(column, False) for column in lines.columns] + [
        (column, True) for column in (parent.columns if parent else ())
    ]
    used = {column.alias for column in (*lines.key, link) if column} | {event.alias}
    kept: list[tuple[Column, bool]] = []
    measures = tuple(column for column in lines.columns if _is_additive(column, lines))
    for column, of_parent in attributes:
        owner = parent if of_parent and parent else lines
        # A number of the document would be there once for each of its lines.
        adds_up_wrong = column in measures or (of_parent and _is_number(column))
        if column.alias not in used and not adds_up_wrong and _is_attribute(column, owner):
            used.add(column.alias)
            kept.append((column, of_parent))
    quantities = [column for column in measures if _QUANTITY.search(column.name)]
    prices = [column for column in lines.columns if _PRICE.search(column.name) and _is_number(column)]
    event_name = singular(lines.name)
    is_free = f"{event_name}_amount" not in [column.alias for column in lines.columns]
    amount = (quantities[0], prices[0]) if len(quantities) == len(prices) == 1 and is_free else None
    return Star(
        _free(f"fct_{lines.name}", source, taken), event_name, lines, parent, link, event, event_of_parent,
        tuple(roles), tuple(kept), measures, amount,
    )  # fmt: skip


def _parent(lines: Table, tables: dict[str, Table]) -> tuple[Table, Column] | None:
    """The document that lines belong to, with their reference to it: it is named in theirs, or a part of their key."""
    columns = {column.name: column for column in lines.columns}
    found = [
        (tables[name], columns[own])
        for own, name in lines.references.items()
        if name in tables and name != lines.name and _times(tables[name]) and tables[name].references
    ]
    named = [each for each in found if re.match(rf"{singular(each[0].name)}s?_", lines.name)]
    within = [each for each in found if each[1].is_key]
    return next(iter(named or within), None)


def _roles(
    source: str, lines: Table, parent: Table | None, link: Column | None, tables: dict[str, Table],
    taken: Collection[str],
) -> list[Role]:  # fmt: skip
    roles: dict[str, Role] = {}
    for table, of_parent in ((lines, False), *([(parent, True)] if parent else ())):
        columns = {column.name: column for column in table.columns}
        for own in sorted(table.references, key=list(columns).index):
            entity = tables[table.references[own]]
            if columns[own] is link or entity in (lines, parent) or not entity.has_snapshot:
                continue
            named = re.fullmatch(r"(.+)_(id|code|key|no|number)(_token)?", columns[own].alias)
            role = named[1] if named else singular(entity.name)
            if role not in roles:
                roles[role] = Role(role, _dimension(source, entity, taken), columns[own], table, of_parent)
    return list(roles.values())


def _dimension(source: str, table: Table, taken: Collection[str]) -> Dimension:
    shown = tuple(
        column
        for column in table.columns
        if not column.is_key and column.name not in MODIFIED and not _NO_ATTRIBUTE.search(column.found.kind)
    )
    return Dimension(table, _free(f"dim_{table.name}", source, taken), shown)


def _free(name: str, source: str, taken: Collection[str]) -> str:
    """The name, with the source's before it where the project has a model of that name."""
    kind, rest = name.split("_", 1)
    return name if name not in taken else f"{kind}_{source}_{rest}"


def _times(table: Table) -> list[Column]:
    return [
        column
        for column in table.columns
        if column.data_type in ("date", "timestamp") and column.privacy == "none" and column.name not in MODIFIED
    ]


def _is_technical(column: Column) -> bool:
    return bool(_TECHNICAL.search(column.name))


def _is_number(column: Column) -> bool:
    return column.data_type.startswith(("numeric", "bigint"))


def _is_additive(column: Column, table: Table) -> bool:
    is_plain = not column.is_key and column.name not in table.references and column.privacy in ("none", "sensitive")
    return is_plain and _is_number(column) and not _NOT_ADDITIVE.search(column.name)


def _is_attribute(column: Column, table: Table) -> bool:
    """Whether a fact shows a column as it is: what it is grouped by, other times, and numbers that don't add up."""
    if column.privacy != "none" or column.is_key or column.name in table.references or column.name in MODIFIED:
        return False
    return not _NO_ATTRIBUTE.search(column.found.kind)
