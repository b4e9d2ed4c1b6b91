"""People and their records: registered, once or twice, moved, married, merged and parted, dead."""

from __future__ import annotations

from typing import Any

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, FIRST_DAY, HOUR, stamp

from .clinic import Clinic, Row, new_id, next_number, put, somebody
from .clock import local, local_date
from .fhir import Resource, coding, term
from .truth import note, note_identifiers, note_inconsistent, note_person
from .vocabulary import FAMILY_NAMES, GIVEN_NAMES, HOMES, MRN, SSN, STREETS

_RACES = (("2106-3", "2186-5"), ("2106-3", "2135-2"), ("2054-5", "2186-5"), ("2028-9", "2186-5"), ("2131-1", "2135-2"))
_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"


def _birth_date(clinic: Clinic, age: int | None) -> str:
    rng = clinic.rng
    if age is None:
        low, high = rng.choice(((0, 17), (18, 44), (45, 64), (45, 64), (65, 79), (65, 88), (65, 88), (89, 96)))
        age = rng.randint(low, high)
    return f"{FIRST_DAY.year - 1 - age}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


@on("person.register")
def register(clinic: Clinic, t: int, **given: Any) -> Row:
    """Somebody comes for the first time; what is `given` of the person isn't drawn."""
    rng, number = clinic.rng, next_number(clinic, "person")
    sex = given.get("sex") or rng.choice(("female", "male"))
    person: Row = {
        "id": f"person-{number:05}",
        "sex": sex,
        "family": given.get("family") or rng.choice(FAMILY_NAMES),
        "given": rng.choice(GIVEN_NAMES[sex]),
        "birth_date": given.get("birth_date") or _birth_date(clinic, given.get("age")),
        "ssn": f"999-{10 + number // 9000:02}-{1000 + number % 9000:04}"
        if given.get("ssn") or rng.random() > 0.08
        else None,
        "home": given.get("home") or rng.choices(HOMES, [home[3] for home in HOMES])[0][:3],
        "street": f"{rng.randint(11, 989)} {rng.choice(STREETS)}",
        "phone": f"+1-555-{number // 10000:03}-{number % 10000:04}",
        "race": rng.choice(_RACES),
        "weight": rng.randint(520, 1100),  # tenths of a kilogram
        "conditions": {},  # SNOMED CT code: the Condition, as long as it is there
        "in_hospital": False,
        "stay_ended": None,
        "records": [],
        "died_at": None,
        "registered": local_date(t),
    }
    while given.get("not_named") == person["given"]:
        person["given"] = rng.choice(GIVEN_NAMES[sex])
    clinic.people[person["id"]] = person
    clinic.alive.append(person["id"])
    note_person(clinic, person)
    open_record(clinic, t, person)
    schedule(clinic, t + rng.randint(1, 72) * HOUR, "consent.ask", person["id"])
    return person


def open_record(clinic: Clinic, t: int, person: Row, **changes: Any) -> Row:
    """Make a record of a person, with what is written otherwise than it is."""
    rng, drawn = clinic.rng, clinic.rng.random()
    written = person["birth_date"][:7] if drawn < 0.03 else person["birth_date"][:4] if drawn < 0.05 else None
    record: Row = {
        "id": new_id(clinic, "Patient"),
        "person": person["id"],
        "mrn": f"MRN{700_000 + 7 * next_number(clinic, 'mrn')}",
        **{name: person[name] for name in ("family", "given", "sex", "ssn", "home", "street", "phone", "race")},
        "birth_sex": person["sex"][0].upper(),
        "birth_date": written or person["birth_date"],
        "email": f"{person['given']}.{person['family']}{rng.randint(10, 99)}@mail.example".lower().replace(" ", ""),
        "active": True,
        "links": [],
        "died": None,
        "meta": {"versionId": "0"},
    } | changes
    clinic.records[record["id"]] = record
    person["records"].append(record["id"])
    write_record(clinic, t, record)
    return record


def write_record(clinic: Clinic, t: int, record: Row, **changes: Any) -> Resource:
    """Write a record as it is now, but for what this version alone has otherwise. Returns the resource."""
    race, ethnicity = record["race"]
    zip_code, city, state = record["home"]
    resource: Resource = {
        "resourceType": "Patient",
        "id": record["id"],
        "meta": record["meta"],
        "text": {"status": "generated", "div": f"<div>{record['given']} {record['family']}, {record['street']}</div>"},
        "extension": [
            _category("race", race),
            _category("ethnicity", ethnicity),
            {"url": f"{_CORE}birthsex", "valueCode": record["birth_sex"]},
        ],
        "identifier": [
            {"type": term("v2-0203", "MR"), "system": MRN, "value": record["mrn"]},
            *([{"type": term("v2-0203", "SS"), "system": SSN, "value": record["ssn"]}] if record["ssn"] else []),
        ],
        "active": record["active"],
        "name": [{"use": "official", "family": record["family"], "given": [record["given"]]}],
        "telecom": [{"system": "phone", "value": record["phone"]}, {"system": "email", "value": record["email"]}],
        "gender": record["sex"],
        "birthDate": record["birth_date"],
        **({"deceasedDateTime": record["died"]} if isinstance(record["died"], str) else {}),
        **({"deceasedBoolean": True} if record["died"] is True else {}),
        "address": [
            {"line": [record["street"]], "city": city, "state": state, "postalCode": zip_code, "country": "US"}
        ],
        **({"link": record["links"]} if record["links"] else {}),
    } | changes
    put(clinic, t, resource, record["person"])
    record["meta"] = resource["meta"]
    note_identifiers(clinic, record)
    return resource


