"""What passes between a source and the mechanism that loads it: extracts, their outcome, what a reader gets to see."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingestion.contract.contracts import META_COLUMNS, Source, Table
from ingestion.destination.target import Target, attach_warehouse
from ingestion.sql import quoted

REJECT_COLUMNS = {
    "reject_id": "text",  # md5 of what was rejected, so that the same record read again is known
    "resource": "text",
    "record_key": "text",  # JSON array of what mends it: the table's reject_key as the source wrote it
    "record": "text",  # the whole record as JSON, as the source wrote it
    "reasons": "text",  # JSON array of `<rule>:<column>`
    **{name: kind for name, kind in META_COLUMNS.items() if name != "_operation"},
}
LOAD_COLUMNS = {
    "resource": "text",
    "source_count": "bigint",
    "loaded_count": "bigint",
    "known_count": "bigint",
    "rejected_count": "bigint",
    "deleted_count": "bigint",
    "cursor": "text",
    "_observed_at": "timestamp",
    "_load_id": "text",
}


PROFILE_COLUMNS = {
    "resource": "text",
    "column_name": "text",
    "row_count": "bigint",  # versions that the load brought, deletions apart
    "null_count": "bigint",  # those of them in which the column has no value
    "newest_at": "timestamp",  # of `_effective_at`: the latest, deletions included
    "_observed_at": "timestamp",
    "_load_id": "text",
}


class SourceError(Exception):
    """A source can't be read. The message says which, what happened and what to do."""


class LoadError(Exception):
    """Raw can't be written, or a load's counts don't add up."""


@dataclass(frozen=True)
class Extract:
    """What a source has to say about one table since the last load.

    relation: a DuckDB select with the contract's columns, `_operation`, `_revision` and `_effective_at`.
    source_count: the records that the source itself counts in what was read.
    cursor: how far this extract reads, for the next one; kept with the load.
    conclude: where only the rows can tell: called once they can be read as `judged` and the good ones as `good`, before
        anything is written. It gives the cursor, and may raise SourceError.
    known: records in source_count that were not read again, since they are known as they are.
    compare_since: where versions may come that raw already has: the earliest `_effective_at` to compare with.
    repeats: versions may come that say what the version before them says, in raw or among these: they are known.
    rejects: a DuckDB select of records that could not even be read as rows:
        record_key, record, reasons (all JSON text), _revision, _effective_at.
    compared: the records are the whole table as it is now. One that is as its latest version in raw is known; another
        has a version that holds from now, or from when that version does, where it is later.
    deletes: a DuckDB select of versions with operation 'D' that are concluded, not read, with the columns of raw in
        raw's types. It may read `good`: the rows of `relation` that keep the contract, typed.
    beyond: what records have that the contract doesn't know, and how many have it.
    notes: what a person should know of it (a new column at the source, a file that can't be read).
    more: there is more to read, which has to be compared with what this extract loads: the next load's business.
    """

    table: Table
    relation: str
    source_count: int
    cursor: str | None = None
    conclude: Callable[[], str | None] | None = None
    known: int = 0
    compare_since: datetime | None = None
    repeats: bool = False
    rejects: str | None = None
    compared: bool = False
    deletes: str | None = None
    beyond: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    more: bool = False


