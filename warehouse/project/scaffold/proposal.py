"""What a database's tables should be in the project: their names, types and privacy, and what has a history."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from anyascii import anyascii
from dlt.common.normalizers.naming.snake_case import NamingConvention

from ingestion.contract.contracts import AUDIT_TABLES, LONGEST_NAME, UNDECIDED
from warehouse.project.edits import is_reserved
from warehouse.project.scaffold.found import FLOATS, FoundColumn, FoundTable
from warehouse.project.scaffold.kinds import data_type
from warehouse.project.scaffold.privacy import is_called_or_reached_by, privacy_of

# What says when a record changed last; the first is what the reader looks for unless it is told of another.
MODIFIED = ("updated_at", "modified_at", "last_update", "last_modified")
# Names that say their type, as docs/conventions.md has them, and those that every log or history has.
_OF_TIME = re.compile(r"(^|_)(at|on|date|time|datetime|timestamp|ts|dt)$")
_FLAG = re.compile(r"(is|has)_")
_OF_HISTORY = {
    "is_deleted", "valid_at", "source_revision", "observed_at", "load_id", "valid_from", "valid_to", "is_current",
    "is_inferred", "source_key",
}  # fmt: skip


Place = tuple[str, str]  # of a table: its schema and its name


@dataclass(frozen=True)
class Column:
    """A column of the contract.

    alias: its name in staging.
    privacy: as the contract has it, or UNDECIDED.
    """

    found: FoundColumn
    name: str
    alias: str
    data_type: str
    privacy: str
    is_key: bool
    description: str

    @property
    def is_required(self) -> bool:
        """Whether a record without it is none."""
        return self.is_key or not self.found.is_nullable

    @property
    def identifies_people(self) -> bool:
        """Whether it is what people are reached or called by."""
        return self.privacy == "direct_identifier" and is_called_or_reached_by(self.name)

    @property
    def is_person(self) -> bool:
        """Whether it tells something of a person, for all that is known."""
        return self.privacy not in ("none", UNDECIDED)


@dataclass(frozen=True)
class Table:
    """A table of the contract.

    references: columns, by raw's names, that point at the key of another table of the source, by that one's name.
    has_history: whether it gets a snapshot.
    person: the column that says whose record it is, by which `make forget` finds it; empty where that isn't known.
    """

    found: FoundTable
    name: str
    columns: tuple[Column, ...]
    references: dict[str, str] = field(default_factory=dict)
    has_history: bool = True
    person: str = ""

    @property
    def modified_at(self) -> str | None:
        """The column by which changes are found; None where there is none, and all of the table is compared."""
        kinds = {column.name: column.data_type for column in self.columns}
        return next((name for name in MODIFIED if kinds.get(name) == "timestamp"), None)

    @property
    def untimed(self) -> Column | None:
        """A column that is named as one by which changes are found, and is no time."""
        named = next((column for column in self.columns if column.name == MODIFIED[0]), None)
        return named if self.modified_at is None else None

    @property
    def unsure(self) -> list[str]:
        """What was guessed of it, or is left to somebody, a line each."""
        found, said = self.found, []
        if not found.key_is_held:
            key = ", ".join(found.key)
            said.append(f"the database holds no key; {key} is unique in all {found.row_count:,} rows")
        said += [
            f"its reference by {each} is tested by nothing and joins no dimension" for each in found.wide_references
        ]
        said += [
            f"{column.name} accepts {', '.join(column.found.values)}, which all {found.row_count:,} rows have: "
            "anything else will be a reject; its contract says so"
            for column in self.columns
            if column.found.values_are_seen
        ]
        for column in self.columns:
            if column.found.kind.startswith(FLOATS):
                scale = column.data_type.rpartition(",")[2].rstrip(")")
                how = "as its text" if column.data_type == "text" else f"rounded to {scale} decimals"
                said.append(f"{column.name} is a binary float, and taken {how}")
        if named := self.untimed:
            said.append(f"{named.name} is {named.found.kind}, not a time: it is compared as a whole")
        return [f"{found.name}: {line}" for line in said]

    @property
    def has_snapshot(self) -> bool:
        """Whether there is something of it to follow: more than a key, and when it was written."""
        return self.has_history and bool(self.content)

    @property
    def content(self) -> list[Column]:
        """What a record says. When the source wrote it last is no change of what it wrote."""
        return [column for column in self.columns if not column.is_key and column.name != self.modified_at]

    @property
    def key(self) -> list[Column]:
        """The columns of its key."""
        return [column for column in self.columns if column.is_key]


@dataclass(frozen=True)
class Proposal:
    """What to write, and what to tell a person.

    unsure: what can't be told of several tables.
    left_out: tables that aren't taken, and why.
    """

    tables: list[Table]
    unsure: list[str]
    left_out: list[str]

    @property
    def remarks(self) -> list[str]:
        """All that somebody may want to decide otherwise, a line each."""
        return [f"left out: {each}" for each in self.left_out] + [
            *(line for table in self.tables for line in table.unsure),
            *self.unsure,
        ]


def propose(
    found: Sequence[FoundTable], named: Collection[str] = (), known: Mapping[Place, str] | None = None
) -> Proposal:
    """Decide what can be decided. What may tell of a person and can't be told for sure stays undecided.

    Args:
        found: what a source's database has.
        named: the tables that somebody asked for by name; views are taken only so.
        known: what a contract calls tables already.
    """
    left_out = [f"{each.name} is a view: TABLES={each.name} takes it" for each in found if _is_unasked(each, named)]
    asked = [each for each in found if not _is_unasked(each, named)]
    left_out += [
        f"{each.name} has neither a primary nor a unique key, and nothing in its rows is one: give it one there"
        for each in asked
        if not each.key
    ]
    kept = [each for each in asked if each.key]
    names: dict[Place, str] = dict(known or {})
    for each in kept:
        if (each.schema, each.name) not in names:
            names[each.schema, each.name] = _clean(
                each.name, {*names.values(), *AUDIT_TABLES}, f"{each.schema}_{each.name}"
            )
    referred = {(schema, name) for each in kept for schema, name, _ in each.references.values()}
    tables, keys = [], {(each.schema, each.name): each.key for each in kept}
    for each in kept:
        columns = _columns(each, names[each.schema, each.name])
        clean = {column.found.name: column.name for column in columns}
        references = {
            clean[own]: names[schema, name]
            for own, (schema, name, column) in each.references.items()
            if keys.get((schema, name)) == (column,)
        }
        is_event = bool(each.references) and (each.schema, each.name) not in referred
        tables.append(Table(each, names[each.schema, each.name], columns, references, not is_event))
    return Proposal(*_with_people(tables), left_out)


def _with_people(tables: list[Table]) -> tuple[list[Table], list[str]]:
    """The tables, with whose records they have, where one table alone is of people; and what can't be told."""
    people = [
        table for table in tables if len(table.key) == 1 and any(each.identifies_people for each in table.columns)
    ]
    if len(people) > 1:
        listed = ", ".join(table.name for table in people)
        return tables, [
            f"{listed} have people, each numbered for itself: make forget finds those of whom a contract says "
            "`person:` (docs/privacy.md)"
        ]
    told = []
    for table in tables:
        own = [table.key[0].name] if table in people else []
        own += [name for name, other in table.references.items() if people and other == people[0].name]
        told.append(replace(table, person=own[0]) if len(own) == 1 else table)
    return told, []


