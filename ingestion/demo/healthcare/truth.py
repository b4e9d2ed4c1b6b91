"""The truth's bookkeeping: what a correct warehouse must come to, noted down as things happen.

Nothing here reads the files that the systems hand over: the simulator calls these functions at the moment it changes
something. Times are UTC, 'YYYY-MM-DD HH:MM:SS'; dates are those where the clinic is; numbers are decimal text as they
were written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingestion.demo.clock import stamp

from .clock import local_date, years_between

if TYPE_CHECKING:
    from .clinic import Clinic

# table: (columns, how many of them are the key). Rows are noted whole, and replace the row of their key.
TABLES: dict[str, tuple[str, int]] = {
    "persons": ("person_id, sex, birth_date, state, postal_code, registered_date, died_at, died_date", 1),
    "patients": (
        "patient_id, person_id, mrn, family_name, given_name, birth_date, sex, ssn, postal_code, is_active, died",
        1,
    ),
    "identifiers": ("value, kind, patient_id", 3),
    "merges": ("patient_id, into_patient_id, merged_at, parted_at, is_right", 3),
    "resources": ("resource_type, resource_id, status, person_id, version_count, is_deleted, last_updated", 2),
    "encounters": (
        "encounter_id, person_id, patient_id, class, status, started_at, ended_at, started_date, ended_date, seconds",
        1,
    ),
    "stays": (
        "encounter_id, person_id, patient_id, admitted_date, discharged_date, nights, seconds_since_stay_before, "
        "is_readmission",
        1,
    ),
    "conditions": ("condition_id, person_id, code, status, onset, abated_date", 1),
    "immunizations": ("immunization_id, person_id, code, status, given_date", 1),
    "observations": (
        "observation_id, part, person_id, code, status, observed_at, value, unit, standard, is_deleted",
        2,
    ),
    "lab_orders": (
        "filler_order, person_id, patient_id, mrn, panel, collected_at, first_final_at, status, encounter_id",
        1,
    ),
    "lab_versions": ("filler_order, code, reported_at, status, value, unit", 4),
    "lab_results": (
        "filler_order, code, person_id, status, value, unit, version_count, correction_count, observation_id",
        2,
    ),
    "lab_files": ("file_name, message_count, unreadable_count, segment_count, line_end, has_bom", 1),
    "wearers": ("device_id, valid_from, valid_to, person_id, patient_id", 2),
    "population_monthly": ("month, age, sex, state, persons", 4),
    "rejects": ("resource_type, resource_id, written_date, reason, mended_date", 4),
    "inconsistencies": ("rule, resource_type, resource_id", 3),
    # These are kept as totals, and written anew.
    "counts": ("resource_type, records, repeated, rejected, deletes", 1),
    "unknown_elements": ("resource_type, element, records", 2),
    "readings_daily": ("device_id, day, metric, person_id, readings, total", 4),
    "lab_segments": ("segment, records", 1),
    "consents": ("person_id, valid_from, valid_to", 2),
    "waiting": ("resource_type, resource_id, due_date", 2),
}


@dataclass
class Truth:
    """The totals as of the last simulated day; plain structures only."""

    counts: dict[str, list[int]] = field(default_factory=dict)  # type: records, repeated, rejected, deletes
    unknown_elements: dict[tuple[str, str], int] = field(default_factory=dict)
    readings_daily: dict[tuple[str, str, str, str], list[int]] = field(default_factory=dict)
    lab_segments: dict[str, int] = field(default_factory=dict)
    consents: dict[str, list[tuple[int, int | None]]] = field(default_factory=dict)  # of a person; None: open


def note(clinic: Clinic, table: str, row: tuple[Any, ...]) -> None:
    """Note a row, in place of the one of its key."""
    clinic.batch.truth.setdefault(table, {})[row[: TABLES[table][1]]] = row


def note_person(clinic: Clinic, person: dict[str, Any]) -> None:
    """Who somebody is."""
    died = person["died_at"]
    row = (person["id"], person["sex"], person["birth_date"], person["home"][2], person["home"][0])
    dead = (None, None) if died is None else (stamp(died), local_date(died))
    note(clinic, "persons", (*row, person["registered"], *dead))


def note_identifiers(clinic: Clinic, record: dict[str, Any]) -> None:
    """What a record says now, and what must never be read where nobody is to be known."""
    row = (record["id"], record["person"], record["mrn"], record["family"], record["given"], record["birth_date"])
    died = None if record["died"] is None else str(record["died"]).lower()
    rest = (record["sex"], record["ssn"], record["home"][0], int(record["active"]), died)
    note(clinic, "patients", (*row, *rest))
    for kind in ("mrn", "ssn", "family", "given", "street", "phone", "email"):
        if record[kind]:
            note(clinic, "identifiers", (record[kind], kind, record["id"]))


def note_resource(
    clinic: Clinic, t: int, resource: dict[str, Any], person: str | None, is_deleted: bool = False
) -> None:
    """A resource has a version more, or is gone."""
    status = resource.get("status")
    if "clinicalStatus" in resource:
        status = resource["clinicalStatus"]["coding"][0]["code"]
    key = (resource["resourceType"], resource["id"])
    note(clinic, "resources", (*key, status, person, int(resource["meta"]["versionId"]), int(is_deleted), stamp(t)))


def note_records(clinic: Clinic, resource_type: str, records: int = 0, repeated: int = 0, rejected: int = 0) -> None:
    """An export holds so many records of a type more: in all, those that stood there before, those that are broken."""
    total = clinic.truth.counts.setdefault(resource_type, [0, 0, 0, 0])
    for i, number in enumerate((records, repeated, rejected)):
        total[i] += number


def note_deleted(clinic: Clinic, resource_type: str) -> None:
    """An export says that a resource is gone."""
    clinic.truth.counts.setdefault(resource_type, [0, 0, 0, 0])[3] += 1


def note_unknown(clinic: Clinic, resource_type: str, element: str) -> None:
    """A record that an export holds has an element that R4 doesn't know."""
    key = (resource_type, element)
    clinic.truth.unknown_elements[key] = clinic.truth.unknown_elements.get(key, 0) + 1


