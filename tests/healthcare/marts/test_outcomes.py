"""Outcomes of care against the same, computed by plain Python over files and truths."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.healthcare.demo.clinics import deleted, results, truth, versions
from tests.healthcare.marts.care import Warehouse, ask, exported
from tests.healthcare.marts.outcomes import Months, month_of, on_time, pressures, stays, vaccines
from tests.warehouses import opened

pytestmark = pytest.mark.slow

Resources = list[dict[str, Any]]


def counted(warehouse: Warehouse, measure: str, where: str = "true") -> Months:
    """What a warehouse says of a measure, of the persons of whom a condition on patients is true."""
    rows = ask(warehouse, f"""
        select month_date, sum(numerator_count), sum(denominator_count), count(*) filter (is_excluded)
        from healthcare.fct_outcomes
        where measure_code = '{measure}'
            and patient_key in (select patient_key from healthcare.dim_patients where is_current and {where})
        group by 1""")  # fmt: skip
    return {month_of(row[0]): (int(row[1]), int(row[2]), int(row[3])) for row in rows}


def test_stays_of_the_export(care: Warehouse) -> None:
    """By the shared data's README: 49 stays, 274 nights, 12 readmissions, of which some follow what is left out."""
    died = {
        each["id"]: datetime.fromisoformat(each["deceasedDateTime"])
        for each in exported("Patient")
        if "deceasedDateTime" in each
    }
    again, nights = stays(exported("Encounter"), str, died, datetime(2024, 1, 1, tzinfo=UTC))
    assert counted(care, "readmission_30_days", "state = 'KS'") == again
    assert counted(care, "length_of_stay", "state = 'KS'") == nights
    assert sum(number for number, _, _ in nights.values()) == 274
    assert sum(count for _, count, _ in nights.values()) == 49
    assert len(died) == 3 and 0 < sum(number for number, _, _ in again.values()) <= 12


def test_vaccines_of_the_export(care: Warehouse) -> None:
    expected = vaccines(exported("Encounter"), exported("Immunization"), str)
    assert counted(care, "influenza_immunization", "state = 'KS'") == expected
    assert sum(number for number, _, _ in expected.values()) > 100


def test_months_are_sums(care: Warehouse) -> None:
    """Every measure and month is there once, its value is of its counts, and those are of the rows."""
    assert ask(care, """
        select count(*) from healthcare.agg_outcomes__monthly as months
        full join (
            select measure_code, month_date, sum(numerator_count) as numerator, sum(denominator_count) as denominator,
                count(*) - sum(denominator_count) as excluded
            from healthcare.fct_outcomes group by 1, 2
        ) as outcomes using (measure_code, month_date)
        where numerator_count is distinct from numerator or denominator_count is distinct from denominator
            or exclusion_count is distinct from excluded
            or outcome_value is distinct from case when denominator > 0 then round(numerator / denominator, 6) end
        """) == [(0,)]  # fmt: skip
    assert {row[0] for row in ask(care, "select measure_code from healthcare.agg_outcomes__monthly")} >= {
        "readmission_30_days", "length_of_stay", "influenza_immunization", "blood_pressure_control", "lab_turnaround",
    }  # fmt: skip


@pytest.fixture(scope="module")
def resources(clinic: Path) -> Callable[[str], Resources]:
    """The last versions of the clinic's resources of a type, of those that are there still."""
    gone = deleted(clinic)
    last = {key: found[-1] for key, found in versions(clinic).items() if key not in gone}
    return lambda resource_type: [each for (kind, _), each in last.items() if kind == resource_type]


@pytest.fixture(scope="module")
def persons(built: Path) -> dict[str, str]:
    """Whose record is whose: that records are joined rightly is another test's business."""
    with opened(built) as connection:
        rows = connection.execute(
            "select patient_id, cast(patient_key as varchar) from build.intermediate.int_patients__records "
            "where source_id = 'fhir'"
        ).fetchall()
    return dict(rows)


@pytest.fixture(scope="module")
def as_of(built: Path) -> datetime:
    with opened(built) as connection:
        (row,) = connection.execute("select as_of_at from build.intermediate.int_healthcare__as_of").fetchall()
    return datetime.fromisoformat(f"{row[0]}+00:00")


def test_stays_of_the_clinic(
    built: Path, clinic: Path, resources: Callable[[str], Resources], persons: dict[str, str], as_of: datetime
) -> None:
    died = {
        persons[row[0]]: datetime.fromisoformat(f"{row[1]}+00:00")
        for row in truth(clinic, "select patient_id, died_at from truth_patients inner join truth_persons "
                         "using (person_id) where died_at is not null and length(died) >= 10")
        if row[0] in persons
    }  # fmt: skip
    again, nights = stays(resources("Encounter"), persons.__getitem__, died, as_of)
    assert counted(built, "readmission_30_days") == again
    assert counted(built, "length_of_stay") == nights
    ((total,),) = truth(clinic, "select sum(nights) from truth_stays")
    assert total == sum(number for number, _, _ in nights.values()) > 0
    assert sum(number for number, _, _ in again.values()) > 0


def test_vaccines_of_the_clinic(built: Path, resources: Callable[[str], Resources], persons: dict[str, str]) -> None:
    expected = vaccines(resources("Encounter"), resources("Immunization"), persons.__getitem__)
    assert counted(built, "influenza_immunization") == expected
    assert sum(number for number, _, _ in expected.values()) > 0


def test_pressures_of_the_clinic(
    built: Path, clinic: Path, resources: Callable[[str], Resources], persons: dict[str, str]
) -> None:
    born = {
        persons[row[0]]: int(row[1][:4])
        for row in truth(clinic, "select patient_id, birth_date from truth_patients")
        if row[0] in persons
    }
    expected = pressures(
        resources("Encounter"), resources("Condition"), resources("Observation"), persons.__getitem__, born
    )
    assert counted(built, "blood_pressure_control") == expected
    assert min(sum(row[place] for row in expected.values()) for place in range(3)) > 0


def test_turnaround_of_the_clinic(built: Path, clinic: Path, as_of: datetime) -> None:
    """Of every analyte: from when the specimen was taken to the first message that calls it final."""
    taken = {
        row[0]: datetime.fromisoformat(f"{row[1]}+00:00")
        for row in truth(clinic, "select filler_order, collected_at from truth_lab_orders")
    }
    finals: dict[tuple[str, str], datetime | None] = {}
    for each in results(clinic):
        key, said = (each.order, each.code), datetime.strptime(each.reported, "%Y%m%d%H%M%S%z")
        before = finals.setdefault(key, None)
        if each.status in ("F", "C"):
            finals[key] = min(before or said, said)
    expected = on_time(((taken[order], final) for (order, _), final in finals.items()), as_of)
    found = ask(built, """
        select case when is_excluded then replace(exclusion_reason, '_', ' ') when is_in_numerator then 'in time'
            else 'late' end, count(*)
        from healthcare.fct_outcomes where measure_code = 'lab_turnaround' group by 1""")  # fmt: skip
    assert dict(found) == dict(expected)
    assert {"in time", "late"} <= expected.keys()
