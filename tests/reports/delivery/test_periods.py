"""Periods: which is the last closed one, and when a cron line last came round."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.destination.target import Target
from ingestion.project import PROJECT_ROOT
from reports.delivery.periods import GRAINS, Period, containing, last_closed, last_tick
from reports.delivery.sending import business_day

DAYS = st.dates(date(1970, 1, 1), date(2069, 12, 31))


@given(DAYS, st.sampled_from(GRAINS))
def test_periods_follow_each_other_and_hold_each_day_once(day: date, grain: str) -> None:
    found = containing(day, grain)
    assert found.first <= day <= found.last
    assert found.before().last == found.first - timedelta(days=1)
    assert all(containing(each, grain) == found for each in (found.first, found.last))
    closed = last_closed(day, grain)
    assert closed.last <= day and containing(closed.last + timedelta(days=1), grain).last > day


@pytest.mark.parametrize(
    ("day", "grain", "expected", "label"),
    [
        ("2024-03-10", "day", ("2024-03-10", "2024-03-10"), "Sunday, 10 March 2024"),
        ("2024-03-10", "week", ("2024-03-04", "2024-03-10"), "week 10, 4 March 2024 to 10 March 2024"),
        ("2024-03-09", "week", ("2024-02-26", "2024-03-03"), "week 9, 26 February 2024 to 3 March 2024"),
        # The first week of a year may begin in the year before.
        ("2025-01-05", "week", ("2024-12-30", "2025-01-05"), "week 1, 30 December 2024 to 5 January 2025"),
        ("2024-02-29", "month", ("2024-02-01", "2024-02-29"), "February 2024"),
        ("2023-03-30", "month", ("2023-02-01", "2023-02-28"), "February 2023"),
        ("2024-12-31", "quarter", ("2024-10-01", "2024-12-31"), "Q4 2024"),
        ("2024-12-30", "year", ("2023-01-01", "2023-12-31"), "2023"),
    ],
)
def test_the_last_closed_period(day: str, grain: str, expected: tuple[str, str], label: str) -> None:
    found = last_closed(date.fromisoformat(day), grain)
    assert found == Period(grain, *map(date.fromisoformat, expected))
    assert found.label == label


@pytest.mark.parametrize(
    ("now", "expected"),
    [("2024-03-11T07:00", "2024-03-11T07:00"), ("2024-03-11T06:59", "2024-03-04T07:00"),
     ("2024-03-31T12:00", "2024-03-25T07:00"), ("2024-04-02T12:00", "2024-04-01T07:00")],
)  # fmt: skip
def test_a_cron_line_holds_in_the_business_time_zone(now: str, expected: str) -> None:
    zone = ZoneInfo("Europe/London")  # whose clocks go forward on 31 March 2024
    found = last_tick("0 7 * * 1", datetime.fromisoformat(now).replace(tzinfo=zone))
    assert found == datetime.fromisoformat(expected).replace(tzinfo=zone)


def test_a_day_begins_where_the_business_is() -> None:
    """London in July: an hour before UTC, so a mail that is previewed late in the evening is of the day after."""
    target = Target("dev", "duckdb", PROJECT_ROOT / "data")
    assert business_day(target, datetime(2026, 7, 1, 22, 30, tzinfo=UTC)) == date(2026, 7, 1)
    assert business_day(target, datetime(2026, 7, 1, 23, 30, tzinfo=UTC)) == date(2026, 7, 2)
