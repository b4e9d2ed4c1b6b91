"""The simulated clinic: its state, and how its systems get to know what happened.

State is plain structures, so that it can be stored. A resource that something may still happen to is kept by whoever
planned that; `changed` has the text of those that the next export shows: as exports do, the last state only.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass, field, fields
from typing import Any

from ingestion.demo.agenda import Event
from ingestion.demo.clock import iso

from .fhir import Resource, text_of
from .truth import Truth, note_resource

Row = dict[str, Any]


@dataclass
class Batch:
    """What a run has yet to write."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)  # name: (content, delivered at)
    truth: dict[str, dict[Any, tuple[Any, ...]]] = field(default_factory=dict)  # table: key: row


@dataclass
class Clinic:
    """Everything that the next day depends on, and the batch of this run."""

    seed: int
    scale: float
    days: int = 0
    agenda: list[Event] = field(default_factory=list)
    sequence: int = 0
    last_ids: dict[str, int] = field(default_factory=dict)
    people: dict[str, Row] = field(default_factory=dict)  # who really is
    alive: list[str] = field(default_factory=list)
    records: dict[str, Row] = field(default_factory=dict)  # what the clinic knows of them, by Patient id
    places: dict[str, Any] = field(default_factory=dict)  # ids of organizations, locations, practitioners
    devices: dict[str, Row] = field(default_factory=dict)
    consents: dict[str, list[Row]] = field(default_factory=dict)  # of a person
    open_consents: list[list[Any]] = field(default_factory=list)  # [Consent, its row], that may be withdrawn
    changed: dict[tuple[str, str], str] = field(default_factory=dict)
    deleted: dict[tuple[str, str], int] = field(default_factory=dict)
    bundled: list[Resource] = field(default_factory=list)  # for the day's bundle
    extra: list[tuple[str, str]] = field(default_factory=list)  # (type, line): what a good export wouldn't hold
    messages: list[tuple[int, str, str, bool]] = field(
        default_factory=list
    )  # (delivered at, text, order, was sent before)
    late: list[tuple[int, str, str, int]] = field(
        default_factory=list
    )  # (day, type, line, whether it was there before)
    wishes: list[str] = field(default_factory=list)  # what the next messages and exports shall show
    truth: Truth = field(default_factory=Truth)
    rng: random.Random = field(default_factory=random.Random)  # of the day
    batch: Batch = field(default_factory=Batch)


_TRANSIENT = {"rng", "batch"}


def to_state(clinic: Clinic) -> dict[str, Any]:
    """The clinic's state as plain structures."""
    state = {item.name: getattr(clinic, item.name) for item in fields(clinic) if item.name not in _TRANSIENT}
    return state | {"truth": dict(vars(clinic.truth))}


def from_state(state: dict[str, Any]) -> Clinic:
    """The clinic of a stored state."""
    return Clinic(**(state | {"truth": Truth(**state["truth"])}))


def next_number(clinic: Clinic, kind: str) -> int:
    """The next number of a kind of thing, from 1."""
    number = clinic.last_ids.get(kind, 0) + 1
    clinic.last_ids[kind] = number
    return number


def new_id(clinic: Clinic, kind: str) -> str:
    """A new id: as random ones look, and the same by any path."""
    name = f"{clinic.seed}:{kind}:{next_number(clinic, kind)}"
    return str(uuid.UUID(bytes=hashlib.md5(name.encode(), usedforsecurity=False).digest(), version=4))


def new_resource(clinic: Clinic, resource_type: str) -> Resource:
    """A resource with its id, unwritten."""
    return {"resourceType": resource_type, "id": new_id(clinic, resource_type), "meta": {"versionId": "0"}}


def put(clinic: Clinic, t: int, resource: Resource, person: str | None = None, bundled: bool = False) -> str:
    """The server has this version from `t` on. Returns the resource's id.

    Args:
        clinic: where.
        t: when.
        resource: the resource, as it is now; it may be changed and put again.
        person: who it is really of.
        bundled: it came as a transaction, and is handed on in that form.
    """
    resource_type, resource_id = resource["resourceType"], resource["id"]
    version = int(resource["meta"]["versionId"]) + 1
    resource["meta"] = {"versionId": str(version), "lastUpdated": iso(t)[:-1] + ".000Z"}
    if bundled:
        clinic.bundled.append({**resource})
    else:
        clinic.changed[(resource_type, resource_id)] = text_of(resource)
    note_resource(clinic, t, resource, person)
    return str(resource_id)


def delete(clinic: Clinic, t: int, resource: Resource, person: str | None) -> None:
    """The server has it no more from `t` on."""
    key = (resource["resourceType"], resource["id"])
    clinic.changed.pop(key, None)
    clinic.deleted[key] = t
    note_resource(clinic, t, resource, person, is_deleted=True)


def somebody(clinic: Clinic, least_age_born: str | None = None) -> Row | None:
    """Somebody alive and not in hospital, born by that day where one is given; None where nobody was found."""
    for _ in range(30):
        person = clinic.people[clinic.rng.choice(clinic.alive)]
        if not person["in_hospital"] and (least_age_born is None or person["birth_date"] <= least_age_born):
            return person
    return None


def record_of(clinic: Clinic, person: Row) -> Row:
    """One of the records under which somebody is known, not always the same."""
    return clinic.records[clinic.rng.choice(person["records"])]


def subject(record: Row) -> Resource:
    """A reference to a patient, as the clinic's system writes it: with the name."""
    return {"reference": f"Patient/{record['id']}", "display": f"{record['given']} {record['family']}"}
