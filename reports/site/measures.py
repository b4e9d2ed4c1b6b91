"""What the published marts and the runs say, for the pages: rows as they come from the engine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb
import psycopg2

from ingestion.destination.lake import BUILD
from ingestion.destination.target import Target, attach_part
from warehouse.reading.metrics import Metrics, Question
from warehouse.reading.money import REPORTING_CURRENCY, Currency, reporting_currency
from warehouse.reading.query import ask
from warehouse.reading.storage import bytes_on_disk


@dataclass(frozen=True)
class Measures:
    """Questions to an open warehouse."""

    target: Target
    connection: Any
    metrics: Metrics

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement in which `{runs}`, `{ops}` and `{core}` stand for these schemas."""
        names = {name: self.target.schema(name) for name in ("runs", "ops", "core")}
        return ask(self.connection, sql.format(**names))[1]

    @cached_property
    def currency(self) -> Currency:
        """The one that amounts of metrics are in."""
        return reporting_currency(self.target, self.connection)

    def unit(self, metric: str) -> str | Currency:
        """What a metric is measured in, as `shown` takes it."""
        unit = self.metrics.unit(metric)
        return self.currency if unit == REPORTING_CURRENCY else unit

    def saved(self, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The answer to a saved query: names and rows, in its order."""
        return self.metrics.answer(self.connection, Question(saved_query=name))

    def ask_for(self, text: str) -> list[tuple[Any, ...]]:
        """The answer to a question in few words."""
        return self.metrics.answer(self.connection, self.metrics.read(text))[1]

    def generation(self) -> tuple[Any, ...]:
        """Its number, and when it was published."""
        return self.rows("select generation_number, published_at from {ops}.generation")[0]

    def days(self) -> tuple[Any, Any]:
        """The first and the last day that metrics are given for."""
        first, last = self.rows("select min(date_day), max(date_day) from {core}.dim_time_spine")[0]
        return first, last

    def row_counts(self, tables: list[tuple[str, str]]) -> dict[str, int]:
        """The rows of each table, by name; `tables` are schemas and names."""
        return {
            name: int(self.rows(f"select count(*) from {self.target.schema(schema)}.{name}")[0][0])
            for schema, name in tables
        }

    def bytes(self, tables: list[tuple[str, str]]) -> dict[str, int]:
        """What each table takes on disk, indexes included, by name."""
        return {name: size for (_, name), size in bytes_on_disk(self.target, self.connection, tables).items()}

    def newest_record_by_source(self) -> dict[str, Any]:
        """When the newest record of each source is of."""
        return dict(self.rows(
            "select source_id, max(newest_record_at) from {runs}.ops_extracts group by source_id"
        ))  # fmt: skip

    def latest_results(self) -> dict[str, tuple[str, int, Any]]:
        """The latest result of each test: its status, the rows that failed, when it ran."""
        rows = self.rows("""
            select test_name, status, failure_count, started_at from (
                select *, row_number() over (partition by test_name order by started_at desc) as recency
                from {runs}.ops_test_results
            ) as results where recency = 1""")
        return {name: (status, failures, started) for name, status, failures, started in rows}

    def kept(self, relations: Mapping[str, str], limit: int) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
        """The first rows that tests have kept, with their columns' names, by test.

        What can't be read is left out: a login that only reads what is published may not, and a build that is at work
        has DuckDB's file to itself. `relations` are where each test keeps its rows.
        """
        found = {}
        try:
            if self.target.engine == "duckdb" and relations:
                # As short as can be: a build would wait for it.
                attach_part(self.connection, self.target, BUILD, "build", read_only=True)
            for name, relation in relations.items():
                with suppress(duckdb.Error, psycopg2.Error):
                    found[name] = ask(self.connection, f"select * from {relation} limit {limit}")
        except duckdb.Error:
            return {}
        if self.target.engine == "duckdb" and relations:
            self.connection.execute("detach build")
        return found
