"""Outcomes of resources, computed once more by plain means: Python over what the files say.

Nothing here uses the product's code. Who is one person, and in which year they were born, is taken from elsewhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any

Resource = dict[str, Any]
Months = dict[str, tuple[int, int, int]]  # by month: numerator, denominator, left out
_CARE = ("in-progress", "onleave", "finished")
_INFLUENZA = {"140", "88", "141", "150", "158", "161", "135", "15"}
_HYPERTENSION = {"38341003", "59621000"}


def _code(concept: Resource) -> str:
    return str(concept["coding"][0]["code"])


def _subject(resource: Resource, key: str = "subject") -> str:
    return str(resource[key]["reference"]).replace(":", "/").rpartition("/")[2]


def _status(resource: Resource) -> str:
    return str(resource["status"]).lower()


def _added_up(rows: Iterable[tuple[str, int, bool]]) -> Months:
    """By month of what each row adds to the numerator, and whether it is left out."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for month, number, is_excluded in rows:
        found[month][0] += 0 if is_excluded else number
        found[month][1] += not is_excluded
        found[month][2] += is_excluded
    return {month: (sums[0], sums[1], sums[2]) for month, sums in found.items()}


def stays(
    encounters: Iterable[Resource], person: Callable[[str], str], died: dict[str, datetime], as_of: datetime
) -> tuple[Months, Months]:
    """Readmissions and nights, by the month of discharge. `died`: moments in UTC, by person."""
    by_person: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for each in encounters:
        if each["class"]["code"] in ("IMP", "ACUTE", "NONAC") and _status(each) == "finished":
            period = each["period"]
            by_person[person(_subject(each))].append(
                (datetime.fromisoformat(period["start"]), datetime.fromisoformat(period["end"]))
            )
    again, nights = [], []
    for whose, each_stay in by_person.items():
        ordered = sorted(each_stay)
        for place, (start, end) in enumerate(ordered):
            month = f"{end:%Y-%m}"
            nights.append((month, (end.date() - start.date()).days, False))
            dead = whose in died and died[whose] <= end
            comes_back = place + 1 < len(ordered) and ordered[place + 1][0] - end <= timedelta(days=30)
            again.append((month, int(comes_back), dead or as_of - end < timedelta(days=30)))
    return _added_up(again), _added_up(nights)


def _seen(encounters: Iterable[Resource], person: Callable[[str], str]) -> set[tuple[str, str]]:
    return {(person(_subject(each)), each["period"]["start"][:7]) for each in encounters if _status(each) in _CARE}


def vaccines(encounters: list[Resource], given: Iterable[Resource], person: Callable[[str], str]) -> Months:
    """Persons seen in a month who had a vaccine against influenza in it or the eleven months before."""
    doses: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for each in given:
        if _code(each["vaccineCode"]) in _INFLUENZA and _status(each) != "entered-in-error":
            day = each["occurrenceDateTime"]
            number = int(day[:4]) * 12 + int(day[5:7])
            doses[person(_subject(each, "patient"))].append((number, _status(each) == "completed"))
    rows = []
    for whose, month in _seen(encounters, person):
        number = int(month[:4]) * 12 + int(month[5:])
        near = {is_given for when, is_given in doses[whose] if number - 12 < when <= number}
        rows.append((month, int(True in near), near == {False}))
    return _added_up(rows)


def pressures(
    encounters: list[Resource], conditions: Iterable[Resource], observations: Iterable[Resource],
    person: Callable[[str], str], born: dict[str, int],
) -> Months:  # fmt: skip
    """Persons with hypertension, seen or measured in a month: whether the last day's pressures are in control."""
    days: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = defaultdict(dict)
    for each in observations:
        if _code(each["code"]) != "85354-9" or _status(each) not in ("final", "amended", "corrected"):
            continue
        values = {_code(part["code"]): float(part["valueQuantity"]["value"]) for part in each["component"]
                  if part.get("valueQuantity", {}).get("code") == "mm[Hg]"}  # fmt: skip
        day = each["effectiveDateTime"][:10]
        of_day = days[(person(_subject(each)), day[:7])].setdefault(day, {"8480-6": [], "8462-4": []})
        for code in of_day.keys() & values.keys():
            of_day[code].append(values[code])
    last = {}
    for key, of_month in days.items():
        whole = {day: found for day, found in of_month.items() if all(found.values())}
        if whole:
            found = whole[max(whole)]
            last[key] = min(found["8480-6"]) < 140 and min(found["8462-4"]) < 90
    active: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for each in conditions:
        verified = _code(each["verificationStatus"]) if "verificationStatus" in each else "confirmed"
        if _code(each["code"]) in _HYPERTENSION and verified not in ("entered-in-error", "refuted"):
            onset = next(each[key] for key in ("onsetDateTime", "recordedDate") if len(each.get(key, "")) >= 10)
            active[person(_subject(each))].append((onset[:7], each.get("abatementDateTime", "9999-12")[:7]))
    rows = []
    for whose, month in _seen(encounters, person) | last.keys():
        if any(since <= month <= until for since, until in active[whose]):
            age = int(month[:4]) - born[whose]
            in_control = last.get((whose, month))
            rows.append((month, int(bool(in_control)), not 18 <= age <= 85 or in_control is None))
    return _added_up(rows)


def on_time(orders: Iterable[tuple[datetime, datetime | None]], as_of: datetime) -> Counter[str]:
    """Of results, by when the specimen was taken and when they were first final: in time, late, too recent."""
    return Counter(
        "in time" if final and final - taken <= timedelta(days=1)
        else "too recent" if not final and as_of - taken <= timedelta(days=1)
        else "late"
        for taken, final in orders
    )  # fmt: skip


def month_of(value: date) -> str:
    """A month as these functions write it."""
    return f"{value:%Y-%m}"
