"""Encounters: visits by day and by night, emergencies, stays in hospital and those that follow too soon."""

from __future__ import annotations

from typing import Any

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR, MINUTE, stamp

from . import findings, laboratory
from .clinic import Clinic, Row, new_resource, put, record_of, somebody, subject
from .clock import local, local_date, midnight
from .fhir import Resource, coding, reference, snomed
from .places import participant
from .truth import note
from .vocabulary import TERMS

_TYPES = {
    "AMB": ("185349003", "Check up"),
    "VR": ("448337001", "Consultation at a distance"),
    "EMER": ("50849002", "Emergency"),
    "IMP": ("32485007", "Admission to hospital"),
}
_PLACES = {"AMB": 0, "VR": 0, "IMP": 1, "EMER": 2}
READMITTED_SECONDS = 30 * DAY


@on("encounter.visit")
def visit(clinic: Clinic, t: int) -> None:
    """Somebody comes, calls, or is brought in."""
    rng, person = clinic.rng, somebody(clinic)
    kind = rng.choices(("AMB", "VR", "EMER"), (78, 9, 13))[0]
    minutes = rng.randint(60, 420) if kind == "EMER" else rng.randint(12, 55)
    if person is None:
        return
    if rng.random() < 0.02:
        _cancelled(clinic, t, person)
    else:
        begin(clinic, t, person, kind, t + minutes * MINUTE, bundled=False)


@on("encounter.midnight")
def visit_at_midnight(clinic: Clinic, t: int) -> None:
    """Somebody is brought in some minutes before midnight, and goes after it."""
    person, start = somebody(clinic), midnight(t + DAY) - clinic.rng.randint(3, 25) * MINUTE
    if person and start >= t:
        schedule(clinic, start, "encounter.begin", person["id"], "EMER", start + 70 * MINUTE)


@on("encounter.elsewhere")
def visit_elsewhere(clinic: Clinic, t: int) -> None:
    """Somebody goes to an urgent care centre, which hands over a transaction."""
    person = somebody(clinic)
    if person:
        begin(clinic, t, person, "AMB", t + 25 * MINUTE, bundled=True)


@on("encounter.begin")
def begin_planned(clinic: Clinic, t: int, person_id: str, kind: str, end: int) -> None:
    """What was planned for somebody begins, if it still can."""
    person = clinic.people[person_id]
    if person["died_at"] is None and not person["in_hospital"]:
        begin(clinic, t, person, kind, end, bundled=False)


@on("stay.begin")
def admit(clinic: Clinic, t: int, person_id: str | None = None) -> None:
    """Somebody is admitted to hospital, for hours or for weeks."""
    rng = clinic.rng
    person = somebody(clinic, "2000-12-31") if person_id is None else clinic.people[person_id]
    hours = min(24 * 21, max(9, round(rng.lognormvariate(4.1, 0.8))))
    if person and person["died_at"] is None and not person["in_hospital"]:
        begin(clinic, t, person, "IMP", t + hours * HOUR + rng.randrange(3600), bundled=False)


def begin(clinic: Clinic, t: int, person: Row, kind: str, end: int, bundled: bool) -> None:
    """An encounter begins; it is known at once, and again when it is over."""
    record = record_of(clinic, person)
    encounter = new_resource(clinic, "Encounter") | {
        "status": "in-progress",
        "class": coding(f"{TERMS}/v3-ActCode", kind),
        "type": [snomed(*_TYPES[kind])],
        "subject": subject(record),
        "participant": [participant(clinic)],
        "period": {"start": local(t)},
        "location": [{"location": reference("Location", clinic.places["locations"][_PLACES[kind]])}],
        "serviceProvider": reference("Organization", clinic.places["organizations"][0]),
    }
    person["in_hospital"] = True
    if not bundled:
        put(clinic, t, encounter, person["id"])
        _note(clinic, encounter, person, record, kind, t, None)
    schedule(clinic, end, "encounter.end", encounter, person["id"], record["id"], kind, t, bundled)


@on("encounter.end")
def end_encounter(
    clinic: Clinic, t: int, encounter: Resource, person_id: str, record_id: str, kind: str, start: int, bundled: bool
) -> None:
    """An encounter is over, and what was found is written down."""
    rng, person, record = clinic.rng, clinic.people[person_id], clinic.records[record_id]
    person["in_hospital"] = False
    if person["died_at"] is not None:
        return
    found = findings.write(clinic, t, person, record, encounter, start, bundled)
    encounter |= {"status": "finished", "period": {"start": local(start), "end": local(t)}}
    if found:
        encounter["diagnosis"] = [{"condition": reference("Condition", found), "rank": 1}]
    if rng.random() < 0.03:
        encounter["subjectStatus"] = {"text": "departed"}  # as R5 has it; R4 doesn't
    if kind == "IMP":
        home = {"coding": [coding(f"{TERMS}/discharge-disposition", "home")]}
        encounter["hospitalization"] = {"dischargeDisposition": home}
        _note_stay(clinic, encounter, person, record, start, t)
        if rng.random() < 0.22:
            again = t + rng.randint(3, 40) * DAY + rng.randrange(DAY)
            schedule(clinic, again, "stay.begin", person_id)
    put(clinic, t, encounter, person_id, bundled)
    _note(clinic, encounter, person, record, kind, start, t)
    if kind == "IMP" or rng.random() < 0.33:
        laboratory.order(clinic, max(start, t - 30 * HOUR), t, person, record, encounter["id"])


def _cancelled(clinic: Clinic, t: int, person: Row) -> None:
    record = record_of(clinic, person)
    encounter = new_resource(clinic, "Encounter") | {
        "status": "cancelled",
        "class": coding(f"{TERMS}/v3-ActCode", "AMB"),
        "subject": subject(record),
        "period": {"start": local(t), "end": local(t)},
    }
    put(clinic, t, encounter, person["id"])
    _note(clinic, encounter, person, record, "AMB", t, t)


def _note(
    clinic: Clinic, encounter: Resource, person: Row, record: Row, kind: str, start: int, end: int | None
) -> None:
    ended: tuple[Any, ...] = (None, None) if end is None else (stamp(end), local_date(end))
    row = (encounter["id"], person["id"], record["id"], kind, encounter["status"], stamp(start), ended[0])
    seconds = None if end is None else end - start
    note(clinic, "encounters", (*row, local_date(start), ended[1], seconds))


def _note_stay(clinic: Clinic, encounter: Resource, person: Row, record: Row, start: int, end: int) -> None:
    before = person["stay_ended"]
    gap = None if before is None else start - before
    nights = (midnight(end) - midnight(start) + 2 * HOUR) // DAY  # a night of 23 or 25 hours is one, too
    row = (encounter["id"], person["id"], record["id"], local_date(start), local_date(end), nights, gap)
    note(clinic, "stays", (*row, int(gap is not None and gap <= READMITTED_SECONDS)))
    person["stay_ended"] = end
