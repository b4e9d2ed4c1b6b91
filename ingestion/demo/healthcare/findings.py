"""What an encounter leaves behind: findings, treatment, vaccines, notes."""

from __future__ import annotations

import base64

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, MINUTE

from . import vitals
from .clinic import Clinic, Row, new_resource, put, subject
from .clock import local, local_date, years_between
from .fhir import Resource, concept, loinc, reference, snomed, term
from .truth import note, note_inconsistent
from .vocabulary import ALLERGIES, CONDITIONS, CVX, HYPERTENSION, MEDICATIONS, PROCEDURES, RXNORM, VACCINES


def write(
    clinic: Clinic, t: int, person: Row, record: Row, encounter: Resource, start: int, bundled: bool
) -> str | None:
    """Write down what was found from `start` to `t`. Returns the id of the Condition that it was about, if any."""
    rng = clinic.rng
    about: Resource = {"subject": subject(record), "encounter": reference("Encounter", encounter["id"])}
    vitals.measure(clinic, start + 5 * MINUTE, t, person, about, bundled)
    found = _find(clinic, t, person, about, start, bundled) if rng.random() < 0.4 else None
    if rng.random() < 0.5:
        code, name = rng.choice(PROCEDURES)
        procedure = new_resource(clinic, "Procedure") | {"status": "completed", "code": snomed(code, name)} | about
        procedure["performedPeriod"] = {"start": local(start + 2 * MINUTE), "end": local(start + 9 * MINUTE)}
        put(clinic, t, procedure, person["id"])
    if rng.random() < 0.35:
        _prescribe(clinic, t, person, about)
    is_autumn = local_date(t)[5:7] in ("10", "11", "12")
    if rng.random() < (0.3 if is_autumn else 0.04):
        _vaccinate(clinic, t, person, about, start, *(VACCINES[0] if is_autumn else rng.choice(VACCINES)))
    if rng.random() < 0.02:
        code, name = rng.choice(ALLERGIES)
        allergy = new_resource(clinic, "AllergyIntolerance") | {
            "clinicalStatus": term("allergyintolerance-clinical", "active"),
            "verificationStatus": term("allergyintolerance-verification", "confirmed"),
            "type": "allergy",
            "criticality": rng.choice(("low", "high", "unable-to-assess")),
            "code": snomed(code, name),
            "patient": about["subject"],
            "recordedDate": local_date(t),
        }
        put(clinic, t, allergy, person["id"])
    if rng.random() < 0.6:
        _take_note(clinic, t, person, record, about)
    return found


def _find(clinic: Clinic, t: int, person: Row, about: Resource, start: int, bundled: bool) -> str | None:
    code, name, stays = clinic.rng.choice(CONDITIONS)
    if code in person["conditions"]:
        return str(person["conditions"][code]["id"])
    day = local_date(start)
    # What has been there for long is remembered to the year or the month.
    onset = clinic.rng.choice((local(start), day, f"{int(day[:4]) - 3}-{day[5:7]}", f"{int(day[:4]) - 6}"))
    condition = new_resource(clinic, "Condition") | {
        "clinicalStatus": term("condition-clinical", "active"),
        "verificationStatus": term("condition-ver-status", "confirmed"),
        "category": [term("condition-category", "encounter-diagnosis")],
        "code": snomed(code, name),
        **about,
        "onsetDateTime": onset if stays else local(start),
        "recordedDate": local(t),
    }
    person["conditions"][code] = condition
    put(clinic, t, condition, person["id"], bundled)
    note(clinic, "conditions", (condition["id"], person["id"], code, "active", condition["onsetDateTime"], None))
    if not stays:
        schedule(clinic, t + clinic.rng.randint(6, 24) * DAY, "condition.abate", person["id"], code)
    return str(condition["id"])


@on("condition.abate")
def abate(clinic: Clinic, t: int, person_id: str, code: str) -> None:
    """Somebody is well again."""
    person = clinic.people[person_id]
    condition = person["conditions"].pop(code)
    if person["died_at"] is None:
        condition["clinicalStatus"] = term("condition-clinical", "resolved")
        _abated(clinic, t, person_id, code, condition, "resolved")


@on("condition.contradict")
def contradict(clinic: Clinic, t: int) -> None:
    """A finding is said to be active and to have abated."""
    for person_id in clinic.alive:
        for code, condition in clinic.people[person_id]["conditions"].items():
            if code == HYPERTENSION and "abatementDateTime" not in condition:
                _abated(clinic, t, person_id, code, condition, "active")
                note_inconsistent(clinic, "active with abatement", condition)
                return


def _abated(clinic: Clinic, t: int, person_id: str, code: str, condition: Resource, status: str) -> None:
    condition["abatementDateTime"] = local_date(t)
    put(clinic, t, condition, person_id)
    row = (condition["id"], person_id, code, status, condition["onsetDateTime"], local_date(t))
    note(clinic, "conditions", row)


def _prescribe(clinic: Clinic, t: int, person: Row, about: Resource) -> None:
    rng = clinic.rng
    fitting = [each for each in MEDICATIONS if each[2] is None or each[2] in person["conditions"]]
    code, name, _ = rng.choice(fitting)
    request = new_resource(clinic, "MedicationRequest") | {
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": concept(RXNORM, code, name),
        **about,
        "authoredOn": local(t),
        "dosageInstruction": [{"sequence": 1, "text": f"For {person['given']}: one a day", "asNeededBoolean": False}],
    }
    put(clinic, t, request, person["id"])
    schedule(clinic, t + rng.randint(10, 120) * DAY, "medication.end", request, person["id"])


@on("medication.end")
def end_medication(clinic: Clinic, t: int, request: Resource, person_id: str) -> None:
    """A prescription is used up, or stopped."""
    if clinic.people[person_id]["died_at"] is None:
        request["status"] = clinic.rng.choice(("completed", "completed", "stopped"))
        put(clinic, t, request, person_id)


def _vaccinate(clinic: Clinic, t: int, person: Row, about: Resource, start: int, code: str, name: str) -> None:
    status = "not-done" if clinic.rng.random() < 0.06 else "completed"
    immunization = new_resource(clinic, "Immunization") | {
        "status": status,
        "vaccineCode": concept(CVX, code, name),
        "patient": about["subject"],
        "encounter": about["encounter"],
        "occurrenceDateTime": local(start + 8 * MINUTE),
        "primarySource": True,
        "lotNumber": f"L{clinic.rng.randint(1000, 9999)}",
    }
    put(clinic, t, immunization, person["id"])
    row = (immunization["id"], person["id"], code, status, local_date(start + 8 * MINUTE))
    note(clinic, "immunizations", row)


def _take_note(clinic: Clinic, t: int, person: Row, record: Row, about: Resource) -> None:
    """A note, which says who it is about in every way that a note does."""
    day = local_date(t)
    age = years_between(person["birth_date"], day)
    text = (
        f"{day}: {record['given']} {record['family']} (born {person['birth_date']}, {record['mrn']}) is a {age} "
        f"year-old from {record['home'][1]}, {record['street']}. Call {record['phone']}."
    )
    attachment = {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(text.encode()).decode()}
    document = new_resource(clinic, "DocumentReference") | {
        "status": "current",
        "type": loinc("34133-9", "Summary of an episode"),
        "subject": about["subject"],
        "date": local(t),
        "description": f"Note on {record['family']}",
        "content": [{"attachment": attachment}],
        "context": {"encounter": [about["encounter"]]},
    }
    put(clinic, t, document, person["id"])
