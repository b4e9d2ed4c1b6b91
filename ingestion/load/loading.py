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

`raw_<source>.profiles` says how complete the loaded versions are: for each column how many have no value there.

What a later load starts from is read back from completed loads only: a load that was killed leaves nothing
that counts, and is simply done again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.common.storages.load_package import load_package_state
from dlt.destinations.sql_client import SqlClientBase

from ingestion.contract.contracts import LONGEST_NAME, ContractError, Source, Table
from ingestion.destination.target import Target, dlt_destination
from ingestion.duck import connected
from ingestion.load.extracts import ExtractFunction, Loaded, LoadError, Reader, SourceError, all_columns, no_rows
from ingestion.load.handover import file_format, write_files
from ingestion.load.judging import ContractPass
from ingestion.sql import quoted

# dlt would take a signal that comes while it normalizes or loads, and end the load as if there had been none: whoever
# asked the command to end would wait in vain. So signals go to whom the command gave them.
# What dlt would restore from the warehouse, a contract says, or raw: cursors are those of completed loads.
_RUNTIME = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__INTERCEPT_SIGNALS": "false",
    "RESTORE_FROM_DESTINATION": "false",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}


def load(
    contract: Source,
    extracts: ExtractFunction | None,
    target: Target,
    observed_at: datetime | None = None,
    say: Callable[[str], None] = lambda line: None,
    seconds: dict[str, float] | None = None,
) -> list[Loaded]:
    """Load one source into its raw schema.

    Args:
        contract: the source's contract.
        extracts: the source's own reader; None where the source isn't configured: its tables are then made, empty.
        target: the warehouse.
        observed_at: when the source is looked at; now unless a test or a replay says otherwise.
        say: takes one line for each table as it is done.
        seconds: takes how long each of dlt's steps took, by `<source> extract`, `… normalize` and `… load`; the
            source is read and judged in the first.

    Returns:
        What happened to the records of each table. Empty where there was nothing to do.

    Raises:
        SourceError: the source can't be read; nothing of it was loaded.
        LoadError: the counts don't add up, or raw can't be written.
        ContractError: the contract says something that the source's reader can't follow.
    """
    observed_at = (observed_at or datetime.now(UTC)).astimezone(UTC)
    target.folder.mkdir(parents=True, exist_ok=True)
    os.environ |= _RUNTIME
    pipeline = dlt.pipeline(
        pipeline_name=f"granary_{contract.name}_{target.name}",
        destination=dlt_destination(target),
        dataset_name=target.schema(contract.schema),
        pipelines_dir=str(target.folder / "pipelines"),
    )
    # Always the same folder: what a killed load left there goes with the next one, and says that there was one.
    workspace = target.folder / "loading" / pipeline.pipeline_name
    if pipeline.has_pending_data or workspace.exists():
        _discard_unfinished(pipeline, contract, target)
    with pipeline.sql_client() as client:
        existing = _existing_tables(client, target.schema(contract.schema))
        cursors = _cursors(client) if "loads" in existing else {}
        for table in contract.tables:
            _check_key(client, table, existing)
    # A table that lacks a column of the contract gets it even by a load that has no rows for it.
    incomplete = {name for name, columns in all_columns(contract).items() if set(columns) - set(existing.get(name, ()))}
    if extracts is None and not incomplete:
        return []
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    try:
        with connected(workspace / "spill") as connection:
            reader = Reader(connection, contract, observed_at, target, existing, cursors, workspace, say)
            try:
                results = _run(pipeline, reader, extracts, incomplete)
            finally:
                if seconds is not None and pipeline.last_trace:
                    for step in pipeline.last_trace.steps:
                        if step.step != "run" and step.finished_at:
                            name, took = f"{contract.name} {step.step}", step.finished_at - step.started_at
                            seconds[name] = seconds.get(name, 0.0) + took.total_seconds()
            for finish in reader.on_complete:
                finish()
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    if target.engine == "postgres" and incomplete:
        _create_indexes(pipeline, contract)
    return results


