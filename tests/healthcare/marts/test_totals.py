"""Persons, dimensions and simple facts of care from real resources, against totals that are known from elsewhere.

The shared data's README has them, of plain SQL over the files: patients of the export live in Kansas, those of
fhir_bundles_us in Massachusetts; the codes of fhir_bundles_hiv are made up.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.healthcare.marts.care import NOT_APPLICABLE, OF_EXPORT, SHARED, UNKNOWN, Warehouse, ask, exported

pytestmark = pytest.mark.slow


def bundled(resource_type: str) -> list[dict[str, Any]]:
    """The resources of a type in fhir_bundles_us, each id once."""
    found = {}
    for file in sorted((SHARED / "fhir_bundles_us").glob("*.json")):
        for entry in json.loads(file.read_text(encoding="utf-8"))["entry"]:
            if entry["resource"]["resourceType"] == resource_type:
                found[entry["resource"]["id"]] = entry["resource"]
    return list(found.values())


def test_patients(care: Warehouse) -> None:
    of_export = "from healthcare.dim_patients where is_current and state = 'KS'"
    assert ask(care, f"""
        select count(*), count(distinct patient_key), count(*) filter (gender = 'female'),
            count(*) filter (is_deceased), count(distinct birth_date), count(*) filter (postal_code = '00000'),
            sum(record_count), count(*) filter (birth_date = '1927-05-21')
        {of_export}""") == [(13, 13, 9, 3, 10, 1, 13, 3)]  # fmt: skip
    assert ask(care, """
        select state, count(*) from healthcare.dim_patients
        where is_current and patient_id not like 'medical_record_number%' group by 1 order by 2
        """) == [(None, 1), ("MA", 4), ("Massachusetts", 8), ("KS", 13)]  # fmt: skip


def test_conditions(care: Warehouse) -> None:
    assert ask(care, f"""
        select count(*), count(*) filter (has_abatement), count(*) filter (is_active),
            count(*) filter (is_contradicted), count(distinct condition_code),
            count(distinct (patient_key, condition_code)),
            count(*) filter (condition_code = '160903007'),
            count(distinct case when condition_code = '160903007' then patient_key end)
        from healthcare.fct_conditions {OF_EXPORT}""") == [(555, 448, 107, 0, 92, 212, 212, 10)]  # fmt: skip
    assert ask(care, "select count(*) from healthcare.fct_conditions") == [(555 + 135 + 2,)]


def test_medications(care: Warehouse) -> None:
    assert ask(care, f"""
        select count(*), count(*) filter (request_status = 'stopped'), count(*) filter (is_active),
            count(*) filter (intent = 'order'), count(distinct medication_code)
        from healthcare.fct_medication_requests {OF_EXPORT}""") == [(1745, 1722, 23, 1745, 45)]  # fmt: skip
    assert ask(care, "select count(*) from healthcare.fct_medication_requests") == [(1745 + 31,)]


def test_immunizations(care: Warehouse) -> None:
    assert ask(care, f"""
        select count(*), count(*) filter (is_given), count(distinct vaccine_code),
            count(*) filter (vaccine_code = '140')
        from healthcare.fct_immunizations {OF_EXPORT}""") == [(161, 161, 17, 110)]  # fmt: skip
    assert ask(care, "select count(*) from healthcare.fct_immunizations") == [(161 + 139 + 191,)]


def test_procedures(care: Warehouse) -> None:
    found = ask(care, f"""
        select count(*), count(distinct procedure_code), count(duration_seconds)
        from healthcare.fct_procedures {OF_EXPORT}""")  # fmt: skip
    assert found == [(2056, 110, 2056)]
    assert ask(care, "select count(*) from healthcare.fct_procedures") == [(2056 + 286,)]


def test_days_are_local_as_written(care: Warehouse) -> None:
    expected = Counter(each["recordedDate"][:10] for each in exported("Condition"))
    of_export = f"from healthcare.fct_conditions {OF_EXPORT}"
    found = ask(care, f"select cast(recorded_date as varchar), count(*) {of_export} group by 1")
    assert dict(found) == dict(expected)
    ((others,),) = ask(care, f"select count(*) {of_export} where recorded_date <> cast(recorded_at as date)")
    assert others, "no record tells local days from UTC's"


@pytest.mark.parametrize(
    ("fact", "key", "expected"),
    [
        ("fct_conditions", "practitioner_key", NOT_APPLICABLE),
        ("fct_medication_requests", "practitioner_key", None),
        ("fct_procedures", "facility_key", None),
        ("fct_immunizations", "facility_key", None),
    ],
)
def test_references_by_identifiers_resolve(care: Warehouse, fact: str, key: str, expected: str | None) -> None:
    """Those of the export name practitioners and places by identifiers; conditions name nobody."""
    found = {str(value) for (value,) in ask(care, f"select distinct {key} from healthcare.{fact} {OF_EXPORT}")}
    assert found == {expected} if expected else not found & {UNKNOWN, NOT_APPLICABLE}


def test_every_patient_is_known(care: Warehouse) -> None:
    for fact in ("conditions", "procedures", "medication_requests", "immunizations"):
        question = f"select count(*) from healthcare.fct_{fact} where patient_key = '{UNKNOWN}'"
        assert ask(care, question) == [(0,)], fact


def test_roles_and_places(care: Warehouse) -> None:
    places = [each["id"] for kind in ("Location", "Organization") for each in exported(kind)]
    assert ask(care, f"""
        select facility_kind, count(*) from healthcare.dim_facilities
        where is_current and facility_id in {tuple(places)} group by 1 order by 1
        """) == [("location", 44), ("organization", 43)]  # fmt: skip
    of_export = [each["id"] for each in exported("Practitioner")]
    assert ask(care, f"""
        select count(*), count(*) filter (role_count = 1),
            count(*) filter (facility_key in (select facility_key from healthcare.dim_facilities where state = 'KS'))
        from healthcare.dim_practitioners where is_current and practitioner_id in {tuple(of_export)}
        """) == [(43, 43, 43)]  # fmt: skip


def test_codes_are_judged(care: Warehouse) -> None:
    """Every code that a fact carries is there once, and shown with what most records say."""
    displays: dict[str, Counter[str]] = {}
    patients: dict[tuple[str, str], set[str]] = {}
    for each in bundled("Condition") + exported("Condition"):
        coding = each["code"]["coding"][0]
        displays.setdefault(coding["code"], Counter())[coding["display"]] += 1
        patients.setdefault((coding["code"], coding["display"]), set()).add(each["subject"]["reference"])
    coded = """
        select condition_code, code_display from healthcare.fct_conditions
        inner join healthcare.dim_codes using (code_key)
        where condition_system = 'http://snomed.info/sct' group by 1, 2"""
    found = dict(ask(care, coded))
    several = {code for (code, _), named in patients.items() if len(named) > 1}
    shown = {code: found[code] for code in several}
    most = {code: min(displays[code], key=lambda each: (-displays[code][each], each)) for code in several}
    others = {code for code in shown if shown[code] != most[code]}
    assert len(several) > 20 and not others, {code: (shown[code], most[code]) for code in others}
    assert ask(care, "select count(*), count(distinct (code_system, code)) from healthcare.dim_codes")[0][0] > 200