@dataclass(frozen=True)
class Loaded:
    """The outcome of one extract, in records; `deleted` is beside them (see the module).

    reasons: why records were rejected, the most frequent ones first, and how often; a record may have several.
    """

    source: str
    resource: str
    source_count: int
    loaded: int
    known: int
    rejected: int
    deleted: int = 0
    compared: bool = False
    notes: tuple[str, ...] = ()
    more: bool = False
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Reader:
    """What a source gets to work with: a DuckDB connection, its contract, and what earlier loads left.

    existing: the tables of this source that raw has, with their columns in raw's order.
    cursors: the newest cursor of each resource, from completed loads.
    workspace: a folder for this load alone, gone when it ends.
    on_complete: what to do once the load is complete; a source may add to it.
    """

    connection: duckdb.DuckDBPyConnection
    contract: Source
    observed_at: datetime
    target: Target
    existing: Mapping[str, Sequence[str]]
    cursors: dict[str, str]
    workspace: Path
    say: Callable[[str], None]
    on_complete: list[Callable[[], None]] = field(default_factory=list)

    def raw(self, table: str) -> str:
        """The name of a table of this source in raw, readable from the connection (attached when first asked for)."""
        self._attach()
        return f"warehouse.{self.target.schema(self.contract.schema)}.{quoted(table)}"

    def raw_of(self, source: str, table: str) -> str | None:
        """The same of another source of the project; None where it has loaded nothing yet."""
        self._attach()
        schema = self.target.schema(f"raw_{source}")
        there = self.connection.execute(
            "select 1 from information_schema.tables "
            "where table_catalog = 'warehouse' and table_schema = ? and table_name = ?",
            [schema, table],
        )
        return f"warehouse.{schema}.{quoted(table)}" if there.fetchall() else None

    def _attach(self) -> None:
        attached = self.connection.execute("select 1 from duckdb_databases() where database_name = 'warehouse'")
        if not attached.fetchall():
            attach_warehouse(self.connection, self.target)

    def complete(self, table: str) -> str:
        """A select over a table of raw that sees completed loads only, with the columns that the contract has now.

        It has no rows where raw has no such table yet, and nulls for a column that came into the contract later.
        """
        columns = all_columns(self.contract)[table]
        if table not in self.existing:
            return f"({no_rows(columns)})"
        raw, loads = self.raw(table), self.raw("_dlt_loads")
        present = {str(row[0]) for row in self.connection.execute(f"describe {raw}").fetchall()}
        listed = ", ".join(
            quoted(name) if name in present else f"cast(null as {kind}) as {quoted(name)}"
            for name, kind in columns.items()
        )
        return f"(select {listed} from {raw} where _load_id in (select load_id from {loads} where status = 0))"

    def latest(self, table: Table) -> str:
        """A select over a table of raw of the latest version of every record, deleted ones too.

        It has the contract's columns, `_operation`, `_revision` and `_effective_at`. The order is that of
        macros/portable/latest_versions.sql. Only what has several versions is put in order: most records have one.
        """
        key = ", ".join(quoted(column) for column in table.key)
        content = ", ".join(f"{quoted(column)} desc nulls last" for column in table.column_names)
        same = " and ".join(f"repeated.{quoted(c)} is not distinct from versions.{quoted(c)}" for c in table.key)
        return f"""
            with versions as (select * exclude (_load_id) from {self.complete(table.name)}),
            repeated as (select {key} from versions group by all having count(*) > 1)
            select * exclude (_observed_at) from versions anti join repeated on {same}
            union all
            select * exclude (_observed_at) from (from versions semi join repeated on {same})
            qualify row_number() over (
                partition by {key} order by _effective_at desc, _revision desc, _observed_at desc, {content}
            ) = 1"""

    def in_order(self, table: str, columns: Iterable[str]) -> list[str]:
        """A table's columns as raw has them, new ones last. Files in another order dlt would write once more."""
        wanted, present = list(columns), self.existing.get(table, ())
        return [*(name for name in present if name in wanted), *(name for name in wanted if name not in present)]

    @property
    def observed(self) -> str:
        """The time of observation as a DuckDB literal, UTC."""
        return timestamp_literal(self.observed_at)


ExtractFunction = Callable[[Reader], Generator[Extract, None, None]]


def timestamp_literal(moment: datetime) -> str:
    """A time as a DuckDB literal in UTC; one without a zone is taken to be in UTC."""
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"timestamp '{utc.replace(tzinfo=None).isoformat(sep=' ')}'"


def no_rows(columns: dict[str, str]) -> str:
    """A DuckDB select of these columns, by name and type, that has no rows."""
    nulls = ", ".join(f"cast(null as {kind}) as {quoted(name)}" for name, kind in columns.items())
    return f"select {nulls} where false"


def all_columns(contract: Source) -> dict[str, dict[str, str]]:
    """The columns and types of every table that raw has for a source, by the table's name."""
    tables = {t.name: {c.name: c.data_type for c in t.columns} | META_COLUMNS for t in contract.tables}
    return tables | {"rejects": REJECT_COLUMNS, "loads": LOAD_COLUMNS, "profiles": PROFILE_COLUMNS}


def first_line(error: BaseException) -> str:
    """The first line of an error's text: enough to know it by."""
    return (str(error).strip().splitlines() or [repr(error)])[0]
