"""Encounters, stays and findings from real resources, against totals that are known from elsewhere.

The shared data's README has them, of plain SQL over the files: patients of the export live in Kansas. Findings are of
the bundles alone: those of fhir_bundles_us are coded by LOINC and UCUM, those of fhir_bundles_hiv say so and are not.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.healthcare.marts.care import OF_EXPORT, UNKNOWN, Warehouse, ask

pytestmark = pytest.mark.slow


def test_encounters(care: Warehouse) -> None:
    """435 have another day in UTC, 20 another month, one another year."""
    assert ask(care, f"""
        select count(*), count(*) filter (is_finished), count(*) filter (is_backward), sum(length_seconds),
            count(*) filter (event_date <> cast(event_at as date)),
            count(*) filter (date_trunc('month', event_date) <> date_trunc('month', cast(event_at as date))),
            count(*) filter (extract(year from event_date) <> extract(year from event_at)),
            cast(min(started_at) as varchar), cast(max(started_at) as varchar)
        from healthcare.fct_encounters {OF_EXPORT}
        """) == [(1215, 1215, 0, 38_840_275, 435, 20, 1, "1928-11-05 10:50:16", "2023-03-22 18:45:24")]  # fmt: skip
    classes = ask(care, f"select encounter_class, count(*) from healthcare.fct_encounters {OF_EXPORT} group by 1")
    assert dict(classes) == {"AMB": 1133, "IMP": 49, "EMER": 23, "HH": 9, "VR": 1}
    assert ask(care, "select count(*) from healthcare.fct_encounters") == [(1215 + 173 + 124,)]
    assert ask(care, f"select count(*) from healthcare.fct_encounters where patient_key = '{UNKNOWN}'") == [(0,)]


def test_stays(care: Warehouse) -> None:
    assert ask(care, f"""
        select count(*), count(distinct patient_key), sum(night_count), count(previous_encounter_key),
            count(*) filter (is_readmission_within_30_days), count(*) filter (is_overlapping), count(*) filter (is_open)
        from healthcare.fct_inpatient_stays {OF_EXPORT}""") == [(49, 5, 274, 44, 12, 0, 0)]  # fmt: skip


def test_observations(care: Warehouse) -> None:
    assert ask(care, """
        select is_component, count(*), count(distinct observation_key) from healthcare.fct_observations
        group by 1 order by 1""") == [(False, 1009 + 159, 1009 + 159), (True, 847, 114)]  # fmt: skip
    assert ask(care, f"select count(*) from healthcare.fct_observations where patient_key = '{UNKNOWN}'") == [(0,)]


def test_blood_pressures_and_weights(care: Warehouse) -> None:
    assert ask(care, """
        select count(*), round(avg(value_number), 4), round(avg(canonical_value_number), 4), min(canonical_unit_code),
            count(distinct observation_key)
        from healthcare.fct_observations
        where is_component and observation_code = '8480-6' and observation_key in (
            select observation_key from healthcare.fct_observations where observation_code = '85354-9')
        """) == [(79, 118.7975, 118.7975, "mm[Hg]", 79)]  # fmt: skip
    assert ask(care, """
        select count(*), round(avg(canonical_value_number), 4), min(canonical_unit_code), max(canonical_unit_code)
        from healthcare.fct_observations where observation_code = '29463-7' and observation_system = 'http://loinc.org'
        """) == [(79, 49.5595, "kg", "kg")]  # fmt: skip


def test_units_of_ucum_are_canonical(care: Warehouse) -> None:
    """Every quantity of fhir_bundles_us that the README lists, and 13 of 38 of fhir_bundles_hiv: %, cm and kg."""
    found = ask(care, """
        select unit_code, canonical_unit_code, canonical_absent_reason, count(*) from healthcare.fct_observations
        where not is_component and value_number is not null group by all""")  # fmt: skip
    by_unit = {unit: (canonical, reason, number) for unit, canonical, reason, number in found}
    assert {unit: by_unit.pop(unit) for unit in ("mmHg", "beats/minute", "C", None)} == {
        "mmHg": (None, "not a known unit", 10),
        "beats/minute": (None, "not a known unit", 5),
        "C": (None, "not a known unit", 5),
        None: (None, "no unit", 5),
    }
    of_us = {
        "{score}": 161, "/min": 158, "cm": 101, "kg": 79, "%": 70, "kg/m2": 59, "fL": 56, "10*3/uL": 28, "g/dL": 28,
        "mg/dL": 24, "pg": 14, "10*6/uL": 14, "Cel": 5, "{#}": 4,
    }  # fmt: skip
    of_hiv = {unit: number - of_us.get(str(unit), 0) for unit, (_, _, number) in by_unit.items()}
    assert {unit: number for unit, number in of_hiv.items() if number} == {"%": 5, "cm": 4, "kg": 4}
    assert {unit for unit, (canonical, reason, _) in by_unit.items() if not canonical or reason} == set()


def test_values_are_converted_exactly(care: Warehouse) -> None:
    """By factors that are written down here, of definitions: a decilitre is a tenth of a litre."""
    factors = {"g/dL": (Decimal(10), "g/L"), "mg/dL": (Decimal("0.01"), "g/L"), "10*6/uL": (Decimal(1000), "10*9/L")}
    found = ask(care, f"""
        select unit_code, value_number, canonical_value_number, canonical_unit_code from healthcare.fct_observations
        where unit_code in {tuple(factors)}""")  # fmt: skip
    assert len(found) == 28 + 24 + 14
    for unit, value, canonical, canonical_unit in found:
        factor, wanted = factors[unit]
        assert (canonical, canonical_unit) == (round(value * factor, 6), wanted)
