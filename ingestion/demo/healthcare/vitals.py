"""What is measured at an encounter: blood pressure, weight, temperature, heart rate; and what of it was wrong."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, stamp

from .clinic import Clinic, Row, delete, new_resource, put, somebody, subject
from .clock import local, local_date
from .fhir import Resource, loinc, quantity, reference, term
from .places import a_new_id
from .truth import note, note_inconsistent
from .vocabulary import HYPERTENSION

POUND = Decimal("0.45359237")  # kilograms, exactly
_PLACES = Decimal("0.00000001")


def standard(value: str, unit: str) -> str | None:
    """A weight in kilograms or a temperature in degrees Celsius, to eight places; None of another unit."""
    number = Decimal(value)
    exact = {
        "kg": number,
        "[lb_av]": number * POUND,
        "Cel": number,
        "[degF]": (number - 32) * 5 / 9,
    }.get(unit)
    return None if exact is None else str(exact.quantize(_PLACES, ROUND_HALF_UP))


def measure(clinic: Clinic, t: int, written: int, person: Row, about: Resource, bundled: bool) -> None:
    """Measure somebody at `t`, and write it down."""
    rng = clinic.rng
    is_high = HYPERTENSION in person["conditions"]
    if rng.random() < 0.8:
        upper, lower = round(rng.gauss(142 if is_high else 122, 13)), round(rng.gauss(88 if is_high else 78, 8))
        parts = [("8480-6", "Systolic", str(upper)), ("8462-4", "Diastolic", str(lower))]
        components = [
            {"code": loinc(code, name), "valueQuantity": quantity(value, "mm[Hg]")} for code, name, value in parts
        ]
        pressure = _observation(clinic, t, about, "85354-9", "Blood pressure") | {"component": components}
        _write(clinic, t, written, person, pressure, bundled)
    if rng.random() < 0.6:
        person["weight"] += rng.randint(-15, 15)
        value, unit = f"{person['weight'] / 10:.1f}", "kg"
        if rng.random() < 0.3:
            value, unit = f"{person['weight'] / 10 / float(POUND):.2f}", "[lb_av]"
        weight = _observation(clinic, t, about, "29463-7", "Body weight") | {"valueQuantity": quantity(value, unit)}
        _write(clinic, t, written, person, weight, bundled)
    if rng.random() < 0.3:
        celsius = rng.gauss(36.9, 0.5)
        value, unit = (f"{celsius:.1f}", "Cel") if rng.random() < 0.6 else (f"{celsius * 1.8 + 32:.1f}", "[degF]")
        heat = _observation(clinic, t, about, "8310-5", "Body temperature") | {"valueQuantity": quantity(value, unit)}
        _write(clinic, t, written, person, heat, bundled)


def _observation(clinic: Clinic, t: int, about: Resource, code: str, name: str) -> Resource:
    return new_resource(clinic, "Observation") | {
        "status": "final",
        "category": [term("observation-category", "vital-signs")],
        "code": loinc(code, name),
        **about,
        "effectiveDateTime": local(t),
    }


def _write(clinic: Clinic, t: int, written: int, person: Row, observation: Resource, bundled: bool) -> None:
    observation["issued"] = local(written)
    put(clinic, written, observation, person["id"], bundled)
    note_observation(clinic, t, person["id"], observation)
    if clinic.rng.random() < 0.04 and not bundled:
        how = clinic.rng.choice(("corrected", "amended", "entered-in-error", "deleted"))
        later = written + clinic.rng.randint(1, 5) * DAY
        schedule(clinic, later, "observation.change", observation, person["id"], t, how)


def note_observation(
    clinic: Clinic, t: int, person: str | None, observation: Resource, is_deleted: bool = False
) -> None:
    """Note what an Observation says, a row for it and for each of its components."""
    # The unit's code is the quantity's; a component's code is the part.
    parts: list[tuple[str, Resource]] = [
        (each["code"]["coding"][0]["code"], each) for each in observation.get("component", [])
    ]
    code = observation["code"]["coding"][0]["code"]
    for part, each in parts or [("", observation)]:
        measured: dict[str, Any] = each.get("valueQuantity", {})
        coded = each.get("valueCodeableConcept", {"coding": [{"code": None}]})["coding"][0]["code"]
        value = measured["value"].strip("#") if measured else coded
        unit = measured.get("code")
        in_standard = standard(value, unit) if unit else None
        row = (observation["id"], part, person, code, observation["status"], stamp(t), value, unit, in_standard)
        note(clinic, "observations", (*row, int(is_deleted)))


@on("observation.change")
def change(clinic: Clinic, t: int, observation: Resource, person_id: str, measured: int, how: str) -> None:
    """What was written is corrected, amended, found to be wrong, or deleted."""
    if how == "deleted":
        delete(clinic, t, observation, person_id)
        note_observation(clinic, measured, person_id, observation, is_deleted=True)
        return
    observation["status"], observation["issued"] = how, local(t)
    if how == "corrected":
        target = observation.get("component", [observation])[0]
        before = target["valueQuantity"]
        target["valueQuantity"] = before | {"value": f"#{Decimal(before['value'].strip('#')) + 3}#"}
    put(clinic, t, observation, person_id)
    note_observation(clinic, measured, person_id, observation)


@on("observation.odd")
def odd(clinic: Clinic, t: int, how: str) -> None:
    """An Observation that contradicts something: its unit, its time (`dead`), its encounter, its subject."""
    person: Row | None = somebody(clinic)
    if how == "dead":
        dead = [each for each in clinic.people.values() if each["died_at"] is not None and each["died_at"] < t - DAY]
        person = dead[-1] if dead else None
    if person is None:
        return
    about: Resource = {"subject": subject(clinic.records[person["records"][0]])}
    owner: str | None = person["id"]
    if how == "nowhere":
        about["encounter"] = reference("Encounter", a_new_id(clinic))
    elif how == "nobody":
        about, owner = {"subject": reference("Patient", a_new_id(clinic))}, None
    heat = _observation(clinic, t, about, "8310-5", "Body temperature")
    heat["valueQuantity"] = quantity("36.50", "kg" if how == "unit" else "Cel")
    if how == "date":
        heat["effectiveDateTime"] = local_date(t)[:7]
    put(clinic, t, heat, owner)
    note_observation(clinic, t, owner, heat)
    rules = {
        "unit": "unit does not fit",
        "dead": "after death",
        "nowhere": "unknown encounter",
        "nobody": "unknown patient",
    }
    if how in rules:
        note_inconsistent(clinic, rules[how], heat)
