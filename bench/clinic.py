"""A clinic: FHIR's resources and laboratory messages loaded, and a day of one percent of its patients.

The clinic is the shared export again and again under new ids, each patient another person, with findings of the shared
bundles: 2,000 patients have some 1.7 million resources.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import duckdb

from bench import builds
from bench.measuring import Measurement, Settings, Took, median_of, say
from bench.server import Server, environment
from bench.views import SHARED
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.environment import variables
from ingestion.load.run import load_all
from warehouse.errors import BuildError

PATIENTS, OBSERVATIONS = 2_000, 300
LOADED_PATIENTS = 200  # of the load that is measured beside the engine's own reading
MESSAGES, LEAST_A_SECOND = 20_000, 2_000
SHARE = 100  # one of so many patients is seen in a day
SEEN = 5  # findings of who is seen
AT_LEAST = 0.5
DAY_AT_MOST = 0.15
BEGAN = datetime(2024, 6, 1, tzinfo=UTC)
FHIR, LAB, RELEASE = "SOURCES__FHIR__BUCKET_URL", "SOURCES__LAB__BUCKET_URL", "SOURCES__RELEASE_KEYS__BEGIN"

_UUID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
# What a larger clinic has no more of.
_SHARED_BY_PATIENTS = ("Practitioner", "PractitionerRole", "Organization", "Location")
_SCOPES = "http://terminology.hl7.org/CodeSystem/consentscope"
_LETTERS = str.maketrans("0123456789", "bcdfghjklm")


class Clinic:
    """Folders of export files: the whole clinic's, and those of some days after. Written into raw by loading them."""

    def __init__(self, folder: Path, patients: int, days: int):
        self.folder, self.days = folder, days
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
            _as_of(path, 0)
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def write(self, target: Target, number: int) -> None:
        """Load a day: 0 is all until then, the first release of it drawn; then those days' own files."""
        begin = {RELEASE: "true"} if number == 0 else {}
        for day in range(1, number + 1):
            self._day(day)
        with variables({FHIR: str(self.folder), **begin}):
            _, failures = load_all(target, lambda line: None)
        if failures:
            raise BuildError("; ".join(failures))

    def _day(self, number: int) -> None:
        """One percent of the patients moved, were seen once, and had some findings; a finding before was amended."""
        if (self.folder / f"Patient.{number}.ndjson").exists():
            return
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
            _as_of(path, number)

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


def measure(settings: Settings, server: Server | None) -> list[Measurement]:
    """What loads of FHIR and of laboratory messages take, and a day of a clinic beside building it in full."""
    if not SHARED.is_dir():
        note = f"{SHARED} isn't there"
        return [Measurement("clinic", "duckdb", "loads and a day of a clinic", None, at_most=DAY_AT_MOST, note=note)]
    found = []
    with environment({"DOMAINS": "healthcare"}):
        if "duckdb" in settings.engines:
            found += [_fhir(settings), _messages(settings)]
        clinic = Clinic(settings.folder / "clinic", settings.size(PATIENTS), builds.DAYS)
        say(f"clinic: {clinic.patients:,} patients, {clinic.make() / 1e6:,.0f} MB")
        for engine in settings.engines:
            if server and engine == "postgres":
                os.environ.update(server.settings(builds.DATABASE))
            for path in clinic.folder.glob("*.[1-9].ndjson"):
                path.unlink()
            warehouse = builds.Warehouse(engine, settings, server, clinic)
            try:
                for each in builds.measure(warehouse, 1, {"day"}):
                    target = {"at_most": DAY_AT_MOST} if each.at_most is not None else {}
                    what = f"{clinic.patients:,} patients: {each.what}"
                    found.append(replace(each, part="clinic", what=what, **target))
            except BuildError as error:
                say(f"  {error}")
                note = f"failed: {str(error)[:200]}"
                found.append(Measurement("clinic", engine, "a day", None, at_most=DAY_AT_MOST, note=note))
            shutil.rmtree(warehouse.folder, ignore_errors=True)
    shutil.rmtree(clinic.folder, ignore_errors=True)
    return found