def _is_unasked(table: FoundTable, named: Collection[str]) -> bool:
    return table.is_view and table.name not in named


def _columns(table: FoundTable, table_name: str) -> tuple[Column, ...]:
    columns: list[Column] = []
    for found in table.columns:
        name = _clean(found.name, {column.name for column in columns}, f"{table_name}_{found.name}")
        is_key, kind = found.name in table.key, data_type(found)
        privacy = privacy_of(name, kind, found, is_key or found.name in table.references)
        if privacy == "direct_identifier":
            kind = "text"
        alias = _alias(name, kind, singular(table_name), privacy, {column.alias for column in columns})
        words = found.comment or f"{name.replace('_', ' ').capitalize()}, as the source's {table.name} has it"
        columns.append(Column(found, name, alias, kind, privacy, is_key, words.strip().rstrip(".") + "."))
    return tuple(columns)


def _alias(name: str, kind: str, entity: str, privacy: str, taken: Collection[str]) -> str:
    """A column's name in staging: it says its type, and is no word of SQL's or of history's own."""
    alias = f"{entity}_id" if name == "id" else name
    if kind in ("date", "timestamp"):
        stem = _OF_TIME.sub("", re.sub(r"^date_of_", "", alias)) or entity
        alias = f"{stem}_date" if kind == "date" else f"{stem}_at"
    elif kind == "boolean" and not _FLAG.match(alias):
        alias = f"is_{alias}"
    elif kind != "boolean" and _FLAG.match(alias):
        alias = f"{entity}_{alias}"
    elif (
        re.search(r"_(at|date|key)$", alias)
        or (alias.endswith("_count") and kind != "bigint")
        or (alias.endswith("_amount") and not kind.startswith("numeric"))
    ):
        alias = f"{alias}_value"
    if privacy == "direct_identifier":
        alias = f"{alias}_token"
    if is_reserved(alias) or alias in _OF_HISTORY:
        alias = f"{entity}_{alias}"
    return alias if alias not in taken else f"{entity}_{name}"


def _clean(name: str, taken: Collection[str], longer: str) -> str:
    """A name for raw: the longer one where it is taken, and a number behind it where that is, too.

    Letters that raw's names can't have are those that sound alike: `Straße` is strasse, `名称` ming_cheng.
    """
    convention = NamingConvention(LONGEST_NAME - 3)
    spelt = (re.sub(r"[\W_]+$", "", anyascii(each)) or each for each in (name, longer))
    plain, other = map(convention.normalize_identifier, spelt)
    clean, number = plain if plain not in taken else other, 2
    while clean in taken:
        clean, number = f"{other}_{number}", number + 1
    return clean


def singular(name: str) -> str:
    """What one of them is called, of a name in English."""
    last = name.rsplit("_", 1)[-1]
    if last.endswith("ies") and len(last) > 4:
        return name[:-3] + "y"
    if last.endswith(("sses", "xes", "ches", "shes")):
        return name[:-2]
    return name[:-1] if last.endswith("s") and not last.endswith(("ss", "us", "is")) else name
