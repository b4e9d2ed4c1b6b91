"""The one way into raw: read set-wise, judge by the contract, bulk-load with dlt.

A source hands over extracts: for one table a DuckDB select that has the contract's columns plus
`_operation`, `_revision` and `_effective_at`, and how many records the source itself counts. Each extract is
read and judged in one pass over that select; good rows become a file in the form that the destination bulk-loads
(Parquet for DuckDB, CSV for Postgres), the others become rows of `raw_<source>.rejects` with every reason.
dlt imports the files untouched. `raw_<source>.loads` says for each resource and load what was counted:

    source_count = loaded_count + known_count + rejected_count
    rows of raw that came by the load = loaded_count + deleted_count

`deleted_count` counts versions that no record of the source stands for: that a record is gone is concluded by
comparing (with the file's version before, with the keys that are still there).

What a later load starts from is read back from completed loads only: a load that was killed leaves nothing
that counts, and is simply done again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.storages.load_package import load_package_state

from ingestion.contract_sql import judged, literal, quoted
from ingestion.contracts import META_COLUMNS, Source, Table
from ingestion.destination import Target, attach_statement, dlt_destination
from ingestion.duck import connect, load_extension

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
    known: records in source_count that were not read again, since they are known as they are.
    compare_since: where versions may come that raw already has: the earliest `_effective_at` to compare with.
    rejects: a DuckDB select of records that could not even be read as rows:
        record_key, record, reasons (all JSON text), _revision, _effective_at.
    deletes: a DuckDB select of versions with operation 'D' that are concluded, not read, with the columns of raw in
        raw's types. It may read `good`: the rows of `relation` that keep the contract, typed.
    notes: what a person should know of it (a new column at the source, a file that can't be read).
    """

    table: Table
    relation: str
    source_count: int
    cursor: str | None = None
    known: int = 0
    compare_since: datetime | None = None
    rejects: str | None = None
    deletes: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """The outcome of one extract, in records; `deleted` is beside them (see the module)."""

    source: str
    resource: str
    source_count: int
    loaded: int
    known: int
    rejected: int
    deleted: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reader:
    """What a source gets to work with: a DuckDB connection, its contract, and what earlier loads left.

    existing: the tables of this source that raw has.
    cursors: the newest cursor of each resource, from completed loads.
    workspace: a folder for this load alone, gone when it ends.
    on_complete: what to do once the load is complete; a source may add to it.
    """

    connection: duckdb.DuckDBPyConnection
    contract: Source
    observed_at: datetime
    target: Target
    existing: frozenset[str]
    cursors: dict[str, str]
    workspace: Path
    say: Callable[[str], None]
    on_complete: list[Callable[[], None]] = field(default_factory=list)

    def raw(self, table: str) -> str:
        """The name of a table of this source in raw, readable from the connection (attached when first asked for)."""
        attached = self.connection.execute("select 1 from duckdb_databases() where database_name = 'warehouse'")
        if not attached.fetchall():
            if self.target.engine == "postgres":
                load_extension(self.connection, "postgres_scanner")
            self.connection.execute(attach_statement(self.target))
        return f"warehouse.{self.target.schema(self.contract.schema)}.{quoted(table)}"

    def complete(self, table: str) -> str:
        """A select over a table of raw that sees completed loads only, with the columns that the contract has now.

        It has no rows where raw has no such table yet, and nulls for a column that came into the contract later.
        """
        columns = all_columns(self.contract)[table]
        if table not in self.existing:
            nulls = ", ".join(f"cast(null as {kind}) as {quoted(name)}" for name, kind in columns.items())
            return f"(select {nulls} where false)"
        raw, loads = self.raw(table), self.raw("_dlt_loads")
        present = {str(row[0]) for row in self.connection.execute(f"describe {raw}").fetchall()}
        listed = ", ".join(
            quoted(name) if name in present else f"cast(null as {kind}) as {quoted(name)}"
            for name, kind in columns.items()
        )
        return f"(select {listed} from {raw} where _load_id in (select load_id from {loads} where status = 0))"

    @property
    def observed(self) -> str:
        """The time of observation as a DuckDB literal, UTC."""
        return timestamp_literal(self.observed_at)