def _fhir(settings: Settings) -> Measurement:
    """A load with contract, rejects and load ids beside the engine's own reading of the same files into tables."""
    clinic = Clinic(settings.folder / "fhir", settings.size(LOADED_PATIENTS), 0)
    size = clinic.make()
    say(f"clinic: loads of FHIR, {size / 1e6:,.0f} MB")
    own = median_of("the engine's own", settings.runs, lambda: _read(clinic.folder))
    with variables({FHIR: str(clinic.folder)}):
        took = _loaded(settings, "fhir")
    shutil.rmtree(clinic.folder)
    note = f"{size / 1e6 / took.seconds:.1f} MB a second"
    return Measurement(
        "clinic", "duckdb", f"FHIR export, {size // 1_000_000} MB", took.seconds, "read_json, elements as text",
        own.seconds, own.seconds / took.seconds, at_least=AT_LEAST, cpu=took.cpu, note=note,
    )  # fmt: skip


def _read(folder: Path) -> None:
    """Each file into a table of its own, each element as text."""
    contract = read_contract("fhir")
    tables = {str(table.meta.get("resource_type")): table for table in contract.tables}
    with closing(duckdb.connect(str(folder / "own.duckdb"))) as connection:
        for path in sorted(folder.glob("*.ndjson")):
            table = tables.get(path.name.partition(".")[0])
            if table:
                names = [each.at_source for each in table.columns if each.at_source.isalnum()]
                columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
                read = f"read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})"
            else:
                read = (
                    f"read_csv('{path}', columns = {{'line': 'VARCHAR'}}, delim = '\x01', quote = '', header = false)"
                )
            connection.execute(f'create table "{path.stem}" as from {read}')
    (folder / "own.duckdb").unlink()


def _messages(settings: Settings) -> Measurement:
    """Laboratory messages a second, of the shared ones under new control ids and order numbers."""
    folder = settings.folder / "messages"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    first = [path.read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\r").replace(b"\n", b"\r").rstrip(b"\r")
             for path in sorted((SHARED / "hl7v2").glob("*.hl7"))]  # fmt: skip
    many, each_file = settings.size(MESSAGES), 1000
    for start in range(0, many, each_file):
        path = folder / f"{start}.hl7"
        with path.open("wb") as file:
            for number in range(start, min(start + each_file, many)):
                segments = first[number % len(first)].split(b"\r")
                fields = segments[0].split(b"|")
                fields[9] += b"-%d" % number
                segments[0] = b"|".join(fields)
                for at, segment in enumerate(segments):
                    if segment.startswith(b"OBR|"):
                        fields = segment.split(b"|")
                        fields[3] = b"%d^" % number + fields[3]
                        segments[at] = b"|".join(fields)
                file.write(b"\r".join(segments) + b"\r")
        _as_of(path, 0)
    say(f"clinic: {many:,} laboratory messages")
    with variables({LAB: str(folder)}):
        took = _loaded(settings, "lab")
    shutil.rmtree(folder)
    return Measurement(
        "clinic", "duckdb", f"{many:,} laboratory messages", took.seconds, f"{LEAST_A_SECOND:,} messages a second",
        many / LEAST_A_SECOND, many / LEAST_A_SECOND / took.seconds, at_least=1.0, cpu=took.cpu,
        note=f"{many / took.seconds:,.0f} a second",
    )  # fmt: skip


def _loaded(settings: Settings, source: str) -> Took:
    """What a load of a source into a new warehouse takes, on DuckDB; a process pays once for Python's imports."""
    target = Target("dev", "duckdb", settings.folder / "loaded")

    def fresh() -> None:
        shutil.rmtree(target.folder, ignore_errors=True)
        target.folder.mkdir(parents=True)

    def work() -> None:
        _, failures = load_all(target, lambda line: None, only=[source])
        if failures:
            raise BuildError("; ".join(failures))

    took = median_of(f"load of {source}", settings.runs, work, fresh)
    shutil.rmtree(target.folder, ignore_errors=True)
    return took


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


def _as_of(path: Path, day: int) -> None:
    moment = (BEGAN + timedelta(days=day)).timestamp()
    os.utime(path, (moment, moment))
