"""What the clinic's marts say of contacts, findings, devices and consents, against the truth noted meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.healthcare.demo.clinics import truth
from tests.healthcare.marts.care import asked

pytestmark = pytest.mark.slow

Interval = tuple[str, str]


def persons(clinic: Path, built: Path) -> dict[str, str]:
    """The person of the truth by the key that the warehouse gives them."""
    whose = dict(truth(clinic, "select patient_id, person_id from truth_patients"))
    records = asked(
        built,
        "select cast(patient_key as varchar), patient_id from build.intermediate.int_patients__records "
        "where source_id = 'fhir'",
    )
    return {key: whose[patient_id] for key, patient_id in records if patient_id in whose}


def as_of(built: Path) -> str:
    """When the records are known of."""
    ((moment,),) = asked(built, "select cast(as_of_at as varchar) from build.intermediate.int_healthcare__as_of")
    return str(moment)


def allowing(clinic: Path, moment: str) -> set[str]:
    """The persons who really allow research at a moment."""
    query = f"select person_id from truth_consents where valid_from <= '{moment}' and valid_to > '{moment}'"
    return {person for (person,) in truth(clinic, query)}


def test_encounters(clinic: Path, built: Path) -> None:
    columns = "started_at, ended_at, started_date, ended_date"
    expected = truth(clinic, f"select encounter_id, class, status, {columns}, seconds from truth_encounters")
    texts = ", ".join(f"cast({each} as varchar)" for each in columns.split(", "))
    found = asked(
        built,
        f"select encounter_id, encounter_class, encounter_status, {texts}, length_seconds "
        "from healthcare.fct_encounters",
    )
    listed = {row[0] for row in expected}
    assert sorted(row for row in found if row[0] in listed) == sorted(expected)
    # What else there is contradicts something, which the truth has beside.
    odd = {row[0] for row in truth(clinic, "select resource_id from truth_inconsistencies")}
    assert {row[0] for row in found} - listed <= odd
    assert len(expected) > 100


def test_stays(clinic: Path, built: Path) -> None:
    expected = truth(clinic, "select encounter_id, nights, is_readmission from truth_stays")
    found = asked(
        built,
        "select encounter_id, night_count, cast(is_readmission_within_30_days as integer) "
        "from healthcare.fct_inpatient_stays inner join healthcare.fct_encounters using (encounter_key)",
    )
    assert sorted(found) == sorted(expected)
    assert len(expected) > 2 and any(row[2] for row in expected)


def test_observations(clinic: Path, built: Path) -> None:
    """The value and the unit of each finding and component, the status, and whose it is."""
    who = persons(clinic, built)
    expected = {
        (row[0], row[1] or None): (row[2], row[3], Decimal(row[4]) if row[4] and row[5] else None, row[5])
        for row in truth(
            clinic,
            "select observation_id, part, person_id, status, value, unit from truth_observations where not is_deleted",
        )
    }
    found = {
        (row[0], row[1]): (who.get(row[2]), row[3], row[4], row[5])
        for row in asked(
            built,
            """select observation_id, case when is_component then observation_code end, cast(patient_key as varchar),
                observation_status, value_number, unit_code
            from healthcare.fct_observations""",
        )
    }
    assert {key: (found.get(key), row) for key, row in expected.items() if found.get(key) != row} == {}
    assert len(expected) > 300


def test_readings_are_of_who_wore_the_device(clinic: Path, built: Path) -> None:
    """Also those a minute before and after a device changes hands, and while nobody wears it."""
    who = persons(clinic, built)
    expected = Counter[tuple[str, str, str]]()
    totals = Counter[tuple[str, str, str]]()
    for device, metric, person, number, total in truth(
        clinic, "select device_id, metric, person_id, readings, total from truth_readings_daily"
    ):
        expected[device, metric, person] += number
        totals[device, metric, person] += total
    found = asked(
        built,
        """select device_id, observation_code, cast(readings.wearer_patient_key as varchar), count(*),
            cast(sum(readings.value_number) as integer)
        from healthcare.fct_device_readings as readings
        inner join healthcare.dim_devices using (device_version_key)
        inner join healthcare.fct_observations on reading_key = observation_part_key
        group by all""",
    )
    shown = {(row[0], row[1], who.get(row[2], "")): row[3:] for row in found}
    assert shown == {key: (number, totals[key]) for key, number in expected.items()}
    assert any(not person for _, _, person in expected) and len(expected) > 20
    assert asked(built, "select count(*) from healthcare.fct_device_readings where is_of_another") == [(0,)]


def _together(intervals: Iterable[Interval]) -> list[Interval]:
    """Half-open intervals, those that touch as one."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def test_consents(clinic: Path, built: Path) -> None:
    who = persons(clinic, built)
    expected, found = defaultdict[str, list[Interval]](list), defaultdict[str, list[Interval]](list)
    for person, start, end in truth(clinic, "select * from truth_consents"):
        expected[person].append((start, end))
    for key, start, end in asked(
        built,
        "select cast(patient_key as varchar), cast(valid_from as varchar), cast(valid_to as varchar) "
        "from healthcare.fct_consents where is_research_allowed",
    ):
        found[who[key]].append((start, end))
    shown = {person: _together(intervals) for person, intervals in found.items()}
    wanted = {person: _together(intervals) for person, intervals in expected.items()}
    assert {
        each: (shown.get(each), wanted.get(each)) for each in {*shown, *wanted} if shown.get(each) != wanted.get(each)
    } == {}
    assert len(wanted) > 30


def test_who_allows_it_is_released(clinic: Path, built: Path) -> None:
    who, moment = persons(clinic, built), as_of(built)
    released = asked(built, "select cast(patient_key as varchar) from build.intermediate.int_patients__released")
    allowed = allowing(clinic, moment)
    assert {who[key] for (key,) in released} == allowed
    everybody = {person for (person,) in truth(clinic, "select person_id from truth_persons")}
    assert len(allowed) > 20 and len(everybody - allowed) > 20
    assert asked(built, "select count(*) - 1 from healthcare_safe.dim_released_patients") == [(len(released),)]


def test_population_adds_up(clinic: Path, built: Path) -> None:
    """Cells and what is not told of a month are the persons who were seen in it and allow research."""
    allowed = allowing(clinic, as_of(built))
    seen = defaultdict[str, set[str]](set)
    for person, day in truth(
        clinic, "select person_id, started_date from truth_encounters where status in ('finished', 'in-progress')"
    ):
        if person in allowed:
            seen[day[:7]].add(person)
    found = dict(
        asked(
            built,
            "select strftime(month_date, '%Y-%m'), sum(person_count) from healthcare_safe.agg_population__monthly "
            "group by 1",
        )
    )  # fmt: skip
    assert found
    assert found == {month: len(seen[month]) for month in found}
    assert all(total >= 11 for total in found.values())
    assert datetime.fromisoformat(as_of(built)).strftime("%Y-%m") >= max(found)
