"""Metrics of the pipeline, read from what is published: loads, rejects, freshness, runs, tests, alerts, files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import psycopg2
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ingestion.destination.lock import lock_holder
from ingestion.destination.target import Target
from orchestration.alerts.conditions import contracts_of, what_is_wrong
from warehouse.reading.query import ask, open_published


@dataclass(frozen=True)
class Question:
    """A statement whose first columns are labels, and each of the others the values of a metric.

    metrics: by name what each means; one that ends with `_total` only grows.
    """

    labels: tuple[str, ...]
    metrics: dict[str, str]
    sql: str


_LAST_LOADS = """(
    select *, row_number() over (
        partition by source_id, resource_name order by observed_at desc, load_id desc) as recency
    from {runs}.ops_extracts
)"""
# A run that is at work has no outcome yet, and one that measured (a drill) has steps that are no durations of a build.
_ENDED = "outcome not in ('running', 'measured')"

QUESTIONS = (
    Question(
        (),
        {
            "granary_generation_number": "The published generation.",
            "granary_generation_published_timestamp_seconds": "When it was published.",
        },
        "select generation_number, published_at from {ops}.generation",
    ),
    Question(
        ("command", "outcome"),
        {"granary_runs_total": "Runs of commands that change the warehouse."},
        f"select command_name, outcome, count(*) from {{runs}}.ops_runs where {_ENDED} group by command_name, outcome",
    ),
    Question(
        ("command",),
        {
            "granary_last_run_timestamp_seconds": "When the last run began that has ended.",
            "granary_last_run_seconds": "How long it took.",
            "granary_last_run_success": "Whether it did what it was asked for: 1 or 0.",
        },
        f"""
        select command_name, started_at, total_seconds,
            case when outcome in ('failed', 'interrupted', 'killed') then 0 else 1 end
        from (
            select *, row_number() over (partition by command_name order by started_at desc) as recency
            from {{runs}}.ops_runs where {_ENDED}
        ) as runs where recency = 1""",
    ),
    Question(
        ("step",),
        {
            "granary_last_step_seconds": "How long the step took in the last run that had it.",
            "granary_step_seconds_total": "How long the step took in all runs together.",
            "granary_steps_total": "How many runs had the step.",
        },
        f"""
        select step_name, max(case when recency = 1 then duration_seconds end), sum(duration_seconds), count(*)
        from (
            select steps.step_name, steps.duration_seconds,
                row_number() over (partition by steps.step_name order by steps.started_at desc) as recency
            from {{runs}}.ops_run_steps as steps
            inner join {{runs}}.ops_runs as runs on steps.run_id = runs.run_id
            where {_ENDED}
        ) as steps group by step_name""",
    ),
    Question(
        ("source", "resource"),
        {
            "granary_records_read_total": "Records that the source counted in what was read.",
            "granary_records_loaded_total": "Records that went into raw.",
            "granary_records_known_total": "Records that raw had already.",
            "granary_records_rejected_total": "Records that broke the contract.",
            "granary_records_deleted_total": "Records that were found gone at the source.",
            "granary_loads_total": "Looks at the table, whether they brought something or not.",
        },
        """
        select source_id, resource_name, sum(source_count), sum(loaded_count), sum(known_count), sum(rejected_count),
            sum(deleted_count), count(*)
        from {runs}.ops_extracts group by source_id, resource_name""",
    ),
    Question(
        ("source", "resource"),
        {
            "granary_last_load_timestamp_seconds": "When the table was looked at last.",
            "granary_newest_record_timestamp_seconds": "From when its newest record is, in the source's time.",
            "granary_last_load_records": "Records that the last look read.",
            "granary_last_load_rejected_records": "Of these, records that broke the contract.",
        },
        f"""
        select source_id, resource_name, observed_at, newest_record_at, source_count, rejected_count
        from {_LAST_LOADS} as loads where recency = 1""",
    ),
    Question(
        ("source",),
        {"granary_source_news_timestamp_seconds": "When the source was looked at last that brought something."},
        "select source_id, max(observed_at) from {runs}.ops_extracts where loaded_count > 0 group by source_id",
    ),
    Question(
        ("source", "resource"),
        {
            "granary_rejects_open": "Rejected records that the source has not mended.",
            "granary_rejects_resolved": "Rejected records that the source has mended since.",
        },
        """
        select source_id, resource_name, sum(case when is_resolved then 0 else 1 end),
            sum(case when is_resolved then 1 else 0 end)
        from {ops}.ops_rejects group by source_id, resource_name""",
    ),
    Question(
        ("dimension", "status"),
        {
            "granary_tests": "Tests of the last run that tested, by what they measure and what came of them.",
            "granary_tests_seconds": "How long they took.",
        },
        """
        select coalesce(quality_dimension, 'unit test'), status, count(*), sum(duration_seconds)
        from {runs}.ops_test_results
        where started_at = (select max(newest.started_at) from {runs}.ops_test_results as newest)
        group by coalesce(quality_dimension, 'unit test'), status""",
    ),
    Question(
        ("relation",),
        {
            "granary_relation_rows": "Rows of a published table when it was published.",
            "granary_relation_build_seconds": "How long the relation took in the last run that made it.",
        },
        """
        select relation_name, max(case when counted = 1 then row_count end),
            max(case when made = 1 then duration_seconds end)
        from (
            select relation_name, row_count, duration_seconds,
                row_number() over (
                    partition by relation_name
                    order by case when row_count is null then 1 else 0 end, started_at desc) as counted,
                row_number() over (
                    partition by relation_name
                    order by case when duration_seconds is null then 1 else 0 end, started_at desc) as made
            from {runs}.ops_relations
        ) as relations group by relation_name""",
    ),
)  # fmt: skip


def pipeline(target: Target, now: datetime) -> list[Metric]:
    """All that the runs and the published marts say at a moment (UTC, without a zone).

    Raises:
        BuildError: the warehouse can't be opened, nothing was ever run in it, or the login may not read it.
        LockError: the warehouse can't be asked who builds.
    """
    began = time.monotonic()
    found: list[Metric] = []
    with open_published(target) as connection:
        if target.engine == "postgres":
            ask(connection, "set statement_timeout = '30s'")
        for question in QUESTIONS:
            found += _answered(question, _rows(connection, target, question.sql))
    found += [*_contracts(target), *_alerts(target, now), *_files(target)]
    building = 0 if lock_holder(target) is None else 1
    found += [
        GaugeMetricFamily("granary_build_running", "Whether a build or a load is at work.", building),
        GaugeMetricFamily("granary_collected_timestamp_seconds", "When these metrics were read.", _number(now)),
        GaugeMetricFamily("granary_collect_seconds", "How long it took to read them.", time.monotonic() - began),
    ]
    return found


def _rows(connection: Any, target: Target, sql: str) -> list[tuple[Any, ...]]:
    """The answer; none where what is asked for isn't there yet, as before the first publish."""
    with suppress(duckdb.CatalogException, psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
        return ask(connection, sql.format(runs=target.schema("runs"), ops=target.schema("ops")))[1]
    return []


def _answered(question: Question, rows: list[tuple[Any, ...]]) -> Iterator[Metric]:
    for column, (name, meaning) in enumerate(question.metrics.items(), start=len(question.labels)):
        family: GaugeMetricFamily | CounterMetricFamily
        if name.endswith("_total"):
            family = CounterMetricFamily(name, meaning, labels=question.labels)
        else:
            family = GaugeMetricFamily(name, meaning, labels=question.labels)
        for row in rows:
            if row[column] is not None:
                family.add_metric([str(each) for each in row[: len(question.labels)]], _number(row[column]))
        yield family


def _number(value: Any) -> float:
    """A number; of a time or day the seconds since 1970, which are UTC."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    return float(value)


def _contracts(target: Target) -> Iterator[Metric]:
    allowed = GaugeMetricFamily(
        "granary_source_late_after_seconds", "How long a source may bring nothing, by its contract.",
        labels=("source", "owner"),
    )  # fmt: skip
    for name, contract in contracts_of(target).items():
        if contract.late_after is not None:
            allowed.add_metric([name, contract.owner], contract.late_after.total_seconds())
    yield allowed


def _alerts(target: Target, now: datetime) -> Iterator[Metric]:
    """What `make alerts` says, by the same conditions. The text stays there: it has numbers that change."""
    alerts = what_is_wrong(target, now)
    wrong = GaugeMetricFamily(
        "granary_alert", "Something is wrong, by the conditions of `make alerts`: 1 for as long as it lasts.",
        labels=("key", "owner", "runbook"),
    )  # fmt: skip
    since = GaugeMetricFamily("granary_alert_since_timestamp_seconds", "Since when.", labels=("key",))
    for alert in alerts:
        wrong.add_metric([alert.key, alert.owner, f"docs/runbooks/{alert.runbook}"], 1)
        since.add_metric([alert.key], _number(alert.since))
    yield from (wrong, since, GaugeMetricFamily("granary_alerts", "How much is wrong.", len(alerts)))


def _files(target: Target) -> Iterator[Metric]:
    """DuckDB's files, by their sizes alone: a file that is opened here would be in a build's way."""
    sizes = GaugeMetricFamily("granary_file_bytes", "What a file of DuckDB's takes.", labels=("file",))
    for path in sorted(target.folder.glob("*.duckdb")) if target.engine == "duckdb" else []:
        with suppress(FileNotFoundError):  # a publish renames them
            sizes.add_metric([path.stem], path.stat().st_size)
    yield sizes
