"""Simulated time: whole seconds since 2024-01-01 00:00 UTC, and how the systems write them.

The United Kingdom's summer time is computed here (last Sunday of March to last Sunday of October, 01:00 UTC),
so that the simulation gives the same result whatever time zone data a machine has.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

FIRST_DAY = date(2024, 1, 1)
DAY = 86_400
HOUR = 3_600
MINUTE = 60
UNIX_OFFSET = 1_704_067_200  # the Unix time of FIRST_DAY
OPEN_END = "9999-12-31 00:00:00"

_TIMES = tuple(f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(DAY))


@cache
def day_date(day: int) -> date:
    """The date of simulated day number `day` (0 is the first)."""
    return FIRST_DAY + timedelta(days=day)


@cache
def day_text(day: int) -> str:
    """The date of simulated day number `day` as YYYY-MM-DD."""
    return day_date(day).isoformat()


def stamp(t: int) -> str:
    """`t` as 'YYYY-MM-DD HH:MM:SS', UTC."""
    return f"{day_text(t // DAY)} {_TIMES[t % DAY]}"


def iso(t: int, offset_hours: int = 0) -> str:
    """`t` as ISO 8601: with Z, or in local time with its offset."""
    if not offset_hours:
        return f"{day_text(t // DAY)}T{_TIMES[t % DAY]}Z"
    local = t + offset_hours * HOUR
    return f"{day_text(local // DAY)}T{_TIMES[local % DAY]}+{offset_hours:02}:00"


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
