"""What the tests of the sources share: load into a warehouse of one's own, and ask it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb

from ingestion.contract.contracts import META_COLUMNS, Source
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded
from ingestion.load.loading import load
from ingestion.load.run import reader_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def load_source(
    name: str, target: Target, observed_at: datetime = NOON, tables: Collection[str] = ()
) -> dict[str, Loaded]:
    """Load a source, or these of its tables, as a build does. Returns what happened, by resource, and checks that raw
    agrees."""
    contract = contract_of(name, tables)
    results = {each.resource: each for each in load(contract, reader_of(contract).extracts, target, observed_at)}
    check_balance(name, target)
    return results


def contract_of(name: str, tables: Collection[str] = ()) -> Source:
    """A source's contract, of these tables alone where some are named: a load takes its time for each table."""
    contract = read_contract(name)
    return replace(contract, tables=tuple(each for each in contract.tables if not tables or each.name in tables))


def counts(result: Loaded) -> tuple[int, int, int, int, int]:
    """What happened to a table's records: read, loaded, known, rejected, and found deleted."""
    return (result.source_count, result.loaded, result.known, result.rejected, result.deleted)


def check_balance(source: str, target: Target) -> None:
    """Every load's counts balance, and raw and rejects hold as many rows of it as it says."""
    # One connection for both questions: to open a database takes longer than to answer them.
    with duckdb.connect(str(target.build_file), read_only=True) as connection:
        resources = connection.execute(f"select distinct resource from raw_{source}.loads").fetchall()
        raw = " union all ".join(
            f"select '{each}' as resource, _load_id, count(*) as rows from raw_{source}.{each} group by all"
            for (each,) in resources
        )
        loads = connection.execute(f"""
            select loads.*, coalesce(raw.rows, 0), coalesce(rejects.rows, 0)
            from (select * exclude (cursor, _observed_at) from raw_{source}.loads) as loads
            left join ({raw}) as raw using (resource, _load_id)
            left join (select resource, _load_id, count(*) as rows from raw_{source}.rejects group by all) as rejects
                using (resource, _load_id)""").fetchall()
    for resource, read, loaded, known, rejected, deleted, _, raw_rows, reject_rows in loads:
        assert read == loaded + known + rejected, resource
        assert raw_rows == loaded + deleted, resource
        assert reject_rows == rejected, resource


def ask(target: Target, query: str) -> list[tuple[Any, ...]]:
    """A query's rows, from the raw of a DuckDB warehouse."""
    with duckdb.connect(str(target.build_file), read_only=True) as connection:
        return connection.execute(query).fetchall()


def rejects(target: Target, source: str) -> list[tuple[str, list[Any], list[str]]]:
    """All rejects of a source as (resource, record key, reasons), in order."""
    rows = ask(target, f"select resource, record_key, reasons from raw_{source}.rejects order by all")
    return [(resource, json.loads(key), json.loads(reasons)) for resource, key, reasons in rows]


def content(target: Target, source: str, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table of raw, but for when and by which load they came, in order."""
    contract = read_contract(source).table(table)
    columns = [*contract.column_names, *(name for name in META_COLUMNS if name not in ("_observed_at", "_load_id"))]
    return ask(target, f"select {', '.join(columns)} from raw_{source}.{table} order by all")