ExtractFunction = Callable[[Reader], Generator[Extract, None, None]]


def timestamp_literal(moment: datetime) -> str:
    """A time as a DuckDB literal in UTC; one without a zone is taken to be in UTC."""
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"timestamp '{utc.replace(tzinfo=None).isoformat(sep=' ')}'"


def file_format(target: Target) -> str:
    """The form in which the warehouse bulk-loads."""
    return "parquet" if target.engine == "duckdb" else "csv"


def _dlt_columns(columns: dict[str, str]) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "text": {"data_type": "text"},
        "bigint": {"data_type": "bigint"},
        "boolean": {"data_type": "bool"},
        "date": {"data_type": "date"},
        "timestamp": {"data_type": "timestamp", "timezone": False, "precision": 6},
    }
    hints: dict[str, Any] = {}
    for name, kind in columns.items():
        if kind.startswith("numeric"):
            precision, scale = kind[8:-1].split(",")
            hint: dict[str, Any] = {"data_type": "decimal", "precision": int(precision), "scale": int(scale)}
        else:
            hint = dict(kinds[kind])
        hints[name] = {"name": name, "nullable": True, **hint}
    return hints


def all_columns(contract: Source) -> dict[str, dict[str, str]]:
    """The columns and types of every table that raw has for a source, by the table's name."""
    tables = {t.name: {c.name: c.data_type for c in t.columns} | META_COLUMNS for t in contract.tables}
    return tables | {"rejects": REJECT_COLUMNS, "loads": LOAD_COLUMNS}


