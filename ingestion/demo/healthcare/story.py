"""What happens of itself on a day: the everyday, drawn at random, and the rare, on fixed days.

Rare things don't depend on the scale, so that even a small clinic of a few weeks shows each of them.
"""

from __future__ import annotations

from typing import Any

from ingestion.demo.agenda import draw_count, on, run_events, schedule, some_time
from ingestion.demo.clock import DAY, HOUR, day_date, day_text

from . import broken, consents, devices, encounters, exports, findings, laboratory, people, vitals
from .clinic import Clinic
from .clock import midnight
from .places import found
from .truth import note_month

# Importing these puts what they do at events into place.
ACTORS = (broken, consents, devices, encounters, findings, laboratory, people, vitals)

# (event, how many a day at scale 1, arguments)
EVERYDAY: tuple[tuple[str, float, tuple[Any, ...]], ...] = (
    ("stay.begin", 0.2, ()),
    ("person.move", 0.12, ()),
    ("person.marry", 0.04, ()),
    ("person.die", 0.008, ("time",)),
    ("consent.change", 0.05, ("inactive",)),
    ("consent.change", 0.06, ("permit",)),
    ("consent.ask_again", 0.03, ()),
)
VISITS_A_DAY = 4.6

# (event, first day, every so many days, arguments)
RARE: tuple[tuple[str, int, int, tuple[Any, ...]], ...] = (
    ("encounter.midnight", 2, 5, ()),
    ("encounter.elsewhere", 4, 20, ()),
    ("person.die", 25, 365, ("day", True)),
    ("person.die", 18, 200, ("month",)),
    ("person.die", 33, 300, ("only that",)),
    ("person.lookalike", 3, 45, ("stranger",)),
    ("person.lookalike", 6, 120, ("twin",)),
    ("person.register_again", 5, 40, ("ssn", None)),
    ("person.register_again", 8, 50, ("name", None)),
    ("person.register_again", 11, 90, ("name", 12)),
    ("record.merge_wrongly", 13, 80, (9,)),
    ("record.contradict", 21, 250, ()),
    ("consent.change", 12, 60, ("entered-in-error",)),
    ("consent.change", 9, 30, ("inactive",)),
    ("consent.change", 10, 30, ("nested",)),
    ("device.change", 12, 6, (False,)),
    ("device.change", 16, 30, (True,)),
    ("condition.contradict", 28, 90, ()),
    ("observation.odd", 7, 60, ("unit",)),
    ("observation.odd", 30, 120, ("dead",)),
    ("observation.odd", 10, 75, ("nowhere",)),
    ("observation.odd", 15, 100, ("nobody",)),
    ("observation.odd", 4, 30, ("date",)),
    ("record.break", 5, 40, ("status",)),
    ("record.break", 9, 60, ("code",)),
    ("record.break", 14, 70, ("id",)),
    ("record.break", 17, 110, ("cut",)),
    ("record.break_gender", 6, 50, (5,)),
    ("record.capital", 8, 35, ()),
    ("record.unknown_type", 2, 9, ("Coverage",)),
    ("record.unknown_type", 3, 15, ("CarePlan",)),
    ("wish", 7, 25, ("repeated",)),
    ("wish", 10, 30, ("late version",)),
    ("wish", 6, 21, ("hold",)),
    ("wish", 12, 26, ("twice",)),
    ("wish", 19, 100, ("no header",)),
    ("lab.bad_time", 20, 130, ()),
)


@on("month.end")
def end_month(clinic: Clinic, t: int, month: str) -> None:
    """A month is over where the clinic is."""
    note_month(clinic, t, month)


def _open(clinic: Clinic) -> None:
    """The clinic's first day, on which all that it has known before is there."""
    found(clinic, 0)
    for place in range(6):
        schedule(clinic, HOUR + place, "person.register")
    people.register(clinic, HOUR, age=96)
    people.register(clinic, HOUR, age=90)
    for _ in range(max(18, round(250 * clinic.scale))):
        schedule(clinic, some_time(clinic.rng, 0, 1, 5), "person.register")
    for number in range(max(4, round(8 * clinic.scale))):
        schedule(clinic, some_time(clinic.rng, 0, 6, 8), "device.buy", number % 2)


def live_day(clinic: Clinic, day: int) -> None:
    """Let the clinic live through a day, and hand over what it leaves."""
    rng, scale = clinic.rng, clinic.scale
    if day == 0:
        _open(clinic)
    for name, mean, args in EVERYDAY if day else ():
        for _ in range(draw_count(rng, mean * scale)):
            schedule(clinic, some_time(rng, day), name, *args)
    for _ in range(draw_count(rng, 0.09 * scale) if day else 0):
        schedule(clinic, some_time(rng, day, 12, 20), "person.register")
    for name, first, every, args in RARE:
        if day >= first and (day - first) % every == 0:
            schedule(clinic, some_time(rng, day, 5, 20), name, *args)
    is_weekend = day_date(day).weekday() > 4
    for _ in range(draw_count(rng, VISITS_A_DAY * scale * (0.4 if is_weekend else 1.2)) if day else 0):
        # By day, and in the evening, which is the next day in UTC.
        hours = (13, 22) if rng.random() < 0.65 else (22, 24) if rng.random() < 0.4 else (0, 4)
        schedule(clinic, some_time(rng, day, *hours), "encounter.visit")
    if day_date(day).day == 1 and day:
        schedule(clinic, midnight(day * DAY + 12 * HOUR), "month.end", day_text(day - 1)[:7])
    devices.wear_through(clinic, day)
    run_events(clinic, (day + 1) * DAY)
    exports.hand_over(clinic, day)
