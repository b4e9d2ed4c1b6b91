"""Views: the staging that is compiled from FHIR's views, beside a select over the same files that a person would write.

Both read the files anew and make a table of what they find, on DuckDB. The compiled select reads each element as text,
as raw has it; the one by hand says every type to `read_json`, down to the last field.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
from dbt.cli.main import dbtRunner

from bench.measuring import Measurement, Settings, median_of, say
from bench.server import environment
from ingestion.contract.reading import read_contract
from ingestion.project import PROJECT_ROOT
from warehouse.dbt import close_connections

SHARED = PROJECT_ROOT.parent / "shared/data/healthcare"
BYTES = 200_000_000
AT_LEAST = 0.7

_READ = "read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})"
_CODING = 'STRUCT("system" VARCHAR, code VARCHAR, display VARCHAR)'
_CONCEPT = f"STRUCT(coding {_CODING}[])"
_REFERENCE = "STRUCT(reference VARCHAR)"
_PERIOD = 'STRUCT("start" VARCHAR, "end" VARCHAR)'
_QUANTITY = 'STRUCT("value" DECIMAL(28, 8), comparator VARCHAR, unit VARCHAR, "system" VARCHAR, code VARCHAR)'

# By hand: each element's type, and what is selected of them; `C`, `T` and `R` are a concept, a time and a reference.
BY_HAND = {
    "encounters": (
        {
            "id": "VARCHAR", "status": "VARCHAR", "class": _CODING, "type": f"{_CONCEPT}[]", "serviceType": _CONCEPT,
            "reasonCode": f"{_CONCEPT}[]", "subject": _REFERENCE, "period": _PERIOD, "serviceProvider": _REFERENCE,
            "hospitalization":
                f"STRUCT(admitSource {_CONCEPT}, dischargeDisposition {_CONCEPT}, reAdmission {_CONCEPT})",
            "partOf": _REFERENCE,
        },
        'id, status, class.code, class."system", class.display, C:"type"[1], C:serviceType, C:reasonCode[1], '
        'R:subject, T:period."start", T:period."end", C:hospitalization.admitSource, '
        "C:hospitalization.dischargeDisposition, C:hospitalization.reAdmission, R:serviceProvider, R:partOf",
    ),
    "observations": (
        {
            "id": "VARCHAR", "status": "VARCHAR", "code": _CONCEPT, "category": f"{_CONCEPT}[]", "subject": _REFERENCE,
            "encounter": _REFERENCE, "effectiveDateTime": "VARCHAR", "effectiveInstant": "VARCHAR",
            "effectivePeriod": _PERIOD, "issued": "VARCHAR", "valueQuantity": _QUANTITY, "valueTime": "VARCHAR",
            "valueCodeableConcept": _CONCEPT, "valueString": "VARCHAR", "valueBoolean": "BOOLEAN",
            "valueInteger": "BIGINT", "valueRange": f"STRUCT(low {_QUANTITY}, high {_QUANTITY})",
            "valueRatio": f"STRUCT(numerator {_QUANTITY}, denominator {_QUANTITY})", "valueDateTime": "VARCHAR",
            "valuePeriod": _PERIOD, "dataAbsentReason": _CONCEPT, "interpretation": f"{_CONCEPT}[]",
            "referenceRange": f"STRUCT(low {_QUANTITY}, high {_QUANTITY})[]", "device": _REFERENCE,
            "specimen": _REFERENCE,
        },
        "id, status, C:code, C:category[1], R:subject, R:encounter, T:effectiveDateTime, T:effectiveInstant, "
        'T:effectivePeriod."start", T:effectivePeriod."end", T:issued, valueQuantity."value", '
        'valueQuantity.comparator, valueQuantity.unit, valueQuantity."system", valueQuantity.code, '
        'C:valueCodeableConcept, valueString, valueBoolean, valueInteger, valueRange.low."value", '
        'valueRange.high."value", valueRange.low.code, valueRatio.numerator."value", valueRatio.denominator."value", '
        'valueTime, T:valueDateTime, T:valuePeriod."start", T:valuePeriod."end", C:dataAbsentReason, '
        'C:interpretation[1], referenceRange[1].low."value", referenceRange[1].high."value", R:device, '
        "specimen.reference",
    ),
}  # fmt: skip


def measure(settings: Settings) -> list[Measurement]:
    """What staging of encounters and observations takes beside what was written by hand, on DuckDB."""
    if "duckdb" not in settings.engines:
        return []
    if not SHARED.is_dir():
        note = f"{SHARED} isn't there"
        return [Measurement("views", "duckdb", "staging of FHIR", None, at_least=AT_LEAST, note=note)]
    folder = settings.folder / "views"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    compiled = _compiled(folder)
    found = []
    for name, resources in (("encounters", _export()), ("observations", _bundles())):
        file = _grown(folder / f"{name}.ndjson", list(resources), settings.size(BYTES))
        size = file.stat().st_size
        say(f"views: {name}, {size:,} bytes")
        before, _, after = compiled[name].partition("with source as (\n")
        staged = f"{before}with source as (\n{_elements(name, file)}\n),{after.partition(chr(10) + '),')[2]}"
        by_hand = median_of("by hand", settings.runs, _made(by_hand_select(name, file)))
        took = median_of("compiled", settings.runs, _made(staged))
        found.append(Measurement(
            "views", "duckdb", f"{name}, {size // 1_000_000} MB", took.seconds, "read_json with every type, by hand",
            by_hand.seconds, by_hand.seconds / took.seconds, at_least=AT_LEAST, cpu=took.cpu,
        ))  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _made(select: str) -> Callable[[], None]:
    """Work: a table in memory of a select's rows."""

    def work() -> None:
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(f"create table made as {select}")

    return work


