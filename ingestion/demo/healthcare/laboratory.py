"""The laboratory: orders, and their results from preliminary to corrected, by message and as Observations."""

from __future__ import annotations

from typing import Any

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR, stamp

from .clinic import Clinic, Row, new_resource, next_number, put, subject
from .clock import local
from .fhir import Resource, loinc, quantity, reference, snomed, term
from .hl7 import message
from .truth import note
from .vitals import note_observation
from .vocabulary import FOUND, LOINC, PANELS

_STATUSES = {"P": "preliminary", "F": "final", "C": "corrected"}


def order(clinic: Clinic, collected: int, t: int, person: Row, record: Row, encounter: str) -> None:
    """A specimen was taken at `collected`; the first report comes within a day of `t`."""
    made = make(clinic, collected, person, record, encounter)
    schedule(clinic, t + clinic.rng.randint(1, 20) * HOUR + clinic.rng.randrange(3600), "lab.report", made)


def make(clinic: Clinic, collected: int, person: Row, record: Row, encounter: str | None) -> dict[str, Any]:
    """An order with its results, none reported yet."""
    rng, number = clinic.rng, next_number(clinic, "order")
    code, name, analytes = rng.choice(PANELS)
    drawn, ssn = rng.random(), record["ssn"]
    kept = ("id", "family", "given", "birth_date", "sex", "home", "street", "phone")
    remark = f"{record['given']} {record['family']} called | told to fast & rest\nseen by Dr. ~ ^"
    made: dict[str, Any] = {
        "filler": f"F{24_000_000 + number}",
        "placer": f"P{number:06}",
        "person": person["id"],
        # The laboratory writes down who it is as the record says at that time.
        "patient": {key: record[key] for key in kept},
        "mrn": None if drawn < 0.04 and ssn else record["mrn"],
        # Some clerks leave the dashes out.
        "ssn": ssn.replace("-", "") if ssn and 0.04 < drawn < 0.14 else ssn,
        "panel": (code, name),
        "collected": collected,
        "encounter": encounter,
        "first_final": None,
        "remark": remark if drawn > 0.8 else "",
        "report": None,
        "analytes": [_analyte(clinic, *analyte) for analyte in analytes],
    }
    if rng.random() < 0.1:
        made["analytes"].append(_remark())
    return made


def _analyte(
    clinic: Clinic, code: str, name: str, kind: str, unit: str | None, low: float, high: float, places: int
) -> Row:
    rng = clinic.rng
    row: Row = {"code": code, "name": name, "type": kind, "unit": unit, "range": "", "flag": "", "display": ""}
    if kind == "CWE":
        row["value"], row["display"] = rng.choice(FOUND)
    else:
        middle, width = (low + high) / 2, (high - low) / 2
        number = max(low * 0.5, rng.gauss(middle, width * 0.7))
        row["value"] = f"{number:.{places}f}"
        if kind == "SN":
            row["value"] = f"<{low:g}" if number < low * 2 else row["value"]
        elif code == "5811-5" and rng.random() < 0.3:
            row["value"] = f"{row['value']}~{number + 0.002:.{places}f}"
        row["range"], row["flag"] = f"{low:g}-{high:g}", "L" if number < low else "H" if number > high else "N"
        row["low"], row["high"] = f"{low:g}", f"{high:g}"
    return row | {"status": None, "said": None, "versions": 0, "corrections": 0, "observation": None}


def _remark() -> Row:
    row: Row = {"code": "8251-1", "name": "Service comment", "type": "ST", "unit": None, "range": "", "flag": ""}
    row |= {"value": "Lipemic & cloudy | see ^ below", "display": "", "status": None, "said": None}
    return row | {"versions": 0, "corrections": 0, "observation": None}


@on("lab.report")
def report(clinic: Clinic, t: int, made: dict[str, Any]) -> None:
    """The first report: some results are preliminary, some not there yet."""
    rng, is_open = clinic.rng, False
    for analyte in made["analytes"]:
        drawn = rng.random()
        analyte["status"] = "P" if drawn < 0.2 else "I" if drawn < 0.26 else "F"
        is_open = is_open or analyte["status"] != "F"
    if is_open:
        schedule(clinic, t + rng.randint(6, 30) * HOUR, "lab.finish", made)
        _send(clinic, t, made, "P")
    else:
        _finished(clinic, t, made)


@on("lab.finish")
def finish(clinic: Clinic, t: int, made: dict[str, Any]) -> None:
    """What was preliminary is final, and not always the same."""
    for analyte in made["analytes"]:
        if analyte["status"] == "P" and clinic.rng.random() < 0.5:
            _another_value(clinic, analyte)
        analyte["status"] = "F"
    _finished(clinic, t, made)


def _finished(clinic: Clinic, t: int, made: dict[str, Any]) -> None:
    made["first_final"] = t
    if clinic.rng.random() < 0.07:
        schedule(clinic, t + clinic.rng.randint(20, 100) * HOUR, "lab.correct", made)
    _send(clinic, t, made, "F")


