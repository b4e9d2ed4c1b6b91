"""Metrics of published marts on either engine, and what dashboards' datasets say they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.destination.target import current_target
from tests.warehouses import settings
from warehouse.reading.metrics import Metrics, Question
from warehouse.reading.query import ask, open_published


@dataclass(frozen=True)
class Opened:
    """The metrics of a project, and a connection to what its warehouse publishes."""

    metrics: Metrics
    connection: Any

    def by_hand(self, sql: str) -> dict[Any, float]:
        """A value for each month."""
        return dict(as_floats(ask(self.connection, sql)[1]))

    def rows(self, question: Question) -> list[tuple[Any, ...]]:
        """What the metrics say."""
        return as_floats(self.metrics.answer(self.connection, question)[1])


def as_floats(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows whose numbers are of one type, whichever the engine gave."""
    return [tuple(float(value) if isinstance(value, int | Decimal) else value for value in row) for row in rows]


@contextmanager
def opened_marts(environment: Mapping[str, str]) -> Iterator[Opened]:
    """The marts of the warehouse that these variables name."""
    with settings(environment), open_published(current_target()) as connection:
        yield Opened(Metrics(current_target()), connection)


def compare_datasets(marts: Opened, bundle: Path) -> int:
    """Compare what the datasets of a bundle of Superset's call a metric with that metric, month by month.

    Returns:
        How many were compared: those that the catalogue has, too.
    """
    compared, catalogue = 0, {each.name for each in marts.metrics.all()}
    for file in sorted((bundle / "datasets").rglob("*.yaml")):
        dataset = yaml.safe_load(file.read_text(encoding="utf-8"))
        month = f"cast(date_trunc('month', {dataset['main_dttm_col']}) as date)"
        for metric in dataset["metrics"]:
            if metric["metric_name"] not in catalogue:
                continue
            answer = marts.by_hand(
                f"select {month}, {metric['expression']} from ({dataset['sql']}) as dataset "
                f"where {dataset['main_dttm_col']} is not null group by 1"
            )
            expected = dict(marts.rows(Question((metric["metric_name"],), ("metric_time__month",))))
            assert _known(answer) == pytest.approx(_known(expected), rel=1e-9), metric["metric_name"]
            compared += 1
    return compared


def _known(values: Mapping[Any, Any]) -> dict[Any, float]:
    return {month: value for month, value in values.items() if month is not None and value is not None}
