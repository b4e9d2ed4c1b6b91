"""The simulated company's way into raw as a whole, on DuckDB and Postgres."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ingestion.contract.contracts import META_COLUMNS, Source, read_contract
from ingestion.demo.commerce import next_day, serving, simulate
from ingestion.destination.target import Target
from ingestion.load.run import load_all
from tests.ingestion.loads import ask, check_balance

SOURCES = ("accounts", "retail", "shop")
Ask = Callable[[str], list[tuple[Any, ...]]]


def truth(company: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(company / "truth.sqlite")) as connection:
        return connection.execute(query).fetchall()


def load_company(company: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Load all sources; returns the counts of each table: read, loaded, known, rejected, deleted."""
    with serving(company) as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        results, failures = load_all(target, lambda line: None)
    assert failures == []
    return [(r.source_count, r.loaded, r.known, r.rejected, r.deleted) for r in results]


def every_row(source: Source, ask_warehouse: Ask) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of raw but for the load that brought them, by table."""
    tables = {table.name: [*table.column_names, *META_COLUMNS] for table in source.tables}
    tables["rejects"] = ["reject_id", "resource", "record_key", "reasons", "_revision", "_effective_at", "_observed_at"]
    tables["loads"] = ["resource", "source_count", "loaded_count", "known_count", "rejected_count", "deleted_count"]
    return {
        name: sorted(
            tuple(str(value) for value in row) for row in ask_warehouse(
                f"select {', '.join(c for c in columns if c != '_load_id')} from raw_{source.name}.{name}"
            )
        )
        for name, columns in tables.items()
    }  # fmt: skip


@pytest.mark.postgres
def test_company_comes_out_the_same_in_both_engines(
    tmp_path: Path, warehouse: Target, postgres: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    company = tmp_path / "company"
    production = Target("prod", "postgres", tmp_path / "production")
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    for name, value in postgres.items():
        monkeypatch.setenv(names[name], value)

    def ask_postgres(query: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(**postgres)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    simulate(company, 30, scale=0.2)
    for _ in range(2):
        counts = load_company(company, warehouse, monkeypatch)
        assert load_company(company, production, monkeypatch) == counts
        again = load_company(company, production, monkeypatch)
        assert [(loaded, rejected, deleted) for _, loaded, _, rejected, deleted in again] == [(0, 0, 0)] * len(again)
        load_company(company, warehouse, monkeypatch)
        next_day(company, days=15)
    for source in SOURCES:
        contract = read_contract(source)
        assert every_row(contract, ask_postgres) == every_row(contract, lambda query: ask(warehouse, query)), source
        check_balance(source, warehouse)


def test_what_is_rejected_is_what_is_broken(tmp_path: Path, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    company = tmp_path / "company"
    simulate(company, 60, scale=0.3)
    load_company(company, warehouse, monkeypatch)
    for source in SOURCES:
        check_balance(source, warehouse)
        found = ask(warehouse, f"select resource, reasons from raw_{source}.rejects where resource <> 'files'")
        expected = truth(
            company, f"select resource, reason from truth_rejects where source = '{source}' and is_current = 1"
        )
        assert sorted((resource, *json.loads(reasons)) for resource, reasons in found) == sorted(expected), source