class _Pass:
    """One load of one source: the contract pass over each extract, and the files for dlt."""

    def __init__(self, reader: Reader, load_id: str):
        self.reader = reader
        self.load_id = load_id
        self.format = file_format(reader.target)
        self.results: list[Loaded] = []
        self.cursors: dict[str, str | None] = {}
        columns = ", ".join(f"{name} {kind}" for name, kind in REJECT_COLUMNS.items())
        reader.connection.execute(f"create or replace temp table rejects ({columns})")

    def _copy(self, select: str, name: str) -> tuple[Path, int]:
        path = self.reader.workspace / f"{name}.{self.format}"
        options = "format parquet, compression snappy" if self.format == "parquet" else "format csv, header"
        row = self.reader.connection.execute(f"copy ({select}) to {literal(str(path))} ({options})").fetchone()
        assert row is not None
        return path, int(row[0])

    def _number(self, query: str) -> int:
        row = self.reader.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _stamp(self) -> str:
        return f"{self.reader.observed} as _observed_at, {literal(self.load_id)} as _load_id"

    def take(self, extract: Extract) -> tuple[Path, int]:
        """Judge one extract: write its good rows to a file, keep its rejects, note the counts.

        Returns:
            The file for dlt and its rows.

        Raises:
            SourceError: the source breaks off while it is read.
            LoadError: what was read is not what the source counted.
        """
        connection, table = self.reader.connection, extract.table
        where = f"{table.source}.{table.name}"
        listed = ", ".join(quoted(c) for c in [*table.column_names, "_operation", "_revision", "_effective_at"])
        try:
            # The only statement that reads the source; what follows works on its result.
            types = {str(row[0]): str(row[1]) for row in connection.execute(f"describe {extract.relation}").fetchall()}
            connection.execute(f"create or replace temp table judged as {judged(table, extract.relation, types)}")
        except duckdb.Error as error:
            raise SourceError(
                f"{where}: the source could not be read to its end: {first_line(error)}; nothing of it was loaded: "
                "check the source, then load again"
            ) from error
        connection.execute(f"create or replace temp view good as select {listed} from judged where _is_good")
        rows, known = "good", extract.known
        if extract.compare_since is not None:
            rows, repeated = self._unknown(table, extract.compare_since, listed)
            known += repeated
        versions, deleted = f"select {listed} from {rows}", 0
        if extract.deletes:
            connection.execute(f"create or replace temp table deletes as select {listed} from ({extract.deletes})")
            deleted = self._number("select count(*) from deletes")
            versions += f" union all select {listed} from deletes"
        path, written = self._copy(f"select *, {self._stamp()} from ({versions})", where)
        loaded = written - deleted
        rejected, repeated = self._reject(table, extract.rejects)
        known += repeated
        if loaded + known + rejected != extract.source_count:
            raise LoadError(
                f"{where}: the source counts {extract.source_count:,} records, but {loaded:,} loaded + {known:,} known "
                f"+ {rejected:,} rejected were read; nothing of this source was loaded. If the source is written to "
                "while it is read, load again; else its reader has a fault"
            )
        self.results.append(
            Loaded(table.source, table.name, extract.source_count, loaded, known, rejected, deleted, extract.notes)
        )
        self.cursors[table.name] = extract.cursor
        connection.execute("drop view good")
        connection.execute("drop table judged")
        return path, written

    def _unknown(self, table: Table, since: datetime, listed: str) -> tuple[str, int]:
        """Leave out versions that raw has to the letter, and repeats within the extract; says how many these were."""
        connection = self.reader.connection
        connection.execute(
            f"create or replace temp table distinct_good as select {listed}, count(*) as copies from good group by all"
        )
        same = " and ".join(
            f"old.{quoted(c)} is not distinct from new.{quoted(c)}"
            for c in [*table.column_names, "_operation", "_revision", "_effective_at"]
        )
        connection.execute(f"""
            create or replace temp table unknown as
            select {listed} from distinct_good as new
            where not exists (
                select 1 from {self.reader.complete(table.name)} as old
                where old._effective_at >= {timestamp_literal(since)} and {same}
            )""")
        read = self._number("select coalesce(sum(copies), 0) from distinct_good")
        return "unknown", read - self._number("select count(*) from unknown")

    def _reject(self, table: Table, unreadable: str | None) -> tuple[int, int]:
        """Keep the rejects that are not known yet. Returns (new, known)."""
        connection = self.reader.connection
        bad = """
            select _record_key as record_key, _record as record, _reasons as reasons, _revision, _effective_at
            from judged where not _is_good"""
        if unreadable:
            bad += f" union all select record_key, record, reasons, _revision, _effective_at from ({unreadable})"
        connection.execute(f"""
            create or replace temp table rejected as
            select md5(concat_ws('|', {literal(table.name)}, record, reasons, _revision)) as reject_id,
                count(*) as copies, any_value(record_key) as record_key, record, reasons, _revision,
                min(_effective_at) as _effective_at
            from ({bad}) group by record, reasons, _revision""")
        read = self._number("select coalesce(sum(copies), 0) from rejected")
        if not read:
            return 0, 0
        connection.execute(f"""
            delete from rejected where reject_id in (
                select reject_id from {self.reader.complete("rejects")} where resource = {literal(table.name)}
            )""")
        connection.execute(f"""
            insert into rejects by name
            select reject_id, {literal(table.name)} as resource, record_key, record, reasons, _revision, _effective_at,
                {self._stamp()}
            from rejected""")
        new = self._number("select count(*) from rejected")
        return new, read - new

    def rejects(self) -> tuple[Path, int]:
        """The file of all rejects of this load, and their number."""
        return self._copy("select * from rejects", "rejects")

    def audit(self) -> tuple[Path, int]:
        """The file of `raw_<source>.loads` for this load: one row for each resource."""
        columns = ", ".join(f"{name} {kind}" for name, kind in LOAD_COLUMNS.items())
        self.reader.connection.execute(f"create or replace temp table loads ({columns})")
        for result in self.results:
            self.reader.connection.execute(
                f"insert into loads values ({', '.join('?' * len(LOAD_COLUMNS))})",
                [
                    result.resource,
                    result.source_count,
                    result.loaded,
                    result.known,
                    result.rejected,
                    result.deleted,
                    self.cursors[result.resource],
                    self.reader.observed_at.replace(tzinfo=None),
                    self.load_id,
                ],
            )
        return self._copy("select * from loads", "loads")


