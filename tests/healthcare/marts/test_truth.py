"""What the simulated clinic's marts say, against the truth that was noted down while it happened."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.healthcare.demo.clinics import truth
from tests.healthcare.marts.care import asked

pytestmark = pytest.mark.slow


def test_patients_are_who_they_are(clinic: Path, built: Path) -> None:
    """Who stands for a person, and is in use, gives the names, the sex and the postal code."""
    expected = {
        row[0]: row[1:]
        for row in truth(
            clinic,
            "select patient_id, family_name, given_name, sex, postal_code, died is not null from truth_patients "
            "where is_active",
        )
    }
    found = asked(
        built,
        """
        select patient_id, clear(family_name_token), clear(given_name_token), gender, postal_code, is_deceased
        from healthcare.dim_patients where is_current and not is_deleted and not is_inferred and record_count > 0""",
    )
    shown = {row[0]: row[1:] for row in found if row[0] in expected}
    assert len(shown) > 30
    assert {each: (shown[each], expected[each]) for each in shown if shown[each] != expected[each]} == {}


def test_no_person_is_two_people(clinic: Path, built: Path) -> None:
    """Records of one person are of one person really; and those of one that the rules can tell are together."""
    whose = dict(truth(clinic, "select patient_id, person_id from truth_patients"))
    records = asked(
        built, "select patient_id, patient_key from build.intermediate.int_patients__records where source_id = 'fhir'"
    )
    persons: dict[str, set[str]] = {}
    for patient_id, key in records:
        if patient_id in whose:
            persons.setdefault(str(key), set()).add(whose[patient_id])
    assert [names for names in persons.values() if len(names) > 1] == []
    assert len(persons) < len(whose), "no two records are of one person"


def test_conditions(clinic: Path, built: Path) -> None:
    """Of each what it is, whether it is over, and whether the record says otherwise."""
    marked = {
        row[0]
        for row in truth(clinic, "select resource_id from truth_inconsistencies where rule = 'active with abatement'")
    }
    expected = {
        row[0]: (row[1], row[2] is None, row[0] in marked)
        for row in truth(clinic, "select condition_id, code, abated_date from truth_conditions")
    }
    found = asked(
        built,
        "select condition_id, condition_code, not has_abatement, is_contradicted from healthcare.fct_conditions",
    )
    assert {row[0]: tuple(row[1:]) for row in found} == expected
    assert marked


def test_immunizations(clinic: Path, built: Path) -> None:
    question = "select immunization_id, code, status, given_date from truth_immunizations"
    found = asked(
        built,
        "select immunization_id, vaccine_code, immunization_status, cast(event_date as varchar) "
        "from healthcare.fct_immunizations",
    )
    assert sorted(found) == sorted(truth(clinic, question))


@pytest.mark.parametrize(
    ("resource_type", "fact", "key"),
    [
        ("Procedure", "fct_procedures", "procedure_id"),
        ("MedicationRequest", "fct_medication_requests", "medication_request_id"),
        ("Immunization", "fct_immunizations", "immunization_id"),
        ("Condition", "fct_conditions", "condition_id"),
    ],
)
def test_every_record_is_there(clinic: Path, built: Path, resource_type: str, fact: str, key: str) -> None:
    expected = truth(
        clinic,
        f"select resource_id from truth_resources where resource_type = '{resource_type}' and not is_deleted",
    )
    assert Counter(asked(built, f"select {key} from healthcare.{fact}")) == Counter(expected)
    assert expected


def test_devices_have_who_wears_them(clinic: Path, built: Path) -> None:
    """Half-open intervals, to the second; who wore a device first, as far as is known, did so before."""
    keys = dict(
        asked(
            built, "select patient_id, patient_key from build.intermediate.int_patients__records "
            "where source_id = 'fhir'",
        )
    )  # fmt: skip
    expected, first = [], set[str]()
    for device, since, until, patient in truth(
        clinic, "select device_id, valid_from, valid_to, patient_id from truth_wearers order by 1, 2"
    ):
        from_when = since if device in first else "1900-01-01 00:00:00"
        expected.append((device, from_when, until or "9999-12-31 00:00:00", keys[patient]))
        first.add(device)
    found = asked(
        built,
        """
        select device_id, cast(valid_from as varchar), cast(valid_to as varchar), patient_key
        from healthcare.dim_devices where patient_key <> '00000000-0000-0000-0000-000000000000'""",
    )
    assert sorted(found) == sorted(expected)
    assert len(expected) > 10