@on("lab.correct")
def correct(clinic: Clinic, t: int, made: dict[str, Any]) -> None:
    """A final result was wrong. Some analysers send its correction as another final result."""
    numbers = [analyte for analyte in made["analytes"] if analyte["type"] == "NM"]
    if numbers:
        analyte = clinic.rng.choice(numbers)
        before = analyte["value"]
        _another_value(clinic, analyte)
        if analyte["value"] != before:
            analyte["status"] = "C" if clinic.rng.random() < 0.7 else "F"
            analyte["corrections"] += 1
            _send(clinic, t, made, "C")


def _another_value(clinic: Clinic, analyte: Row) -> None:
    if analyte["type"] == "NM" and "~" not in analyte["value"]:
        places = len(analyte["value"].partition(".")[2])
        analyte["value"] = f"{float(analyte['value']) * clinic.rng.choice((0.97, 0.985, 1.02, 1.04)):.{places}f}"


def _send(clinic: Clinic, t: int, made: dict[str, Any], status: str) -> None:
    """Send a message of all of an order's results, and let the server know what changed."""
    control_id = f"M{next_number(clinic, 'message'):08}"
    text = message(t, control_id, made, status)
    held = status == "P" and "hold" in clinic.wishes
    clinic.messages.append((t + 2 * DAY if held else t, text, made["filler"], False))
    if held:
        clinic.wishes.remove("hold")
    elif "twice" in clinic.wishes:
        clinic.wishes.remove("twice")
        clinic.messages.append((t + DAY, text, made["filler"], True))
    changed = [each for each in made["analytes"] if (each["status"], each["value"]) != each["said"]]
    for analyte in changed:
        _note_version(clinic, t, made, analyte)
    _write_observations(clinic, t, made, [each for each in changed if each["status"] != "I"])
    _write_report(clinic, t, made, {"P": "partial", "F": "final", "C": "corrected"}[status])
    for analyte in made["analytes"]:
        observation = analyte["observation"]["id"] if analyte["observation"] else None
        row = (made["filler"], analyte["code"], made["person"], analyte["status"], _value(analyte), analyte["unit"])
        note(clinic, "lab_results", (*row, analyte["versions"], analyte["corrections"], observation))
    final = None if made["first_final"] is None else stamp(made["first_final"])
    who = (made["filler"], made["person"], made["patient"]["id"], made["mrn"], made["panel"][0])
    note(clinic, "lab_orders", (*who, stamp(made["collected"]), final, status, made["encounter"]))


def _value(analyte: Row) -> str | None:
    return None if analyte["status"] == "I" else str(analyte["value"])


def _note_version(clinic: Clinic, t: int, made: dict[str, Any], analyte: Row) -> None:
    analyte["said"] = (analyte["status"], analyte["value"])
    analyte["versions"] += 1
    row = (made["filler"], analyte["code"], stamp(t), analyte["status"], _value(analyte), analyte["unit"])
    note(clinic, "lab_versions", row)


def _write_observations(clinic: Clinic, t: int, made: dict[str, Any], analytes: list[Row]) -> None:
    for analyte in analytes:
        observation: Resource = analyte["observation"] or new_resource(clinic, "Observation")
        analyte["observation"] = observation
        status = "corrected" if analyte["corrections"] else _STATUSES[analyte["status"]]
        observation |= {
            "status": status,
            "category": [term("observation-category", "laboratory")],
            "code": loinc(analyte["code"], analyte["name"]),
            "subject": _subject(made),
            "encounter": reference("Encounter", made["encounter"]),
            "effectiveDateTime": local(made["collected"]),
            "issued": local(t),
            **_fhir_value(analyte),
        }
        put(clinic, t, observation, made["person"])
        note_observation(clinic, made["collected"], made["person"], observation)


def _subject(made: dict[str, Any]) -> Resource:
    return subject(made["patient"])


def _fhir_value(analyte: Row) -> Resource:
    if analyte["type"] == "CWE":
        return {"valueCodeableConcept": snomed(analyte["value"], analyte["display"])}
    if analyte["type"] == "ST" or "~" in analyte["value"]:
        return {"valueString": analyte["value"]}
    measured = quantity(analyte["value"].lstrip("<"), analyte["unit"])
    if analyte["value"].startswith("<"):
        measured["comparator"] = "<"
    bounds = {"low": quantity(analyte["low"], analyte["unit"]), "high": quantity(analyte["high"], analyte["unit"])}
    return {"valueQuantity": measured, "referenceRange": [bounds]}


def _write_report(clinic: Clinic, t: int, made: dict[str, Any], status: str) -> None:
    known = [each["observation"] for each in made["analytes"] if each["observation"]]
    results = [reference("Observation", each["id"]) for each in known]
    made["report"] = made["report"] or new_resource(clinic, "DiagnosticReport")
    resource: Resource = made["report"]
    resource |= {
        "status": status,
        "category": [term("v2-0074", "LAB")],
        "code": {"coding": [{"system": LOINC, "code": made["panel"][0]}]},
        "subject": _subject(made),
        "effectiveDateTime": local(made["collected"]),
        "issued": local(t),
        "result": results,
    }
    put(clinic, t, resource, made["person"])
