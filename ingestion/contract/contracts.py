"""Source contracts: which tables a source has, their columns and types, their keys, what a value must look like.

Their one home is the dbt sources YAML beside the staging models, which `reading` reads. dbt documents and tests the
same file, so a rule is changed in one place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

# The metadata that ingestion writes into every row of raw, in this order, after the contract's columns.
META_COLUMNS = {
    "_operation": "text",  # 'U' a version of the record, 'D' the record was deleted
    "_revision": "bigint",  # the source's own order of versions: log position, version or file time
    "_effective_at": "timestamp",  # when the version holds from, in the source's time
    "_observed_at": "timestamp",  # when Granary saw it
    "_load_id": "text",
}

# What a column tells of a person, from nothing to everything. Ingestion puts tokens in the place of direct identifiers.
PRIVACY = ("none", "quasi_identifier", "sensitive", "direct_identifier")
# Nobody has said yet which of them a column is: its source isn't loaded until somebody does.
UNDECIDED = "undecided"

# Names of raw, as dlt makes them of any other: a table named otherwise would never be found again.
LONGEST_NAME = 63
_TYPE = re.compile(r"^(text|bigint|numeric\((\d+),\s*(\d+)\)|boolean|date|timestamp)$")


def is_data_type(name: str) -> bool:
    """Whether a contract may give a column this type."""
    return bool(_TYPE.match(name))


class ContractError(Exception):
    """A contract file says something that ingestion can't follow."""


@dataclass(frozen=True)
class Column:
    """One column of a contract.

    data_type: a type name that every engine knows.
    source_name: what the source calls it, where that is no name for raw.
    plausible: the first and the last day of dates and times, from the project's calendar or the contract; no type else.
    largest: how large a number may be, with either sign.
    decimal_separator: what stands between a number and its decimals where the source writes numbers as text.
    keeps: the fields of a document that are loaded, by their paths; the rest of it stays at the source, or is a token
        where the column is an identifier.
    meta: all that the contract's meta says of it, for the reader of its kind of source.
    """

    name: str
    data_type: str
    source_name: str = ""
    required: bool = False
    accepted_values: tuple[str, ...] = ()
    format: str | None = None
    minimum: float | None = None
    largest: int | None = None
    plausible: tuple[str, str] | None = None
    timestamp_formats: tuple[str, ...] = ()
    decimal_separator: str = "."
    privacy: str = "none"
    keeps: tuple[str, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def at_source(self) -> str:
        """What the source calls it."""
        return self.source_name or self.name

    @property
    def identifies(self) -> bool:
        """Whether the column names a person: raw has a token in its place."""
        return self.privacy == "direct_identifier"

    @property
    def scale(self) -> int | None:
        """Digits after the decimal point, for numeric columns."""
        match = _TYPE.match(self.data_type)
        return int(match.group(3)) if match and match.group(3) else None


@dataclass(frozen=True)
class Table:
    """One table of a source.

    reject_key: what mends a reject: by default the key.
    plausible: the first and the last day on which a version may begin to hold.
    """

    source: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    reject_key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    plausible: tuple[str, str] | None = None
    meta: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def at_source(self) -> str:
        """What the source calls it."""
        return str(self.meta.get("source_name") or self.name)

    @property
    def identifiers(self) -> list[Column]:
        """The columns that name a person."""
        return [column for column in self.columns if column.identifies]

    @property
    def modified_at(self) -> str | None:
        """The column that says when a record changed last; None where there is none, or the contract says null."""
        name = self.meta.get("modified_at", "updated_at")
        return str(name) if name in self.column_names else None

    @property
    def column_names(self) -> list[str]:
        """The names of the contract's columns, in order."""
        return [column.name for column in self.columns]


@dataclass(frozen=True)
class Source:
    """A source's contract.

    schema: its raw schema.
    reader: the kind of system that it is, one of ingestion/readers; where empty, the source has a package of its own.
    late_after: how old its newest load may be.
    schemas: those of a database of which the contract has all tables.
    meta: all that the contract's meta says of it, for the reader of its kind.
    """

    name: str
    schema: str
    tables: tuple[Table, ...]
    owner: str = ""
    reader: str = ""
    schemas: tuple[str, ...] = ()
    late_after: timedelta | None = None
    meta: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def undecided(self) -> list[str]:
        """The columns of which nobody has said yet what they tell of a person, as `source.table.column`."""
        columns = [(table, column) for table in self.tables for column in table.columns]
        return [f"{self.name}.{table.name}.{each.name}" for table, each in columns if each.privacy == UNDECIDED]

    def table(self, name: str) -> Table:
        """The table's contract. Raises ContractError where the source has none of that name."""
        for table in self.tables:
            if table.name == name:
                return table
        raise ContractError(f"source {self.name} has no table {name} in its contract")


# What the warehouse tells of its own runs: it has a contract and is loaded as any source, but by the build itself.
OWN_SOURCE = "runs"
# The tables that ingestion writes for every source beside the contract's own; they carry no contract of a source.
AUDIT_TABLES = ("loads", "rejects", "profiles")


def contract_file(source: str) -> Path:
    """Where a source's contract lies in the project."""
    return Path("models") / "staging" / source / f"_{source}__sources.yml"