def load(
    contract: Source,
    extracts: ExtractFunction | None,
    target: Target,
    observed_at: datetime | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Loaded]:
    """Load one source into its raw schema.

    Args:
        contract: the source's contract.
        extracts: the source's own reader; None where the source isn't configured: its tables are then made, empty.
        target: the warehouse.
        observed_at: when the source is looked at; now unless a test or a replay says otherwise.
        say: takes one line for each table as it is done.

    Returns:
        What happened to the records of each table. Empty where there was nothing to do.

    Raises:
        SourceError: the source can't be read; nothing of it was loaded.
        LoadError: the counts don't add up, or raw can't be written.
    """
    observed_at = (observed_at or datetime.now(UTC)).astimezone(UTC)
    target.folder.mkdir(parents=True, exist_ok=True)
    pipeline = dlt.pipeline(
        pipeline_name=f"granary_{contract.name}_{target.name}",
        destination=dlt_destination(target),
        dataset_name=target.schema(contract.schema),
        pipelines_dir=str(target.folder / "pipelines"),
    )
    _discard_unfinished(pipeline, contract, target)
    existing = _existing_tables(pipeline, target.schema(contract.schema))
    wanted = {table.name for table in contract.tables} | {"rejects", "loads"}
    if extracts is None and wanted <= existing:
        return []
    # Always the same folder: what a killed load left there goes with the next one.
    workspace = target.folder / "loading" / pipeline.pipeline_name
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    connection = connect()
    try:
        connection.execute(f"set temp_directory = {literal(str(workspace / 'spill'))}")
        cursors = _cursors(pipeline) if "loads" in existing else {}
        reader = Reader(connection, contract, observed_at, target, frozenset(existing), cursors, workspace, say)
        results = _run(pipeline, reader, extracts, wanted - existing)
        for finish in reader.on_complete:
            finish()
    finally:
        connection.close()
        shutil.rmtree(workspace, ignore_errors=True)
    if target.engine == "postgres" and wanted - existing:
        _create_indexes(pipeline, contract)
    return results


def _run(pipeline: dlt.Pipeline, reader: Reader, extracts: ExtractFunction | None, missing: set[str]) -> list[Loaded]:
    contract = reader.contract
    outcome: list[Loaded] = []
    prepared: dict[str, tuple[Path, int]] = {}
    columns = all_columns(contract)

    def prepare() -> None:
        """Judge all extracts, one after the other, so that they can share one state of the source."""
        work = _Pass(reader, str(load_package_state()["load_id"]))
        if extracts:
            with closing(extracts(reader)) as source:
                for extract in source:
                    prepared[extract.table.name] = work.take(extract)
                    reader.say(_line(work.results[-1]))
        prepared["rejects"] = work.rejects()
        prepared["loads"] = work.audit()
        outcome.extend(work.results)
        # dlt opens the same files next: nothing of ours may hold them.
        reader.connection.execute("detach database if exists warehouse")

    def empty_file(name: str) -> Path:
        path = reader.workspace / f"empty.{name}.{work_format}"
        nulls = ", ".join(f"cast(null as {kind}) as {quoted(column)}" for column, kind in columns[name].items())
        options = "format parquet" if work_format == "parquet" else "format csv, header"
        reader.connection.execute(f"copy (select {nulls} where false) to {literal(str(path))} ({options})")
        return path

    def resource(name: str) -> Any:
        @dlt.resource(name=name, columns=_dlt_columns(columns[name]), write_disposition="append")
        def table() -> Iterator[Any]:
            if not prepared:
                prepare()
            path, rows = prepared.get(name, (None, 0))
            if rows:
                yield dlt.mark.with_file_import(str(path), work_format, rows)  # type: ignore[arg-type]
            elif name in missing:
                # An import of no rows makes the table as the contract says; dlt's own empty tables have more columns.
                yield dlt.mark.with_file_import(str(empty_file(name)), work_format, 0)  # type: ignore[arg-type]

        return table

    work_format = file_format(reader.target)
    resources = [resource(name) for name in columns]
    try:
        pipeline.run(dlt.source(lambda: resources, schema=dlt.Schema(contract.name), section=contract.name)())
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, SourceError | LoadError):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        raise LoadError(
            f"{contract.name}: raw could not be written: {_innermost(error)}; what was left half-way is taken away "
            "by the next load, which reads it all again"
        ) from error
    return outcome


