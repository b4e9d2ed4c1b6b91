"""Canaries in every element of every resource and laboratory's message of persons who allow research.

None is in what researchers read, neither in a cell nor in a byte of the file that they get, in no log, in no reject
that readers see, and in no page of the docs: not names, addresses, identifiers, dates, ages over 89, nor free text,
wherever somebody may have written them.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.demo.healthcare import simulate
from ingestion.destination.target import current_target
from ingestion.duck import connect
from tests.healthcare.demo.clinics import Resource, is_good, truth, versions
from tests.healthcare.marts.care import RELEASE, consent
from tests.warehouses import build_from, opened, settings
from warehouse.people.extract import extract_role

pytestmark = pytest.mark.slow

BIRD = "canary"
# What ties records together, or says which they are: with a bird there, a record would be another's.
_TIES = {"resourceType", "id", "reference", "versionId", "lastUpdated"}
_DAY = "1921-03-04"
_NUMBERS = (Decimal(987654321), Decimal(5551234567), Decimal(1921), Decimal(19210304), Decimal(2934856800))

Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """The places of texts in a document."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in _TIES:
                yield from places(each, (*place, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, (*place, number))
    elif isinstance(value, str):
        yield place


def planted_in(resource: Resource) -> Iterator[Resource]:
    """The record with a bird in the place of each text, one at a time; in that of a time another one."""
    for number, place in enumerate(places(resource)):
        another = copy.deepcopy(resource)
        another["id"] = f"{resource['id'][:24]}{number:012d}"
        at: Any = another
        for step in place[:-1]:
            at = at[step]
        is_time = re.match(r"\d{4}(-\d\d)?(-\d\d)?(T|$)", at[place[-1]])
        at[place[-1]] = (_DAY + at[place[-1]][10:]) if is_time else f"{BIRD} {'.'.join(map(str, place))}"
        yield another


def numbers_of(patient_id: str) -> Iterator[Resource]:
    """Findings whose values are ages over 89, years, or numbers that somebody has."""
    units = [("30525-0", 93, "a"), ("30525-0", 93, "{years}"), ("8867-4", 93, "a"), ("8867-4", 1921, "{score}"),
             ("8867-4", 19210304, "1"), ("8867-4", 987654321, "/min"), ("8867-4", 5551234567, "kg")]  # fmt: skip
    for number, (code, value, unit) in enumerate(units):
        yield {
            "resourceType": "Observation",
            "id": f"number-{number}",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "subject": {"reference": f"Patient/{patient_id}"},
            "effectiveDateTime": "2024-02-03T10:00:00-05:00",
            "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        }


def messages_of(text: str) -> Iterator[str]:
    """A laboratory's message with a bird in each field of each segment, one at a time."""
    segments = text.strip("\r\n").split("\r")
    for number, segment in enumerate(segments):
        fields = segment.split("|")
        for place in range(2 if number == 0 else 1, len(fields)):
            if number == 0 and place in (6, 8, 11):  # the time and the kind of a message, without which it is none
                continue
            others = [*fields[:place], f"{BIRD} {segment[:3]} {place}", *fields[place + 1 :]]
            yield "\r".join([*segments[:number], "|".join(others), *segments[number + 1 :]]) + "\r"


@dataclass(frozen=True)
class Planted:
    """A warehouse full of birds, what its build said, and how many records it was given."""

    folder: Path
    variables: dict[str, str]
    said: list[str]
    records: int


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("canaries")
    simulate(folder / "clinic", 40, scale=0.2)
    known = {key: each[-1] for key, each in versions(folder / "clinic").items() if is_good(each[-1])}
    records = [json.loads(json.dumps(each), parse_float=str) for each in known.values()]
    richest: dict[str, Resource] = {}
    for each in records:
        kind = each["resourceType"]
        if len(json.dumps(each)) > len(json.dumps(richest.get(kind, ""))):
            richest[kind] = each
    someone = richest["Patient"]["id"]
    records += [another for each in richest.values() for another in planted_in(each)] + list(numbers_of(someone))
    records = [each for each in records if each["resourceType"] != "Consent"]
    records += [consent(each["id"]) for each in records if each["resourceType"] == "Patient"]
    delivered = folder / "delivered"
    (delivered / "fhir").mkdir(parents=True)
    (delivered / "lab").mkdir()
    for kind in {each["resourceType"] for each in records}:
        lines = [json.dumps(each) for each in records if each["resourceType"] == kind]
        (delivered / "fhir" / f"{kind}.000.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = sorted((folder / "clinic/systems/lab").iterdir(), key=lambda file: -file.stat().st_size)
    whole = next(text for text in map(_text, files) if text.count("MSH|") == 1 and "OBX|" in text)
    for number, text in enumerate([whole, *messages_of(whole)]):
        (delivered / "lab" / f"message_{number:04d}.hl7").write_text(text, encoding="utf-8", newline="")
    variables = {
        "DOMAINS": "healthcare",
        "SOURCES__FHIR__BUCKET_URL": str(delivered / "fhir"),
        "SOURCES__LAB__BUCKET_URL": str(delivered / "lab"),
        "WAREHOUSE_DIR": str(folder / "warehouse"),
        "TARGET": "dev",
    }
    said = build_from(folder / "warehouse", {**variables, **RELEASE}, tested=False)
    return Planted(folder, variables, said, len(records))


def _text(file: Path) -> str:
    """A message's file with one kind of line ends."""
    content = file.read_bytes()
    text = content.decode("latin-1" if b"8859/1" in content else "utf-8-sig")
    return text.replace("\r\n", "\r").replace("\n", "\r")


def cells(file: Path) -> Iterator[tuple[str, Any]]:
    """Every cell of a DuckDB file, with the table that it is in."""
    with closing(connect()) as connection:
        connection.execute(f"attach '{file}' as looked_at (read_only)")
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'looked_at'"
        ).fetchall()
        for schema, table in tables:
            for row in connection.execute(f'select * from looked_at."{schema}"."{table}"').fetchall():
                yield from ((f"{schema}.{table}", cell) for cell in row)


def test_birds_were_loaded(planted: Planted) -> None:
    """Clinicians see them, in many elements; so they were there to be found."""
    found = {(table, str(cell)) for table, cell in cells(planted.folder / "warehouse/warehouse.duckdb")
             if BIRD in str(cell)}  # fmt: skip
    assert len({cell for table, cell in found if table.startswith("healthcare.")}) > 25, sorted(found)[:50]
    assert planted.records > 500
    with opened(planted.folder / "warehouse") as connection:
        row = connection.execute("select count(*) from healthcare_safe.fct_released_observations").fetchone()
        assert row is not None and row[0] > 100
        (row,) = connection.execute("select count(*) from healthcare_safe.dim_released_patients").fetchall()
        assert row[0] > 20


def test_none_is_in_what_researchers_read(planted: Planted, tmp_path: Path) -> None:
    said: list[str] = []
    with settings(planted.variables):
        file = extract_role(current_target(), "researcher", tmp_path, said.append)
    names = {value for (value,) in truth(planted.folder / "clinic", "select value from truth_identifiers")}
    days = {value for (value,) in truth(planted.folder / "clinic", "select birth_date from truth_persons")}
    tables, shown = set[str](), list[tuple[str, Any]]()
    for table, cell in cells(file):
        tables.add(table)
        is_text = isinstance(cell, str) and (BIRD in cell or cell in names or cell in days or bool(_DAY in cell))
        if is_text or (isinstance(cell, Decimal) and cell in _NUMBERS):
            shown.append((table, cell))
    assert shown == []
    with closing(connect()) as connection:
        connection.execute(f"attach '{file}' as theirs (read_only)")
        ages = connection.execute("""
            select count(*), count(canonical_value_number) from theirs.healthcare_safe.fct_released_observations
            inner join theirs.healthcare_safe.dim_released_codes using (code_key) where code = '30525-0'""").fetchall()
    assert ages == [(2, 0)]
    assert len(tables) > 10 and len(names) > 100
    content = file.read_bytes().lower()
    assert BIRD.encode() not in content and _DAY.encode() not in content
    assert [name for name in names if len(name) > 5 and name.lower().encode() in content] == []
    assert BIRD not in "\n".join(said)


def test_none_is_in_logs_or_rejects(planted: Planted) -> None:
    assert BIRD not in "\n".join(planted.said).lower()
    shared = [
        (table, cell)
        for table, cell in cells(planted.folder / "warehouse/warehouse.duckdb")
        if not table.startswith("healthcare.") and BIRD in str(cell)
    ]
    assert shown_once(shared) == []
    runs = [(table, cell) for table, cell in cells(planted.folder / "warehouse/runs.duckdb") if BIRD in str(cell)]
    assert shown_once(runs) == []
    for file in (planted.folder / "warehouse").rglob("*"):
        if file.is_file() and file.suffix in {".log", ".json", ".jsonl", ".txt"}:
            assert BIRD.encode() not in file.read_bytes(), file


def shown_once(found: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    """Each once, cut short."""
    return sorted({(table, str(cell)[:120]) for table, cell in found})