def note_inconsistent(clinic: Clinic, rule: str, resource: dict[str, Any]) -> None:
    """A record that may be loaded contradicts a rule of clinical consistency."""
    note(clinic, "inconsistencies", (rule, resource["resourceType"], resource["id"]))


def note_reading(clinic: Clinic, device: str, person: str | None, t: int, metric: str, value: int) -> None:
    """A device read a value while somebody, or nobody, wore it."""
    total = clinic.truth.readings_daily.setdefault((device, local_date(t), metric, person or ""), [0, 0])
    total[0] += 1
    total[1] += value


def note_segments(clinic: Clinic, message: str) -> None:
    """A message was written, with so many segments of each kind."""
    segments = clinic.truth.lab_segments
    for segment in message.rstrip("\r").split("\r"):
        segments[segment[:3]] = segments.get(segment[:3], 0) + 1


def note_month(clinic: Clinic, t: int, month: str) -> None:
    """Who was there and alive as a month ended, a moment ago, by age in whole years, sex and state."""
    last_day = local_date(t - 1)
    groups: dict[tuple[int, str, str], int] = {}
    for person_id in clinic.alive:
        person = clinic.people[person_id]
        key = (years_between(person["birth_date"], last_day), person["sex"], person["home"][2])
        groups[key] = groups.get(key, 0) + 1
    for key, persons in sorted(groups.items()):
        note(clinic, "population_monthly", (month, *key, persons))


def note_consents(clinic: Clinic, person: str, intervals: list[tuple[int, int | None]]) -> None:
    """While somebody's records may be used for research: half-open, as of what is known now."""
    clinic.truth.consents[person] = intervals
