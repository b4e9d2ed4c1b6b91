"""Canaries in every element of every resource and laboratory's message of persons who allow research.

None is in what researchers read, neither in a cell nor in a byte of the file that they get, in no log, and in no reject
that readers see: not names, addresses, identifiers, dates, ages over 89, numbers that somebody has, nor free text,
wherever somebody may have written them.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
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
from tests.warehouses import as_environment, build_from, opened, settings
from warehouse.people.extract import extract_role

pytestmark = pytest.mark.slow

BIRD = "canary"
# What ties records together, or says which they are: with a bird there, a record would be another's.
_TIES = {"resourceType", "id", "reference", "versionId", "lastUpdated"}
_DAY = "1921-03-04"
_NIGHTS = 32_850  # that are 90 years, of which no age over 89 is told
_NUMBER = 987654321
_NUMBERS = {Decimal(each) for each in (_NUMBER, 5551234567, 1921, 19210304, 2934856800)}

Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """The places of texts and numbers in a document, and what is there."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in _TIES:
                yield from places(each, (*place, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, (*place, number))
    elif type(value) in (str, int, float):
        yield place, value


def birds(resource: Resource) -> Iterator[tuple[Place, str | int]]:
    """What is planted where: a bird in the place of each text, or another time; of each number, and another number."""
    for place, value in places(resource):
        if isinstance(value, str) and re.match(r"\d{4}(-\d\d)?(-\d\d)?(T|$)", value):
            yield place, _DAY + value[10:]
            continue
        yield place, f"{BIRD} {'.'.join(map(str, place))}"
        if not isinstance(value, str):
            yield place, _NUMBER


def planted_in(resource: Resource) -> Iterator[Resource]:
    """The record with each of its birds, one at a time."""
    for number, (place, bird) in enumerate(birds(resource)):
        another = copy.deepcopy(resource)
        another["id"] = f"{resource['id'][:24]}{number:012d}"
        at: Any = another
        for step in place[:-1]:
            at = at[step]
        at[place[-1]] = bird
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


def immunization(patient_id: str) -> Resource:
    """A vaccine of a series, which the clinic gives none of."""
    return {
        "resourceType": "Immunization",
        "id": "immunization-00000000000",
        "status": "completed",
        "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "08", "display": "Hep B"}]},
        "patient": {"reference": f"Patient/{patient_id}"},
        "occurrenceDateTime": "2024-02-03T10:00:00-05:00",
        "protocolApplied": [{"doseNumberPositiveInt": 2, "seriesDosesPositiveInt": 3}],
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
def delivered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A folder with the clinic, and with what is delivered with birds, and how many records of FHIR these are."""
    folder = tmp_path_factory.mktemp("canaries")
    simulate(folder / "clinic", 40, scale=0.2)
    known = {key: each[-1] for key, each in versions(folder / "clinic").items() if is_good(each[-1])}
    records = list(known.values())
    richest: dict[str, Resource] = {}
    for each in records:
        kind = each["resourceType"]
        if len(json.dumps(each)) > len(json.dumps(richest.get(kind, ""))):
            richest[kind] = each
    someone = richest["Patient"]["id"]
    richest["Immunization"] = immunization(someone)
    records += [another for each in richest.values() for another in planted_in(each)] + list(numbers_of(someone))
    records = [each for each in records if each["resourceType"] != "Consent"]
    records += [consent(each["id"]) for each in records if each["resourceType"] == "Patient"]
    (folder / "delivered/fhir").mkdir(parents=True)
    (folder / "delivered/lab").mkdir()
    for kind in {each["resourceType"] for each in records}:
        lines = [json.dumps(each) for each in records if each["resourceType"] == kind]
        (folder / "delivered/fhir" / f"{kind}.000.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = sorted((folder / "clinic/systems/lab").iterdir(), key=lambda file: -file.stat().st_size)
    whole = next(text for text in map(_text, files) if text.count("MSH|") == 1 and "OBX|" in text)
    for number, text in enumerate([whole, *messages_of(whole)]):
        (folder / "delivered/lab" / f"message_{number:04d}.hl7").write_text(text, encoding="utf-8", newline="")
    return folder, len(records)


def build_planted(delivered: tuple[Path, int], name: str, server: Mapping[str, str]) -> Planted:
    """Build a warehouse of what is delivered, in a folder of that name, on DuckDB or on the Postgres of `server`."""
    folder, records = delivered
    variables = {
        "DOMAINS": "healthcare",
        "SOURCES__FHIR__BUCKET_URL": str(folder / "delivered/fhir"),
        "SOURCES__LAB__BUCKET_URL": str(folder / "delivered/lab"),
        "WAREHOUSE_DIR": str(folder / name),
        "TARGET": "dev",
        **server,
    }
    said = build_from(folder / name, {**variables, **RELEASE}, tested=False)
    return Planted(folder, variables, said, records)


@pytest.fixture(scope="module")
def planted(delivered: tuple[Path, int]) -> Planted:
    return build_planted(delivered, "warehouse", {})


@pytest.fixture(scope="module")
def planted_on_postgres(delivered: tuple[Path, int], new_postgres_database: Callable[[], dict[str, str]]) -> Planted:
    return build_planted(delivered, "on_postgres", {**as_environment(new_postgres_database()), "TARGET": "prod"})


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
        (stay,) = connection.execute("""
            select (select max(ended_date - started_date) from healthcare.fct_encounters where is_finished),
                (select max(night_count) from healthcare.fct_inpatient_stays),
                (select max(dose_number) from healthcare.fct_immunizations)""").fetchall()
        assert stay[0] >= _NIGHTS and stay[1] >= _NIGHTS and stay[2] == _NUMBER, stay


@pytest.mark.parametrize("warehouse", ["planted", "planted_on_postgres"])
def test_none_is_in_what_researchers_read(warehouse: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Neither in the tables of the role, which the file copies from either engine, nor in the file."""
    planted: Planted = request.getfixturevalue(warehouse)
    said: list[str] = []
    with settings(planted.variables):
        file = extract_role(current_target(), "researcher", tmp_path, said.append)
    names = {value for (value,) in truth(planted.folder / "clinic", "select value from truth_identifiers")}
    days = {value for (value,) in truth(planted.folder / "clinic", "select birth_date from truth_persons")}
    tables, shown = set[str](), list[tuple[str, Any]]()
    for table, cell in cells(file):
        tables.add(table)
        is_text = isinstance(cell, str) and (BIRD in cell or cell in names or cell in days or bool(_DAY in cell))
        is_number = (
            type(cell) in (int, Decimal) and cell in _NUMBERS and table != "core.dim_dates"
        )  # the calendar's years
        if is_text or is_number:
            shown.append((table, cell))
    assert shown == []
    with closing(connect()) as connection:
        connection.execute(f"attach '{file}' as theirs (read_only)")
        ages = connection.execute("""
            select count(*), count(canonical_value_number) from theirs.healthcare_safe.fct_released_observations
            inner join theirs.healthcare_safe.dim_released_codes using (code_key) where code = '30525-0'""").fetchall()
        nights = connection.execute("""
            select max(night_count) from theirs.healthcare_safe.fct_released_encounters
            union all select max(night_count) from theirs.healthcare_safe.fct_released_stays""").fetchall()
    assert ages == [(2, 0)]
    assert [0 < most < _NIGHTS for (most,) in nights] == [True, True], nights
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
