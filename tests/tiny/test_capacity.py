"""How the storage page says what grows, and when a limit is met."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from ingestion.destination.target import current_target
from reports.site.capacity import Growth, growth, met_on, storage
from reports.site.measures import Measures
from reports.site.project import read_project
from tests.tiny.club import Club
from tests.tiny.conftest import everywhere
from tests.warehouses import settings
from warehouse import dbt
from warehouse.errors import BuildError
from warehouse.reading.query import open_published
from warehouse.runs.runs import Run

FIRST = date(2026, 9, 1)


def test_growth_is_the_median_of_slopes() -> None:
    """Ten a day, and one day on which a hundred came at once, to stay: slopes by hand."""
    steady = [(FIRST + timedelta(days=day), 10.0 * day) for day in range(8)]
    assert growth(steady) == Growth(10.0, 10.0, 10.0)
    jumped = [(day, value + (100 if day >= FIRST + timedelta(days=7) else 0)) for day, value in steady]
    found = growth(jumped)
    # 21 of 28 pairs of days know nothing of the jump; of the others the steepest are 110, 60, 43.3 a day.
    assert found and found.a_day == 10.0 and found.least == 10.0 and 30 < found.most < 44
    assert growth(steady[:7]) is None, "six days are no week"
    assert growth([(FIRST, 1.0), (FIRST + timedelta(days=30), 2.0)]) is None, "two points have no range"


@pytest.mark.parametrize(
    ("present", "limit", "a_day", "expected"),
    [
        (100, 200, 10, FIRST + timedelta(days=10)), (200, 200, 10, FIRST), (300, 200, -1, FIRST),
        (100, 200, 0, None), (100, 200, -5, None), (100, 200, 0.001, None),
    ],
)  # fmt: skip
def test_the_day_of_a_limit(present: float, limit: float, a_day: float, expected: date | None) -> None:
    assert met_on(present, limit, a_day, FIRST) == expected


@everywhere
def test_the_page_projects_what_runs_counted(grown: Club) -> None:
    """On each of thirty days a hundred visits more and ten members, and a build that takes ten seconds longer."""
    folder = grown.warehouse / "runs"
    folder.mkdir(exist_ok=True)
    for day in range(30):
        at = datetime.combine(FIRST, datetime.min.time()) + timedelta(days=day, hours=5)
        counts = {"fct_visits": 1000 + 100 * day, "dim_members": 50 + 10 * day}
        run = Run("build", "dev", started_at=at.isoformat(sep=" "), outcome="published", row_counts=counts)
        run.finished_at = (at + timedelta(seconds=100 + 10 * day)).isoformat(sep=" ")
        (folder / f"{run.run_id}.json").write_text(json.dumps(run.record()), encoding="utf-8")
    grown.visit(60, "01-26 10:00", 3)
    grown.deliver()
    grown.build()
    page = _page(grown, {"CAPACITY__DISK_BYTES": str(10**9), "CAPACITY__BUILD_SECONDS": "500"})
    tables = {title: [dict(zip(names, row, strict=True)) for row in rows] for title, names, rows in page.tables}
    [tiny] = [row for row in tables["Growth by domain"] if row["domain"] == "tiny"]
    assert tiny["rows a day"] == "110" and float(tiny["from"].replace(",", "")) <= 110
    limits = {row["limit"].partition(":")[0]: row for row in tables["Limits"]}
    assert limits["disk"]["at most"] == "1.0 GB" and limits["disk"]["met on"] > "2026"
    assert limits["time"]["at most"] == "500.0 s" and limits["memory"]["at most"] != "–"
    # Nobody asked to keep less than everything; all of it was loaded at once.
    visits = next(row for row in tables["What retention gives back"] if row["table"] == "club.visits")
    assert visits["kept for"].startswith("ever") and visits["older"] == "at most 0"
    with pytest.raises(BuildError, match="CAPACITY__DISK_BYTES is 'much': say a whole number of bytes"):
        _page(grown, {"CAPACITY__DISK_BYTES": "much"})


def _page(club: Club, limits: dict[str, str]) -> Any:
    with settings({"TARGET": "dev", **club.environment, "WAREHOUSE_DIR": str(club.warehouse), **limits}):
        target = current_target()
        dbt.parse(target, published=True, artifacts=True)
        project = read_project(Path(dbt.target_path(target, published=True)), target.project)
        with open_published(target) as connection:
            measures = Measures(target, connection, cast("Any", None))  # this project has no metrics
            listed = [(each.schema, each.name) for each in project.tables.values() if each.schema != "runs"]
            return storage(measures, project, measures.bytes(listed), measures.row_counts(listed))