def _category(name: str, code: str) -> Resource:
    system = "urn:oid:2.16.840.1.113883.6.238"
    return {"url": f"{_CORE}{name}", "extension": [{"url": "ombCategory", "valueCoding": coding(system, code)}]}


def _write_all(clinic: Clinic, t: int, person: Row, **changes: Any) -> None:
    person.update(changes)
    for record_id in person["records"]:
        record = clinic.records[record_id]
        record.update(changes)
        write_record(clinic, t, record)
    note_person(clinic, person)


@on("person.move")
def move(clinic: Clinic, t: int) -> None:
    """Somebody moves house."""
    rng, person = clinic.rng, somebody(clinic)
    if person:
        home = rng.choices(HOMES, [home[3] for home in HOMES])[0][:3]
        _write_all(clinic, t, person, home=home, street=f"{rng.randint(11, 989)} {rng.choice(STREETS)}")


@on("person.marry")
def marry(clinic: Clinic, t: int) -> None:
    """Somebody takes another family name."""
    person = somebody(clinic, "2003-12-31")
    if person:
        _write_all(clinic, t, person, family=clinic.rng.choice(FAMILY_NAMES))


@on("person.die")
def die(clinic: Clinic, t: int, how: str, oldest: bool = False) -> None:
    """Somebody dies; the record says when, to the second, the day or the month, or only that."""
    if oldest:
        person: Row | None = min((clinic.people[each] for each in clinic.alive), key=lambda each: each["birth_date"])
    else:
        person = somebody(clinic, "1965-12-31")
    if person is None or person["in_hospital"] or len(clinic.alive) < 5:
        return
    clinic.alive.remove(person["id"])
    person["died_at"] = t
    written = {"time": local(t), "day": local_date(t), "month": local_date(t)[:7], "only that": True}[how]
    for record_id in person["records"]:
        clinic.records[record_id]["died"] = written
        write_record(clinic, t, clinic.records[record_id])
    note_person(clinic, person)


@on("person.lookalike")
def register_lookalike(clinic: Clinic, t: int, kind: str) -> None:
    """Somebody registers who shares with another the birth date and ZIP (`stranger`), and the family name (`twin`)."""
    other = somebody(clinic)
    if other is None:
        return
    same: Row = {"birth_date": other["birth_date"], "home": other["home"], "ssn": True}
    if kind == "twin" and other["ssn"]:
        same |= {"family": other["family"], "sex": other["sex"], "not_named": other["given"]}
    else:
        same["family"] = clinic.rng.choice([name for name in FAMILY_NAMES if name != other["family"]])
    register(clinic, t, **same)


@on("person.register_again")
def register_again(clinic: Clinic, t: int, by: str, merged_after: int | None) -> None:
    """Somebody known is registered as new: `ssn` has another name, `name` no number; merged some days later."""
    person = somebody(clinic)
    if person is None or len(person["records"]) > 1 or (by == "ssn" and not person["ssn"]):
        return
    first = clinic.records[person["records"][0]]
    changes: Row = {"birth_date": first["birth_date"], "family": clinic.rng.choice(FAMILY_NAMES)}
    second = open_record(
        clinic, t, person, **(changes if by == "ssn" else {**changes, "family": first["family"], "ssn": None})
    )
    if merged_after:
        schedule(clinic, t + merged_after * DAY, "record.merge", second["id"], first["id"], None)


@on("record.merge_wrongly")
def merge_wrongly(clinic: Clinic, t: int, undone_after: int) -> None:
    """Two people's records are taken for one person's, until somebody notices."""
    one, other = somebody(clinic), somebody(clinic)
    if one and other and one is not other:
        schedule(clinic, t, "record.merge", one["records"][0], other["records"][0], undone_after)


@on("record.merge")
def merge(clinic: Clinic, t: int, record_id: str, into: str, undone_after: int | None) -> None:
    """A record is replaced by another, for some days or for good."""
    record = clinic.records[record_id]
    if record["links"]:
        return
    record["active"], record["links"] = False, [{"other": {"reference": f"Patient/{into}"}, "type": "replaced-by"}]
    write_record(clinic, t, record)
    is_right = int(record["person"] == clinic.records[into]["person"])
    note(clinic, "merges", (record_id, into, stamp(t), None, is_right))
    if undone_after:
        schedule(clinic, t + undone_after * DAY, "record.part", record_id, into, stamp(t))


@on("record.part")
def part(clinic: Clinic, t: int, record_id: str, into: str, merged: str) -> None:
    """A merge is undone."""
    record = clinic.records[record_id]
    record["active"], record["links"] = True, []
    write_record(clinic, t, record)
    note(clinic, "merges", (record_id, into, merged, stamp(t), 0))


@on("record.contradict")
def contradict(clinic: Clinic, t: int) -> None:
    """A record is given another sex at birth than it had, and keeps it."""
    person = somebody(clinic)
    if person:
        record = clinic.records[person["records"][0]]
        record["birth_sex"] = "M" if record["birth_sex"] == "F" else "F"
        note_inconsistent(clinic, "two sexes at birth", write_record(clinic, t, record))
