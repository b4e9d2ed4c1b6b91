"""Simulated time: whole seconds since 2024-01-01 00:00 UTC, and how systems write them."""

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
    return f"{day_text(local // DAY)}T{_TIMES[local % DAY]}{offset_hours:+03}:00"
