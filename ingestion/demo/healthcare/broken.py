"""What goes wrong with records: statuses that nobody knows, ids that are missing, lines that are cut."""

from __future__ import annotations

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY

from . import laboratory
from .clinic import Clinic, Row, new_resource, put, record_of, somebody, subject
from .clock import local, local_date
from .fhir import Resource, loinc, quantity, snomed, text_of
from .hl7 import message
from .people import write_record
from .places import a_new_id
from .truth import note, note_records
from .vitals import note_observation


@on("record.break")
def break_record(clinic: Clinic, t: int, how: str) -> None:
    """An export has a record that no contract can take: `status`, `code`, `id`, or `cut`."""
    person = somebody(clinic)
    if person is None:
        return
    record = record_of(clinic, person)
    meta = {"versionId": "1", "lastUpdated": local(t)}
    broken: Resource = {"resourceType": "Observation", "id": a_new_id(clinic), "meta": meta, "status": "final"}
    broken |= {"code": loinc("29463-7", "Body weight"), "subject": subject(record), "effectiveDateTime": local(t)}
    broken["valueQuantity"] = quantity("70.0", "kg")
    reason, line = f"missing:{how}", ""
    if how == "status":
        broken["status"], reason = "finall", "value:status"
    elif how == "code":
        del broken["code"]
    elif how == "id":
        broken = {"resourceType": "Condition", "meta": meta, "code": snomed("43878008", "Sore throat")}
        broken["subject"] = subject(record)
    else:
        line, reason = text_of(broken)[:90], "unreadable"
    _note(clinic, t, broken, line or text_of(broken), reason)


@on("record.break_gender")
def break_gender(clinic: Clinic, t: int, days: int) -> None:
    """A version of a Patient has a gender that nobody knows, until it is mended; the version before goes on."""
    person = somebody(clinic)
    if person is None:
        return
    record = clinic.records[person["records"][0]]
    key = ("Patient", record["id"])
    if key in clinic.changed:
        return
    resource = write_record(clinic, t, record, gender="M.")
    _note(clinic, t, resource, clinic.changed.pop(key), "value:gender")
    schedule(clinic, t + days * DAY, "record.mend", record["id"], local_date(t))


@on("record.mend")
def mend(clinic: Clinic, t: int, record_id: str, broken_date: str) -> None:
    """The next version is good."""
    write_record(clinic, t, clinic.records[record_id])
    note(clinic, "rejects", ("Patient", record_id, broken_date, "value:gender", local_date(t)))


def _note(clinic: Clinic, t: int, resource: Resource, line: str, reason: str) -> None:
    clinic.extra.append((resource["resourceType"], line))
    note_records(clinic, resource["resourceType"], rejected=1)
    note(clinic, "rejects", (resource["resourceType"], resource.get("id", ""), local_date(t), reason, None))


@on("record.capital")
def write_in_capitals(clinic: Clinic, t: int) -> None:
    """A status is written as nobody should, and is known all the same: `Final`."""
    person = somebody(clinic)
    if person:
        weight: Resource = new_resource(clinic, "Observation") | {"status": "final"}
        weight |= {"code": loinc("29463-7", "Body weight"), "subject": subject(record_of(clinic, person))}
        weight |= {"effectiveDateTime": local_date(t), "valueQuantity": quantity("71.50", "kg")}
        weight_id = put(clinic, t, weight, person["id"])
        key = ("Observation", weight_id)
        clinic.changed[key] = clinic.changed[key].replace('"status":"final"', '"status":"Final"')
        note_observation(clinic, t, person["id"], weight)


@on("record.unknown_type")
def write_unknown_type(clinic: Clinic, t: int, resource_type: str) -> None:
    """The server has resources of a type that nobody asked for."""
    person = somebody(clinic)
    if person:
        beneficiary: Row = {"status": "active", "subject": subject(record_of(clinic, person))}
        put(clinic, t, new_resource(clinic, resource_type) | beneficiary, person["id"])


@on("wish")
def wish(clinic: Clinic, t: int, what: str) -> None:
    """The next message or export that fits shall show this."""
    clinic.wishes.append(what)


@on("lab.bad_time")
def send_bad_time(clinic: Clinic, t: int) -> None:
    """The laboratory sends a message whose time is none."""
    person = somebody(clinic)
    if person:
        made = laboratory.make(clinic, t, person, record_of(clinic, person), None)
        for analyte in made["analytes"]:
            analyte["status"] = "F"
        made["filler"] = f"X{made['filler'][1:]}"
        control_id = f"X{made['filler'][1:]}"
        text = message(t, control_id, made, "F", time="20241345990000")
        clinic.messages.append((t, text, made["filler"], False))
        note_records(clinic, "ORU", rejected=1)
        note(clinic, "rejects", ("ORU", control_id, local_date(t), "time", None))
