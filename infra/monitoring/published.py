"""What holds for as long as a generation is published: what its tables take, and what metrics were on the last day.

To ask metrics takes a parse of the project, so it is done once for a generation, and kept in a file beside the
warehouse's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ingestion.destination.target import Target
from ingestion.domains import variables
from warehouse.errors import BuildError
from warehouse.reading.metrics import DAY, Metrics, Question
from warehouse.reading.money import REPORTING_CURRENCY, reporting_currency
from warehouse.reading.query import ask, open_published
from warehouse.reading.storage import bytes_on_disk, published_tables

LOCK_SECONDS = 5


def published(target: Target) -> list[Metric]:
    """The metrics of the generation that was looked at last; none before the first."""
    kept = _read(target)
    sizes = GaugeMetricFamily(
        "granary_relation_bytes", "What a published table takes on disk, indexes included.",
        labels=("schema", "relation"),
    )  # fmt: skip
    values = GaugeMetricFamily(
        "granary_metric_value", "A metric of the semantic layer on the last day that is over.",
        labels=("metric", "unit"),
    )  # fmt: skip
    days = GaugeMetricFamily("granary_metric_day_timestamp_seconds", "The beginning of that day.")
    for schema, name, size in kept.get("bytes", []):
        sizes.add_metric([schema, name], size)
    for name, unit, value in kept.get("values", []):
        values.add_metric([name, unit], value)
    if kept.get("day"):
        days.add_metric([], datetime.fromisoformat(kept["day"]).replace(tzinfo=UTC).timestamp())
    answered = GaugeMetricFamily(
        "granary_metrics_answered", "Whether the semantic layer answered for the published generation: 1 or 0."
    )
    if kept:
        answered.add_metric([], 0 if kept["failure"] else 1)
    return [sizes, values, days, answered]


def is_current(target: Target) -> bool:
    """Whether the published generation was looked at. True where none is published.

    Raises:
        BuildError: the warehouse can't be asked.
    """
    with open_published(target) as connection:
        generation = _generation(target, connection)
    return generation is None or generation == _read(target).get("generation")


def look(target: Target, say: Callable[[str], None]) -> None:
    """Ask the published generation, and keep what it says. That a metric can't be answered is kept, too.

    Raises:
        BuildError: nothing is published, or the warehouse can't be asked.
    """
    metrics, failure = None, ""
    try:
        # Before DuckDB's file is opened: it takes many seconds.
        metrics = Metrics(target)
    except BuildError as error:
        failure = str(error).splitlines()[0]
    with open_published(target) as connection:
        if target.engine == "postgres":
            # Somebody who locks a table for themselves is not waited for: the next look finds it.
            ask(connection, f"set lock_timeout = '{LOCK_SECONDS}s'")
        generation = _generation(target, connection)
        if generation is None:
            raise BuildError("nothing is published yet: run `make build` first")
        sizes = bytes_on_disk(target, connection, published_tables(target, connection))
        kept: dict[str, Any] = {
            "generation": generation, "bytes": [[*table, size] for table, size in sizes.items()],
        }  # fmt: skip
        try:
            kept |= _values(target, connection, metrics) if metrics else {}
        except BuildError as error:
            failure = str(error).splitlines()[0]
    kept["failure"] = failure
    if failure:
        say(f"metrics have no values: {failure}")
    path = _path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".writing")
    partial.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    partial.replace(path)
    say(f"generation {generation[0]}: {len(kept['bytes'])} tables, {len(kept.get('values', []))} metrics")


def _generation(target: Target, connection: Any) -> list[Any] | None:
    """Its number, and when it was published; None where the first was not published yet."""
    if target.engine == "duckdb" and not target.has_published:
        return None
    _, rows = ask(connection, f"select generation_number, published_at from {target.schema('ops')}.generation")
    return [int(rows[0][0]), rows[0][1].isoformat()] if rows else None


def _values(target: Target, connection: Any, metrics: Metrics) -> dict[str, Any]:
    """The value of each metric that is given by day, on the last day that is over."""
    daily = [each.name for each in metrics.all() if metrics.is_daily(each.name)]
    day = last_day(target, connection) if daily else None
    if day is None:
        return {}
    at, currency = datetime(day.year, day.month, day.day), reporting_currency(target, connection)  # noqa: DTZ001 (a day)
    found = []
    for name in daily:
        _, rows = metrics.answer(connection, Question((name,), (DAY,), start=at, end=at))
        unit = metrics.unit(name)
        if rows and rows[0][1] is not None:
            found.append([name, currency.code if unit == REPORTING_CURRENCY else unit, float(rows[0][1])])
    return {"day": day.isoformat(), "values": found}


def last_day(target: Target, connection: Any) -> date | None:
    """The last business day that was over when the sources were looked at last, and that facts have something up to."""
    core, ops = target.schema("core"), target.schema("ops")
    seen, spine = ask(connection, f"""
        select (select max(observed_at) from {ops}.ops_loads), (select max(date_day) from {core}.dim_time_spine)
        """)[1][0]  # fmt: skip
    if seen is None or spine is None:
        return None
    zone = ZoneInfo(variables(target.project)["business_timezone"])
    last: date = min(spine, seen.replace(tzinfo=UTC).astimezone(zone).date() - timedelta(days=1))
    return last


def _path(target: Target) -> Path:
    return target.folder / f"{target.prefix}published.{target.name}.json"


def _read(target: Target) -> dict[str, Any]:
    path = _path(target)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