def _line(result: Loaded) -> str:
    deleted = f"; {result.deleted:,} found deleted" if result.deleted else ""
    return (
        f"  {result.source}.{result.resource}: {result.source_count:,} read, {result.loaded:,} loaded, "
        f"{result.known:,} known, {result.rejected:,} rejected{deleted}"
    )


def first_line(error: BaseException) -> str:
    """The first line of an error's text: enough to know it by."""
    return (str(error).strip().splitlines() or [repr(error)])[0]


def _innermost(error: BaseException) -> str:
    """The first line of the error that started it all: dlt wraps it in pages of advice."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    text = str(cause).strip()
    marker = "Last failure message was: "
    if marker in text:
        text = text.split(marker, 1)[1]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("Traceback", " ", "CONTEXT"))]
    return lines[0] if lines else repr(cause)


def _discard_unfinished(pipeline: dlt.Pipeline, contract: Source, target: Target) -> None:
    """Take away what a killed load left: its package, and its rows, which no completed load stands for.

    What the load would have read is read again, since cursors come from completed loads only.
    """
    if not pipeline.has_pending_data:
        return
    pipeline.drop_pending_packages()
    existing = _existing_tables(pipeline, target.schema(contract.schema))
    with pipeline.sql_client() as client:
        for name in sorted(existing & ({table.name for table in contract.tables} | {"rejects", "loads"})):
            client.execute_sql(
                f"delete from {name} where _load_id not in (select load_id from _dlt_loads where status = 0)"
            )


def _existing_tables(pipeline: dlt.Pipeline, schema: str) -> set[str]:
    with pipeline.sql_client() as client:
        rows = client.execute_sql("select table_name from information_schema.tables where table_schema = %s", schema)
    return {str(row[0]) for row in rows or ()}


def _cursors(pipeline: dlt.Pipeline) -> dict[str, str]:
    """The cursor of the last completed load of each resource that left one."""
    with pipeline.sql_client() as client:
        rows = client.execute_sql(
            "select l.resource, l.cursor from loads as l join _dlt_loads as d on d.load_id = l._load_id "
            "where d.status = 0 and l.cursor is not null order by d.inserted_at, l._load_id"
        )
    return {str(resource): str(cursor) for resource, cursor in rows or ()}


def _create_indexes(pipeline: dlt.Pipeline, contract: Source) -> None:
    """Postgres: index raw by key and by load, which is how staging is asked for a few records of a long log."""
    with pipeline.sql_client() as client:
        for table in contract.tables:
            for columns in (table.key, ("_load_id",), *table.indexes):
                name = f"{table.name}_{'_'.join(columns)}".replace("__", "_")[:60]
                listed = ", ".join(quoted(column) for column in columns)
                client.execute_sql(f"create index if not exists {name} on {table.name} ({listed})")
