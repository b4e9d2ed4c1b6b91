"""Periods of the data: the last closed one, the one before, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from croniter import croniter

GRAINS = ("day", "week", "month", "quarter", "year")
# What a schedule in a word stands for: the period that it reports.
SCHEDULES = {"daily": "day", "weekly": "week", "monthly": "month"}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class Period:
    """Whole business days, both ends included. Weeks begin on Monday (ISO 8601)."""

    grain: str
    first: date
    last: date

    @property
    def label(self) -> str:
        """What people call it."""
        if self.grain == "day":
            return f"{self.first:%A}, {_day(self.first)}"
        if self.grain == "week":
            return f"week {self.first.isocalendar().week}, {_day(self.first)} to {_day(self.last)}"
        if self.grain == "month":
            return f"{self.first:%B %Y}"
        return f"Q{(self.first.month + 2) // 3} {self.first.year}" if self.grain == "quarter" else str(self.first.year)

    def before(self, number: int = 1) -> Period:
        """The one that lies so many before."""
        found = self
        for _ in range(number):
            found = containing(found.first - timedelta(days=1), self.grain)
        return found


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def containing(day: date, grain: str) -> Period:
    """The period that a day lies in."""
    if grain == "day":
        return Period(grain, day, day)
    if grain == "week":
        first = day - timedelta(days=day.weekday())
        return Period(grain, first, first + timedelta(days=6))
    months = _MONTHS[grain]
    first = day.replace(month=(day.month - 1) // months * months + 1, day=1)
    number = first.year * 12 + first.month - 1 + months
    return Period(grain, first, date(number // 12, number % 12 + 1, 1) - timedelta(days=1))


def last_closed(day: date, grain: str) -> Period:
    """The last period that is over with a day."""
    found = containing(day, grain)
    return found if found.last <= day else found.before()


def last_tick(schedule: str, now: datetime) -> datetime:
    """When a cron line last came round, at `now` or before it, in its time zone."""
    # A line that holds now is now's own: the moment after it looks back on it.
    found: datetime = croniter(schedule, now + timedelta(seconds=1)).get_prev(datetime)
    return found