def _compiled(folder: Path) -> dict[str, str]:
    """The staging models' SQL as dbt sends it."""
    models = [f"stg_fhir__{name}" for name in BY_HAND]
    with environment({"WAREHOUSE_DIR": str(folder), "TARGET": "dev", "DOMAINS": "healthcare"}):
        result = dbtRunner().invoke([
            "--quiet", "compile", "--select", *models, "--project-dir", str(PROJECT_ROOT), "--profiles-dir",
            str(PROJECT_ROOT), "--target-path", str(folder / "target"), "--target", "dev",
        ])  # fmt: skip
        close_connections()
    if not result.success:
        raise RuntimeError(f"dbt can't compile {', '.join(models)}: {result.exception}")
    files = {
        file.stem.removeprefix("stg_fhir__"): file for file in (folder / "target/compiled").rglob("stg_fhir__*.sql")
    }
    return {name: files[name].read_text(encoding="utf-8") for name in BY_HAND}


def _elements(name: str, file: Path) -> str:
    """A select of a raw table's columns from a file: each element as text."""
    columns = read_contract("fhir").table(name).columns
    types = {"text": "VARCHAR", "boolean": "BOOLEAN", "bigint": "BIGINT"}
    elements = {each.at_source: types.get(each.data_type, "VARCHAR") for each in columns}
    read = ", ".join(f"'{element}': '{kind}'" for element, kind in elements.items() if element.isalnum())
    expressions = {
        "patient_id": "subject ->> '$.reference'", "last_updated": "cast(null as timestamp)",
        "version_id": "cast(null as text)",
    }  # fmt: skip
    named = {each.name: expressions.get(each.name, f'"{each.at_source}"') for each in columns}
    selected = [f"{of} as {name}" for name, of in named.items()]
    log = "'U' as _operation, timestamp '2024-01-01' as _effective_at, 1 as _revision, timestamp '2024-01-01' as " \
        "_observed_at, 'load' as _load_id"  # fmt: skip
    return f"select {', '.join(selected)}, {log} from {_READ.format(file=file, columns=read)}"


def by_hand_select(name: str, file: Path) -> str:
    """The select by hand over a file."""
    types, listed = BY_HAND[name]
    selected = [made for at, each in enumerate(listed.split(", ")) for made in _selected(each, f"column_{at}")]
    read = ", ".join(f"'{element}': '{kind}'" for element, kind in types.items())
    return f"select {', '.join(selected)} from {_READ.format(file=file, columns=read)}"


def _selected(each: str, alias: str) -> Iterator[str]:
    kind, is_marked, of = each.partition(":")
    if not is_marked:
        yield f"{each} as {alias}"
    elif kind == "C":
        yield from (f'{of}.coding[1]."{field}" as {alias}_{field}' for field in ("code", "system", "display"))
    elif kind == "R":
        yield f"{of}.reference as {alias}_reference"
        yield f"regexp_extract({of}.reference, '[^/:]+$') as {alias}_id"
    else:
        yield f"{of} as {alias}_text"
        yield f"timezone('UTC', cast({of} as timestamptz)) as {alias}_at"
        yield f"cast({of}[:10] as date) as {alias}_date"
        yield f"case length({of}) when 4 then 'year' when 7 then 'month' when 10 then 'day' else case when " \
            f"contains({of}, '.') then 'millisecond' else 'second' end end as {alias}_precision"  # fmt: skip


def _export() -> Iterator[dict[str, Any]]:
    for file in sorted((SHARED / "fhir_bulk").glob("Encounter.*.ndjson")):
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())


def _bundles() -> Iterator[dict[str, Any]]:
    for file in sorted((SHARED / "fhir_bundles_us").glob("*.json")):
        entries = json.loads(file.read_text(encoding="utf-8"))["entry"]
        yield from (each["resource"] for each in entries if each["resource"]["resourceType"] == "Observation")


def _grown(file: Path, resources: list[dict[str, Any]], size: int) -> Path:
    """The resources again and again under new ids, one a line."""
    lines = [(each["id"], json.dumps(each, separators=(",", ":"))) for each in resources]
    round_ = 0
    with file.open("w", encoding="utf-8") as out:
        while out.tell() < size:
            out.writelines(f"{line.replace(key, f'{key}-{round_}')}\n" for key, line in lines)
            round_ += 1
    return file
