"""A clinic to measure: files of FHIR's resources, all at once and day by day.

It is the shared export again and again under new ids, each patient another person, with findings of the shared
bundles: 2,000 patients have some 1.7 million resources.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench.views import SHARED
from ingestion.destination.target import Target
from ingestion.environment import variables
from ingestion.load.run import load_all
from warehouse.errors import BuildError

OBSERVATIONS = 300
SHARE = 100  # one of so many patients is seen in a day
SEEN = 5  # findings of who is seen
BEGAN = datetime(2024, 6, 1, tzinfo=UTC)
FHIR, RELEASE = "SOURCES__FHIR__BUCKET_URL", "SOURCES__RELEASE_KEYS__BEGIN"

_UUID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
# What a larger clinic has no more of.
_SHARED_BY_PATIENTS = ("Practitioner", "PractitionerRole", "Organization", "Location")
_SCOPES = "http://terminology.hl7.org/CodeSystem/consentscope"
_LETTERS = str.maketrans("0123456789", "bcdfghjklm")


class Clinic:
    """Folders of export files: the whole clinic's, and those of some days after. Written into raw by loading them."""

    def __init__(self, folder: Path, patients: int):
        self.folder = folder
        self.export = _lines_by_type()
        self.of_export = len(self.export["Patient"])
        self.rounds = -(-patients // self.of_export)
        self.ids: set[str] = set()

    @property
    def patients(self) -> int:
        """How many there are: a whole number of times the export's."""
        return self.rounds * self.of_export

    def make(self) -> int:
        """Write the clinic as it begins. Returns its size in bytes."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        written = {**self.export, "Observation": list(self._observations(OBSERVATIONS)), "Consent": self._consents()}
        again = {kind: lines for kind, lines in written.items() if kind not in _SHARED_BY_PATIENTS}
        self.ids = {str(json.loads(line)["id"]) for lines in again.values() for line in lines}
        for kind, lines in written.items():
            path = self.folder / f"{kind}.0.ndjson"
            parts = [_at_ids(line, self.ids) for line in lines]
            with path.open("w", encoding="utf-8") as file:
                for number in range(self.rounds if kind in again else 1):
                    mark = f"-{number}"
                    if kind == "Patient":
                        file.writelines(_another(line, number) for line in lines)
                    else:
                        file.writelines(mark.join(each) for each in parts)
            as_of(path, 0)
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def write(self, target: Target, number: int) -> None:
        """Write and load a day; 0 is all that was before them, the keys of a first release drawn."""
        begin = {RELEASE: "true"} if number == 0 else {}
        if number:
            self._day(number)
        else:
            for path in self.folder.glob("*.[1-9].ndjson"):
                path.unlink()
        with variables({FHIR: str(self.folder), **begin}):
            _, failures = load_all(target, lambda line: None)
        if failures:
            raise BuildError("; ".join(failures))

    def _day(self, number: int) -> None:
        """One percent of the patients moved, were seen once, and had some findings; a finding before was amended."""
        seen = range(number, self.patients, SHARE)
        found: dict[str, list[str]] = {"Patient": [], "Encounter": [], "Observation": []}
        encounters = _by_patient(self.export["Encounter"])
        findings = _by_patient(list(self._observations(SEEN)))
        for place in seen:
            round_, of_export = divmod(place, self.of_export)
            line = self.export["Patient"][of_export]
            patient = json.loads(_another(line, round_))
            patient["address"][0]["city"] = f"Town {number}"
            found["Patient"].append(json.dumps(patient) + "\n")
            base = str(json.loads(line)["id"])
            for kind, lines in (("Encounter", encounters[base][:1]), ("Observation", findings[base])):
                for at, each in enumerate(lines):
                    resource = json.loads(f"-{round_}".join(_at_ids(each, self.ids)))
                    moment = f"{(BEGAN + timedelta(days=number)).date()}T09:00:00Z"
                    if kind == "Encounter":
                        resource["id"], resource["period"] = (
                            f"{resource['id']}-{number}",
                            {"start": moment, "end": moment},
                        )
                    elif at:
                        resource["id"], resource["effectiveDateTime"] = f"{resource['id']}-{number}", moment
                    else:
                        resource["status"] = "amended"
                    found[kind].append(json.dumps(resource) + "\n")
        for kind, lines in found.items():
            path = self.folder / f"{kind}.{number}.ndjson"
            path.write_text("".join(lines), encoding="utf-8")
            as_of(path, number)

    def _observations(self, many: int) -> Iterator[str]:
        """So many of the bundles' findings for each patient of the export, at one of the patient's encounters."""
        found = [json.dumps(each) for each in _bundled("Observation")]
        for patient, encounters in _by_patient(self.export["Encounter"]).items():
            for number, line in enumerate(islice(cycle(found), many)):
                each = json.loads(line)
                each["id"] = str(uuid.uuid5(uuid.UUID(patient), str(number)))
                each["subject"] = {"reference": f"Patient/{patient}"}
                each["encounter"] = {"reference": f"Encounter/{json.loads(encounters[number % len(encounters)])['id']}"}
                yield json.dumps(each, separators=(",", ":")) + "\n"

    def _consents(self) -> list[str]:
        """One of each patient, of whom two of three permit research."""
        found = []
        for number, line in enumerate(self.export["Patient"]):
            patient = str(json.loads(line)["id"])
            found.append(json.dumps({
                "resourceType": "Consent", "id": str(uuid.uuid5(uuid.UUID(patient), "consent")), "status": "active",
                "scope": {"coding": [{"system": _SCOPES, "code": "research"}]},
                "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
                "patient": {"reference": f"Patient/{patient}"}, "dateTime": "2020-01-01",
                "provision": {"type": "permit" if number % 3 else "deny"},
            }) + "\n")  # fmt: skip
        return found


def _lines_by_type() -> dict[str, list[str]]:
    """The shared export's resources, a line each, by type; what a server says of its export left out."""
    return {
        path.name.partition(".")[0]: path.read_text(encoding="utf-8").splitlines(keepends=True)
        for path in sorted((SHARED / "fhir_bulk").glob("[A-Z]*.ndjson"))
    }


def _bundled(kind: str) -> Iterator[dict[str, Any]]:
    for file in sorted((SHARED / "fhir_bundles_us").glob("*.json")):
        entries = json.loads(file.read_text(encoding="utf-8"))["entry"]
        yield from (each["resource"] for each in entries if each["resource"]["resourceType"] == kind)


def _by_patient(lines: list[str]) -> dict[str, list[str]]:
    """Lines by the id of their subject."""
    found: dict[str, list[str]] = {}
    for line in lines:
        found.setdefault(str(json.loads(line)["subject"]["reference"]).rpartition("/")[2], []).append(line)
    return found


def _at_ids(line: str, ids: set[str]) -> list[str]:
    """A line cut behind each of these ids."""
    found, rest = [], ""
    for piece in _UUID.split(line):
        rest += piece
        if piece in ids:
            found.append(rest)
            rest = ""
    return [*found, rest]


def _another(line: str, number: int) -> str:
    """Another person of a patient: other names and numbers, born some days earlier, at another place."""
    patient = json.loads(line)
    patient["id"] = f"{patient['id']}-{number}"
    mark = str(number).translate(_LETTERS)
    for identifier in patient.get("identifier", []):
        identifier["value"] = f"{identifier['value']}-{number}"
    for name in patient.get("name", []):
        name["family"] = f"{mark}{name['family']}"
        name["given"] = [f"{mark}{given}" for given in name.get("given", [])]
    for telecom in patient.get("telecom", []):
        telecom["value"] = f"{number}-{telecom['value']}"
    patient["birthDate"] = str(date.fromisoformat(patient["birthDate"]) - timedelta(days=number))
    return json.dumps(patient, separators=(",", ":")) + "\n"


def as_of(path: Path, day: int) -> None:
    """Have a file be of a day after the clinic began."""
    moment = (BEGAN + timedelta(days=day)).timestamp()
    os.utime(path, (moment, moment))
