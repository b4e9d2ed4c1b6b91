"""Simulated time as the company's systems have it: business dates and trading days.

The United Kingdom's summer time is computed here (last Sunday of March to last Sunday of October, 01:00 UTC),
so that the simulation gives the same result whatever time zone data a machine has.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

from ingestion.demo.clock import DAY, FIRST_DAY, HOUR, day_date, day_text


@cache
def _summer_time(year: int) -> tuple[int, int]:
    """Start and end of the United Kingdom's summer time in `year`."""

    def last_sunday(month: int) -> int:
        last = date(year, month, 31)
        sunday = last - timedelta(days=(last.weekday() + 1) % 7)
        return (sunday - FIRST_DAY).days * DAY + HOUR

    return last_sunday(3), last_sunday(10)


def london_date(t: int) -> str:
    """The date in Europe/London at `t`: the business date."""
    start, end = _summer_time(day_date(t // DAY).year)
    return day_text((t + HOUR) // DAY) if start <= t < end else day_text(t // DAY)


@cache
def _easter(year: int) -> date:
    """Easter Sunday (the anonymous Gregorian algorithm)."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return date(year, f // 31, f % 31 + 1)


@cache
def is_trading_day(day: int) -> bool:
    """Whether the retail shop is open: Monday to Saturday, but for some holidays."""
    today = day_date(day)
    if today.weekday() == 6 or (today.month, today.day) in {(1, 1), (12, 25), (12, 26), (12, 27)}:
        return False
    return (today - _easter(today.year)).days not in (-2, 1)