def _run(
    pipeline: dlt.Pipeline, reader: Reader, extracts: ExtractFunction | None, incomplete: set[str]
) -> list[Loaded]:
    contract, columns, opened = reader.contract, all_columns(reader.contract), ExitStack()
    outcome: list[Loaded] = []

    # One resource for all tables, each of whose files says which table it is of: dlt's work is by resource, and most
    # tables of most loads have nothing new.
    @dlt.resource(table_name=str, columns=lambda name: _dlt_columns(columns[name]), write_disposition="append")
    def files() -> Iterator[Any]:
        """Judge all extracts, one after the other, so that they can share one state of the source."""
        work = ContractPass(reader, str(load_package_state()["load_id"]))
        written: dict[str, tuple[list[Path], int]] = {}
        if extracts:
            try:
                with closing(extracts(reader)) as source:
                    for extract in source:
                        written[extract.table.name] = work.take(extract)
                        reader.say(_line(work.results[-1]))
            except BaseException:
                work.take_back()
                raise
        written |= {"rejects": work.rejects(), "loads": work.audit(), "profiles": work.profiles()}
        outcome.extend(work.results)
        for name in columns:
            paths, rows = written.get(name, ([], 0))
            if not paths and name in incomplete:
                # An import of no rows makes the table as the contract says; dlt's own empty tables have more columns.
                ordered = {each: columns[name][each] for each in reader.in_order(name, columns[name])}
                paths, _ = write_files(reader, no_rows(ordered), f"empty.{name}")
            for number, path in enumerate(paths if rows or name in incomplete else ()):
                # dlt adds the numbers of rows up, and does nothing else with them.
                yield dlt.mark.with_file_import(str(path), kind, 0 if number else rows, name)  # type: ignore[arg-type]
        # dlt opens the same database next: nothing of ours may hold it. And it does so for each of its steps, which is
        # quick where it is open already.
        reader.connection.execute("detach database if exists warehouse")
        client = pipeline.sql_client()
        client.open_connection()
        opened.callback(client.close_connection)

    kind = file_format(reader.target)
    try:
        with opened:
            pipeline.run(dlt.source(lambda: files, schema=dlt.Schema(contract.name), section=contract.name)())
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, SourceError | LoadError | ContractError | KeyboardInterrupt):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        raise LoadError(
            f"{contract.name}: raw could not be written: {_innermost(error)}; what was left half-way is taken away "
            "by the next load, which reads it all again"
        ) from error
    return outcome


def _line(result: Loaded) -> str:
    deleted = f"; {result.deleted:,} found deleted" if result.deleted else ""
    deleted += "; compared as a whole" if result.compared else ""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in result.reasons)
    return (
        f"  {result.source}.{result.resource}: {result.source_count:,} read, {result.loaded:,} loaded, "
        f"{result.known:,} known, {result.rejected:,} rejected{f' ({reasons})' if reasons else ''}{deleted}"
    )


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
    pipeline.abort_packages()
    with pipeline.sql_client() as client:
        existing = _existing_tables(client, target.schema(contract.schema))
        for name in sorted(existing.keys() & all_columns(contract).keys()):
            if "_dlt_loads" in existing:
                known = "select load_id from _dlt_loads where status = 0"
                client.execute_sql(f"delete from {quoted(name)} where _load_id not in ({known})")
            else:  # it was the first load of all, and dlt hadn't made its own tables yet
                client.execute_sql(f"drop table {quoted(name)}")


def _existing_tables(client: SqlClientBase[Any], schema: str) -> dict[str, list[str]]:
    """The tables that raw has, with their columns in raw's order."""
    rows = client.execute_sql(
        "select table_name, column_name from information_schema.columns where table_schema = %s "
        "order by table_name, ordinal_position",
        schema,
    )
    found: dict[str, list[str]] = {}
    for table, column in rows or ():
        found.setdefault(str(table), []).append(str(column))
    return found


def _check_key(client: SqlClientBase[Any], table: Table, existing: Mapping[str, Sequence[str]]) -> None:
    """Refuse a key that has a column which the records that are there lack: none of them would be known again."""
    new = [name for name in table.key if name not in existing.get(table.name, table.key)]
    if new and client.execute_sql(f"select 1 from {quoted(table.name)} limit 1"):
        raise LoadError(
            f"{table.source}.{table.name}: the contract's key has {', '.join(new)}, which the records that were loaded "
            "lack, so that none of them would be known again: load this source into a new warehouse, or give the "
            "contract the key that it had"
        )


def _cursors(client: SqlClientBase[Any]) -> dict[str, str]:
    """The cursor of the last completed load of each resource that left one."""
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
                name = f"{table.name}_{'_'.join(columns)}".replace("__", "_")
                if len(name) > LONGEST_NAME:  # Postgres would cut it off
                    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
                    name = f"{name[: LONGEST_NAME - 9]}_{digest[:8]}"
                listed = ", ".join(quoted(column) for column in columns)
                # A load's rows lie together, so an index of blocks finds them, and costs next to nothing to keep.
                kind = "brin" if columns == ("_load_id",) else "btree"
                client.execute_sql(
                    f"create index if not exists {quoted(name)} on {quoted(table.name)} using {kind} ({listed})"
                )
