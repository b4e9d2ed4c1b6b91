"""Simulated time where the clinic is: the east of the United States.

Its summer time is computed here (second Sunday of March, 02:00, to first Sunday of November, 02:00 local), so that the
simulation gives the same result whatever time zone data a machine has.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

from ingestion.demo.clock import DAY, FIRST_DAY, HOUR, day_date, day_text, iso

_WINTER = -5


@cache
def _summer_time(year: int) -> tuple[int, int]:
    """Start and end of summer time in `year`."""

    def sunday(month: int, number: int) -> int:
        first = date(year, month, 1)
        return (first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1)) - FIRST_DAY).days

    return sunday(3, 2) * DAY + 7 * HOUR, sunday(11, 1) * DAY + 6 * HOUR


def offset(t: int) -> int:
    """Hours that local time is ahead of UTC at `t`."""
    start, end = _summer_time(day_date(t // DAY).year)
    return _WINTER + (start <= t < end)


def local(t: int) -> str:
    """`t` as FHIR's dateTime: local time with its offset."""
    return iso(t, offset(t))


def local_date(t: int) -> str:
    """The date where the clinic is."""
    return day_text((t + offset(t) * HOUR) // DAY)


def compact(t: int) -> str:
    """`t` as HL7's TS: YYYYMMDDHHMMSS and the offset, local time."""
    return local(t).replace("-", "", 2).replace("T", "").replace(":", "")


def midnight(t: int) -> int:
    """When the local day of `t` began."""
    day = (t + offset(t) * HOUR) // DAY
    return day * DAY - offset(day * DAY + 5 * HOUR) * HOUR


def years_between(born: str, day: str) -> int:
    """Whole years from a birthday to a day, both YYYY-MM-DD; on 29 February born, a year older on 1 March."""
    return int(day[:4]) - int(born[:4]) - (day[5:] < born[5:])
