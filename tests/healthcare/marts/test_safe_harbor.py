"""What is released of 120 real-looking patients: HIPAA's Safe Harbor, counted by hand from their records.

The shared data's README has the figures, as of the export on 2023-04-03.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import date
from typing import Any

import pytest

from tests.healthcare.marts.care import SHARED, UNKNOWN, Warehouse, ask

pytestmark = pytest.mark.slow

_AS_OF = date(2023, 4, 3)
_RELEASED = f"from healthcare_safe.dim_released_patients where patient_key <> '{UNKNOWN}'"


def patients() -> list[dict[str, Any]]:
    """The records as they are in the export."""
    file = SHARED / "fhir_bulk_patients_100" / "Patient.000.ndjson"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def age(patient: dict[str, Any]) -> int:
    """Whole years at death, or at the export."""
    end = date.fromisoformat(patient["deceasedDateTime"][:10]) if "deceasedDateTime" in patient else _AS_OF
    born = date.fromisoformat(patient["birthDate"])
    return end.year - born.year - ((end.month, end.day) < (born.month, born.day))


def area(patient: dict[str, Any]) -> str:
    """The prefix that may be told, by the counted population."""
    with (SHARED / "reference" / "zip3_population_2010.csv").open(encoding="utf-8", newline="") as file:
        population = {row["zip3"]: int(row["population_2010"]) for row in csv.DictReader(file)}
    prefix = str(patient["address"][0].get("postalCode", ""))[:3]
    return prefix if population.get(prefix, 0) > 20_000 else "000"


def test_everybody_who_allows_it_is_there(consenting: Warehouse) -> None:
    assert ask(consenting, f"select count(*), count(distinct patient_key) {_RELEASED}") == [(120, 120)]


def test_ages_over_89_are_one_group_without_a_year(consenting: Warehouse) -> None:
    """Two were ever over 89, though six were born that long ago; of the thirteen of the other export one."""
    assert ask(consenting, f"select count(*), count(birth_year) {_RELEASED} and age_group = '90+'") == [(2, 0)]
    assert sum(age(each) > 89 for each in patients()) == 2
    assert sum(int(each["birthDate"][:4]) < 2023 - 89 for each in patients()) >= 6
    expected = Counter(int(each["birthDate"][:4]) for each in patients() if age(each) <= 89)
    found = ask(consenting, f"select birth_year, count(*) {_RELEASED} and birth_year is not null group by 1")
    assert dict(found) == dict(expected)
    with (SHARED / "fhir_bulk" / "Patient.000.ndjson").open(encoding="utf-8") as file:
        thirteen = {json.loads(line)["id"] for line in file}
    assert sum(age(each) > 89 for each in patients() if each["id"] in thirteen) == 1
    assert len(thirteen) == 13


def test_areas(consenting: Warehouse) -> None:
    found = dict(ask(consenting, f"select zip3, count(*) {_RELEASED} group by 1"))
    assert found["000"] == 6 and sum(found.values()) == 120 and len(found) == 19
    assert found == dict(Counter(map(area, patients())))


def test_years_of_death_are_local(consenting: Warehouse) -> None:
    expected = Counter(int(each["deceasedDateTime"][:4]) for each in patients() if "deceasedDateTime" in each)
    assert sum(expected.values()) == 20
    assert dict(ask(consenting, f"select death_year, count(*) {_RELEASED} and is_deceased group by 1")) == dict(
        expected
    )


def test_no_text_of_a_record_is_there(consenting: Warehouse) -> None:
    """Of what the records say of names, places and numbers, nothing stands in any cell of the schema."""
    told = set[str]()
    for each in patients():
        told |= {part for name in each["name"] for part in [name.get("family", ""), *name.get("given", [])]}
        told |= {number["value"] for number in each["identifier"]} | {each["id"], each["birthDate"]}
        told |= {line for address in each["address"] for line in [*address["line"], address["city"]]}
        told |= {each["address"][0].get("postalCode", "none"), *(way["value"] for way in each["telecom"])}
    told -= {"", "00000"}
    assert len(told) > 1000
    tables = ask(
        consenting,
        "select table_name from duckdb_tables() where schema_name = 'healthcare_safe' and database_name = 'published'",
    )
    cells = {
        str(cell)
        for (table,) in tables
        for row in ask(consenting, f"select * from healthcare_safe.{table}")
        for cell in row
    }
    assert len(tables) >= 6 and len(cells) > 200
    assert cells & told == set()
