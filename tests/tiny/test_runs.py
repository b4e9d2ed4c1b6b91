"""What a run did can be read whatever became of it, and what is unusual is said; on both engines by the same steps."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from tests.tiny.club import Club
from tests.tiny.conftest import ENGINES
from tests.tiny.days import FIRST_DAY, DailyClub
from warehouse.database import open_database
from warehouse.errors import BuildError
from warehouse.ops.status import print_status

both_engines = pytest.mark.parametrize("engine", ENGINES, indirect=True)


@pytest.fixture
def days(engine: dict[str, str], tmp_path: Path) -> DailyClub:
    return DailyClub(tmp_path, engine)


@both_engines
def test_every_run_is_recorded_the_failed_one_with_its_failing_test(days: DailyClub) -> None:
    days.deliver(FIRST_DAY, 5)
    days.build(FIRST_DAY)
    days.build(FIRST_DAY)
    next_day = FIRST_DAY + timedelta(days=1)
    days.deliver(next_day, 5)
    days.load(next_day)
    with days.club.entered(), open_database(current_target()) as database:
        # Of a day that no mart has yet, so that it is missed by what counts records alone.
        database.run(f"delete from {database.raw('club', 'visits')} where id = 7")
    with pytest.raises(BuildError, match="loads__every_record_is_accounted_for"):
        days.build(next_day)

    (published, repeated, failed) = days.runs(
        "select outcome, generation_number, loaded_count, failure_message from runs.ops_runs order by started_at"
    )
    # Five visits; then nothing; then what was loaded before the build stays known.
    assert published == ("published", 1, 5, None)
    assert repeated == ("up to date", None, 0, None)
    assert failed[:3] == ("failed", None, 0)
    assert failed[3] == "1 of dbt's nodes failed: loads__every_record_is_accounted_for"

    assert days.runs("""
        select test_name, failure_count, quality_dimension, severity, source_ids
        from runs.ops_test_results where status = 'fail'""") == [
        ("loads__every_record_is_accounted_for", 1, "completeness", "error", "club")
    ]
    passed = "select count(*) from runs.ops_test_results where is_passed and run_id = (select run_id from runs.ops_runs"
    assert days.runs(f"{passed} where outcome = 'published')")[0][0] > 20
    assert (5,) in days.runs("select row_count from runs.ops_relations where relation_name = 'fct_visits'")
    steps = dict(days.runs("""
        select step_name, duration_seconds from runs.ops_run_steps
        where run_id = (select run_id from runs.ops_runs where outcome = 'published')"""))  # fmt: skip
    assert steps.keys() >= {"loading", "building", "publishing", "club extract", "club load"}
    assert steps["loading"] > steps["club extract"] + steps["club load"] > 0
    assert list((days.warehouse / "runs").iterdir()) == [], "what is loaded waits no more"

    lines: list[str] = []
    with days.club.entered():
        print_status(current_target(), lines.append)
    assert any("failed" in line and "loads__every_record_is_accounted_for" in line for line in lines)
    assert not any("at work" in line for line in lines)

    with (
        days.club.entered(),
        pytest.raises(BuildError, match=r"the warehouse says: .*nothing_there"),
        open_database(current_target()) as database,
    ):
        database.run("select * from granary.nothing_there")


def test_a_first_build_that_can_not_read_its_source_is_recorded(days: DailyClub) -> None:
    days.club.delivered.rmdir()
    with pytest.raises(BuildError, match="there is no folder"):
        days.build(FIRST_DAY)
    (row,) = days.runs("select outcome, failure_message from runs.ops_runs")
    assert row[0] == "failed" and row[1].startswith("club: there is no folder")


def test_a_killed_run_is_recorded_by_the_next(club: Club, days: DailyClub) -> None:
    days.deliver(FIRST_DAY, 5)
    with days.club.command("build") as process:
        deadline = time.monotonic() + 60
        while not list((days.warehouse / "runs").glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        said: list[str] = []
        with days.club.entered(), pytest.raises(BuildError, match="nothing is published"):
            print_status(current_target(), said.append)
        assert said[0].startswith(f"a build is at work: process {process.pid} since 2")
        process.send_signal(signal.SIGKILL)
        process.wait()
    days.build(FIRST_DAY, tested=False)
    rows = days.runs("select outcome, finished_at is null from runs.ops_runs order by started_at")
    assert rows == [("killed", True), ("published", False)]


@both_engines
def test_what_is_unusual_is_said_with_what_was_expected(days: DailyClub) -> None:
    """Ten days of about 100 visits; then 30 of them of nobody known; then a day of which nothing is told."""
    dates = days.usual_days(13)
    days.deliver(dates[10], 30, member=None)
    lines = days.build(dates[10])
    # Ten days without a null, and now nothing else. The day may not be over, so its volume is not judged yet.
    assert [line for line in lines if line.startswith("unusual: ")] == [
        "unusual: null rate of club.visits.member_id on 2024-03-15: saw 1, expected 0 to 0.05 by 10 days before"
    ]
    assert any("loads__are_as_they_use_to_be" in line for line in lines if line.startswith("warning: "))

    lines = days.build(dates[11])
    # Nothing came, so there is nothing to build; it is said all the same. Visits of 20:00 are seen at 6:00, after ten
    # hours, and half of that is tolerated. The day before is over now: of its 100 visits there were 30.
    assert any(line.startswith("nothing to build") for line in lines)
    assert [line for line in lines if line.startswith("unusual: ")] == [
        "unusual: age of club.visits on 2024-03-16: saw 122,400, expected 18,000 to 54,000 by 11 days before",
        "unusual: volume of club.visits on 2024-03-15: saw 30, expected 50 to 150 by 10 days before",
    ]
    days.deliver(dates[12], 100)
    days.build(dates[12], tested=False)
    found = days.runs("""
        select check_name, cast(observed_date as varchar), observed_value, expected_value, lowest_expected_value,
            highest_expected_value
        from runs.ops_anomalies
        where is_anomalous and resource_name = 'visits' and check_name <> 'null rate'
        order by check_name, observed_date""")
    # Volume: 96, 98, 100, 102, 104 twice each, so the median is 100, the median distance 2, and half of 100 is more
    # than 3.5 x 1.4826 x 2.
    assert [(*row[:2], *map(float, row[2:])) for row in found] == [
        ("age", "2024-03-16", 122400.0, 36000.0, 18000.0, 54000.0),
        ("volume", "2024-03-15", 30.0, 100.0, 50.0, 150.0),
        ("volume", "2024-03-16", 0.0, 100.0, 50.0, 150.0),
    ]
