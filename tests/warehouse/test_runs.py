"""What a run did can be read whatever became of it, and what is unusual is said; on both engines by the same steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.destination.target import current_target
from ingestion.load.run import load_all
from ingestion.project import PROJECT_ROOT
from tests.warehouse.warehouses import build_from, connected, settings
from warehouse.database import Database, open_database
from warehouse.errors import BuildError
from warehouse.ops.status import print_status

pytestmark = pytest.mark.slow

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
FIRST_DAY = date(2024, 3, 4)


class Shop:
    """A folder of daily files and the warehouse that reads nothing else."""

    def __init__(self, folder: Path, engine: Mapping[str, str]):
        self.files, self.warehouse, self.engine = folder / "files", folder / "warehouse", dict(engine)
        self.files.mkdir()

    def environment(self, day: date) -> dict[str, str]:
        """As the warehouse sees it in the morning after a trading day."""
        morning = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1, hours=6)
        return {
            "TARGET": "dev",
            **self.engine,
            "SOURCES__RETAIL__BUCKET_URL": str(self.files),
            "GRANARY_OBSERVED_AT": morning.isoformat(),
        }

    def deliver(self, day: date, lines: int, description: str = "MUG") -> None:
        """A day's file of so many lines, written when the day ends."""
        rows = [
            f"{day:%m%d}{number:03},A1,{description},1,{day} 09:30:00,2.55,17850,United Kingdom\n"
            for number in range(lines)
        ]
        path = self.files / f"{day}.csv"
        path.write_text(HEADER + "".join(rows), encoding="utf-8")
        evening = datetime(day.year, day.month, day.day, 20, tzinfo=UTC).timestamp()
        os.utime(path, (evening, evening))

    def load(self, day: date) -> None:
        with settings({**self.environment(day), "WAREHOUSE_DIR": str(self.warehouse)}):
            _, failures = load_all(current_target(), lambda line: None, ["retail"])
        assert failures == []

    def usual_days(self, number: int) -> list[date]:
        """So many days, of which the first ten are loaded, with about 100 lines each."""
        days = [FIRST_DAY + timedelta(days=each) for each in range(number)]
        for each, day in enumerate(days[:10]):
            self.deliver(day, 96 + each % 5 * 2)
            self.load(day)
        return days

    def build(self, day: date, *, tested: bool = True) -> list[str]:
        return build_from(self.warehouse, self.environment(day), tested=tested)

    @contextmanager
    def database(self) -> Iterator[Database]:
        values = {"TARGET": "dev", **self.engine, "WAREHOUSE_DIR": str(self.warehouse)}
        with settings(values), open_database(current_target()) as database:
            yield database

    def runs(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask what readers have of the runs: `runs.duckdb`, or the schema `runs`."""
        if self.engine:
            connection = connected(self.engine)
            try:
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    return cursor.fetchall()
            finally:
                connection.close()
        with duckdb.connect(str(self.warehouse / "runs.duckdb"), read_only=True) as file:
            return file.execute(sql).fetchall()


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    engine = {} if request.param == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    return Shop(tmp_path, engine)


def test_every_run_is_recorded_the_failed_one_with_its_failing_test(shop: Shop) -> None:
    shop.deliver(FIRST_DAY, 5)
    shop.build(FIRST_DAY)
    shop.build(FIRST_DAY)
    shop.deliver(FIRST_DAY + timedelta(days=1), 5)
    shop.load(FIRST_DAY + timedelta(days=1))
    with shop.database() as database:
        raw = database.raw("retail", "sales_lines")
        # Of a day that no mart has yet, so that it is missed by what counts records alone.
        database.run(
            f"delete from {raw} where trading_date = '{FIRST_DAY + timedelta(days=1)}' "
            "and line_number = 1 and invoice_no like '%4'"
        )
    with pytest.raises(BuildError, match="loads__every_record_is_accounted_for"):
        shop.build(FIRST_DAY + timedelta(days=1))

    runs = "select outcome, generation_number, loaded_count, failure_message from runs.ops_runs order by started_at"
    (published, repeated, failed) = shop.runs(runs if shop.engine else runs.replace("runs.", ""))
    # Five lines and their file; then nothing; then what was loaded before the build stays known.
    assert published == ("published", 1, 6, None)
    assert repeated == ("up to date", None, 0, None)
    assert failed[:3] == ("failed", None, 0)
    assert failed[3] == "1 of dbt's nodes failed: loads__every_record_is_accounted_for"

    schema = "runs." if shop.engine else ""
    assert shop.runs(f"""
        select test_name, failure_count, quality_dimension, severity, source_ids
        from {schema}ops_test_results where status = 'fail'""") == [
        ("loads__every_record_is_accounted_for", 1, "completeness", "error", "accounts,retail,shop")
    ]
    tests = shop.runs(f"select count(*), sum(case when is_passed then 1 else 0 end) from {schema}ops_test_results")
    assert tests[0][0] > 400 and tests[0][0] - tests[0][1] < 200
    assert shop.runs(f"select row_count from {schema}ops_relations where relation_name = 'fct_sales'") != []
    assert (5,) in shop.runs(f"select row_count from {schema}ops_relations where relation_name = 'fct_sales'")
    steps = dict(
        shop.runs(f"""
            select step_name, duration_seconds from {schema}ops_run_steps
            where run_id = (select run_id from {schema}ops_runs where outcome = 'published')""")
    )
    assert steps.keys() >= {"loading", "building", "publishing", "retail extract", "retail load"}
    assert steps["loading"] > steps["retail extract"] + steps["retail load"] > 0
    assert list((shop.warehouse / "runs").iterdir()) == [], "what is loaded waits no more"

    lines: list[str] = []
    with settings({"TARGET": "dev", **shop.engine, "WAREHOUSE_DIR": str(shop.warehouse)}):
        print_status(current_target(), lines.append)
    assert any("failed" in line and "loads__every_record_is_accounted_for" in line for line in lines)
    assert not any("at work" in line for line in lines)

    with pytest.raises(BuildError, match=r"the warehouse says: .*nothing_there"), shop.database() as database:
        database.run("select * from granary.nothing_there")


def test_a_first_build_that_can_not_read_its_source_is_recorded(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {})
    shop.files.rmdir()
    with pytest.raises(BuildError, match="there is no folder"):
        shop.build(FIRST_DAY)
    (row,) = shop.runs("select outcome, failure_message from ops_runs")
    assert row[0] == "failed" and row[1].startswith("retail: there is no folder")


def test_a_killed_run_is_recorded_by_the_next(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {})
    shop.deliver(FIRST_DAY, 5)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SOURCES__", "PG"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "warehouse", "build"],
        cwd=PROJECT_ROOT, env={**plain, **shop.environment(FIRST_DAY), "WAREHOUSE_DIR": str(shop.warehouse)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list((shop.warehouse / "runs").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    said: list[str] = []
    here = {"TARGET": "dev", "WAREHOUSE_DIR": str(shop.warehouse)}
    with settings(here), pytest.raises(BuildError, match="nothing is published"):
        print_status(current_target(), said.append)
    assert said[0].startswith(f"a build is at work: process {process.pid} since 2")
    process.send_signal(signal.SIGKILL)
    process.wait()
    shop.build(FIRST_DAY, tested=False)
    rows = shop.runs("select outcome, finished_at is null from ops_runs order by started_at")
    assert rows == [("killed", True), ("published", False)]


def test_what_is_unusual_is_said_with_what_was_expected(shop: Shop) -> None:
    """Ten days of about 100 lines; then 30 of them without a description; then a day without a file."""
    days = shop.usual_days(13)
    shop.deliver(days[10], 30, description="")
    lines = shop.build(days[10])
    # Ten days without a null, and now nothing else. The day may not be over, so its volume is not judged yet.
    assert [line for line in lines if line.startswith("unusual: ")] == [
        "unusual: null rate of retail.sales_lines.description on 2024-03-15: saw 1, expected 0 to 0.05 "
        "by 10 days before"
    ]
    assert any("loads__are_as_they_use_to_be" in line for line in lines if line.startswith("warning: "))

    lines = shop.build(days[11])
    # Nothing came, so there is nothing to build; it is said all the same. Files of 20:00 are seen at 6:00, after ten
    # hours, and half of that is tolerated. The day before is over now: of its 100 lines there were 30.
    assert any(line.startswith("nothing to build") for line in lines)
    assert [line for line in lines if line.startswith("unusual: ") and "sales_lines" in line] == [
        "unusual: age of retail.sales_lines on 2024-03-16: saw 122,400, expected 18,000 to 54,000 by 11 days before",
        "unusual: volume of retail.sales_lines on 2024-03-15: saw 30, expected 50 to 150 by 10 days before",
    ]
    shop.deliver(days[12], 100)
    shop.build(days[12], tested=False)
    with shop.database() as database:
        found = database.run(f"""
            select check_name, cast(observed_date as varchar), observed_value, expected_value, lowest_expected_value,
                highest_expected_value
            from {database.target.schema("runs")}.ops_anomalies
            where is_anomalous and resource_name = 'sales_lines' and check_name <> 'null rate'
            order by check_name, observed_date""")
    # Volume: 96, 98, 100, 102, 104 twice each, so the median is 100, the median distance 2, and half of 100 is more
    # than 3.5 x 1.4826 x 2.
    assert [(*row[:2], *map(float, row[2:])) for row in found] == [
        ("age", "2024-03-16", 122400.0, 36000.0, 18000.0, 54000.0),
        ("volume", "2024-03-15", 30.0, 100.0, 50.0, 150.0),
        ("volume", "2024-03-16", 0.0, 100.0, 50.0, 150.0),
    ]
