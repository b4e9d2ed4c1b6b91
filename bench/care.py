"""Care: FHIR's resources and laboratory messages loaded, and a day of one percent of a clinic's patients."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb

from bench import builds
from bench.clinic import FHIR, Clinic, as_of
from bench.measuring import Measurement, Settings, Took, median_of, say
from bench.server import Server, environment
from bench.views import SHARED
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.environment import variables
from ingestion.load.run import load_all
from warehouse.errors import BuildError

PATIENTS = 2_000
LOADED_PATIENTS = 200  # of the load that is measured beside the engine's own reading
MESSAGES, LEAST_A_SECOND = 20_000, 2_000
AT_LEAST = 0.5
DAY_AT_MOST = 0.15
LAB = "SOURCES__LAB__BUCKET_URL"


def measure(settings: Settings, server: Server | None) -> list[Measurement]:
    """What loads of FHIR and of laboratory messages take, and a day of a clinic beside building it in full."""
    if not SHARED.is_dir():
        note = f"{SHARED} isn't there"
        return [Measurement("clinic", "duckdb", "loads and a day of a clinic", None, at_most=DAY_AT_MOST, note=note)]
    found = []
    with environment({"DOMAINS": "healthcare"}):
        if "duckdb" in settings.engines:
            found += [_fhir(settings), _messages(settings)]
        clinic = Clinic(settings.folder / "clinic", settings.size(PATIENTS))
        say(f"clinic: {clinic.patients:,} patients, {clinic.make() / 1e6:,.0f} MB")
        for engine in settings.engines:
            if server and engine == "postgres":
                os.environ.update(server.settings(builds.DATABASE))
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
    clinic = Clinic(settings.folder / "fhir", settings.size(LOADED_PATIENTS))
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
        as_of(path, 0)
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
