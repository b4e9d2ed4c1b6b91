"""FHIRPath's own rules: how it is parsed, its three values, comparisons, and what is refused and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.contract.reading import read_contract
from ingestion.fhirpath import FhirPathError, scalar
from ingestion.fhirpath.compiling import Scope, compiled
from ingestion.fhirpath.elements import element, is_primitive
from ingestion.fhirpath.emitted import Sql, sql
from ingestion.fhirpath.parsing import parse
from ingestion.fhirpath.values import Place, text
from ingestion.sql import literal
from tests.fhir.resources import SHARED, from_bundles, from_export
from tests.warehouse.made_up_history import MadeUpHistory

RESOURCE: dict[str, Any] = {
    "resourceType": "Basic",
    "id": "b1",
    "text": "it's {{ not }} a macro",
    "numbers": [1, 2.5, 10],
    "one": 1,
    "two": 2,
    "small": 0.1,
    "long": 123456789012345678901234567890,
    "yes": True,
    "no": False,
    "names": [{"use": "old", "given": ["a", "b"]}, {"use": "usual", "given": ["c"]}, {"use": "usual"}],
    "day": "2020-06-01",
    "month": "2020-06",
    "early": "2020-06-01T10:00:00+02:00",
    "late": "2020-06-01T08:00:00.001Z",
    "other": {"reference": "https://example.org/fhir/Patient/p1/_history/3"},
    "urn": {"reference": "urn:uuid:0a3cd8d6-b0ee-08fa-9bb8-c0a0a8b9b7d1"},
    "conditional": {"reference": "Patient?identifier=https://example.org/Patient/p1"},
    "contained": {"reference": "#p1"},
    "empty": [],
    "nothing": None,
}

RECORD = literal(json.dumps(RESOURCE))

# An expression, and its value as text; http://hl7.org/fhirpath/ and http://hl7.org/fhir/uv/sql-on-fhir/.
VALUES = [
    ("1 + 2 * 3", "7"),
    ("(1 + 2) * 3", "9"),
    ("7 - 2 - 1", "4"),
    ("-one + 3 = two", "true"),
    ("two / 4 = 0.5", "true"),
    ("7 div 2", "3"),
    ("7 mod 4 = 3", "true"),
    ("one / 0", None),
    ("one + missing", None),
    ("'a' + 'b'", "ab"),
    ("'a' & missing & 'b'", "ab"),
    ("'a' + missing", None),
    ("small + small + small = 0.3", "true"),
    ("yes and no", "false"),
    ("yes and missing", None),
    ("no and missing", "false"),
    ("yes or missing", "true"),
    ("no or missing", None),
    ("yes xor no", "true"),
    ("yes xor missing", None),
    ("yes implies missing", None),
    ("no implies missing", "true"),
    ("missing implies yes", "true"),
    ("missing implies no", None),
    ("missing.not()", None),
    ("yes or no and no", "true"),
    ("one = 1 and two = 2", "true"),
    ("one < two = true", "true"),
    ("missing = 1", None),
    ("numbers = 1", "false"),
    ("one = 1.0", "true"),
    ("names.given = 'a'", "false"),
    ("names.use != 'a'", "true"),
    ("two > one", "true"),
    ("numbers[2] > numbers[1]", "true"),
    ("'b' > 'a'", "true"),
    ("'B' < 'a'", "true"),
    ("month = @2020-06-01", None),
    ("day > @2020-05", "true"),
    ("day = @2020-06", None),
    ("early = @2020-06-01T08:00:00.000Z", "true"),
    ("late > @2020-06-01T10:00:00+02:00", "true"),
    ("early < @2020-06-01T08:00:01Z", "true"),
    ("@T10:00:00 = @T10:00:00.0", "true"),
    ("numbers.count()", "3"),
    ("empty.count()", "0"),
    ("empty.exists()", "false"),
    ("empty.empty()", "true"),
    ("names.empty().exists()", "true"),
    ("yes and names.empty().not()", "true"),
    ("nothing.exists()", "false"),
    ("names.exists(use = 'usual')", "true"),
    ("names.where(use = 'usual').count()", "2"),
    ("names.where(given.exists()).count()", "2"),
    ("names.where(given.where($this = 'b').exists()).use", "old"),
    ("names.given.first()", "a"),
    ("names.given.last()", "c"),
    ("names.given[1]", "b"),
    ("names.given[9]", None),
    ("names.last().given.first()", None),
    ("names.where(use = 'usual').first().given", "c"),
    ("names.given.join('-')", "a-b-c"),
    ("empty.join('-')", None),
    ("missing.join('-').exists()", "true"),
    ("names.where(use = 'x').combine(names).first().use", "old"),
    ("names.first().combine(names).count()", "4"),
    ("text", "it's {{ not }} a macro"),
    ("text = 'it\\'s {{ not }} a macro'", "true"),
    ("long", "123456789012345678901234567890"),
    ("'\\u0041\\n`'", "A\n`"),
    ("`id`", "b1"),
    ("id // the logical id", "b1"),
    ("other.getReferenceKey()", "p1"),
    ("other.getReferenceKey(Patient)", "p1"),
    ("other.getReferenceKey(Device)", None),
    ("urn.getReferenceKey(Patient)", "0a3cd8d6-b0ee-08fa-9bb8-c0a0a8b9b7d1"),
    ("getResourceKey()", "b1"),
    ("conditional.getReferenceKey(Patient)", None),
    ("conditional.getReferenceKey()", None),
    ("contained.getReferenceKey()", None),
    ("2.50.lowBoundary()", "2.49500000"),
    ("1.highBoundary()", "1.50000000"),
    ("@2020.highBoundary()", "2020-12-31"),
    ("@2020-02.highBoundary()", "2020-02-29"),
    ("@T10:30.highBoundary()", "10:30:59.999"),
    ("@2020-06-01T10:00:00.5+02:00.highBoundary()", "2020-06-01T10:00:00.599+02:00"),
    ("@2020-06-01T10:00:00.lowBoundary()", "2020-06-01T10:00:00.000+14:00"),
]

REFUSED = [
    ("", "character 1"),
    ("a.", "an element or a function is missing"),
    ("a b", "an operator is missing"),
    ("a[1", "']' is missing"),
    ("a.where(b", "',' or ')' is missing"),
    ("'open", "is none of FHIRPath"),
    ("a | b", "operator '|'"),
    ("a.repeat(b)", "repeat() isn't one of the functions"),
    ("a.where()", "where() takes 1 arguments, not 0"),
    ("%missing", "%missing is no constant"),
    ("'a'.b", "has no elements"),
    ("a[b]", "a whole number"),
    ("a.exists() > 1", "is a boolean where a number is expected"),
    ("a.exists() > true", "can't be compared by >"),
    ("a.lowBoundary()", "use ofType()"),
    ("a.first().ofType(b)", "follows the name of an element"),
    ("a.join(b)", "a text that is written out"),
    ("'x' and yes", "no boolean"),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_value_is_what_the_language_says(expression: str, expected: str | None) -> None:
    assert duckdb.sql(f"select {scalar(expression, RECORD)}").fetchall() == [(expected,)]


@pytest.mark.postgres
def test_values_are_the_same_on_the_other_engine(tmp_path: Path, new_postgres_database: Any) -> None:
    project = MadeUpHistory(tmp_path, new_postgres_database())

    def column(expression: str) -> Sql:
        made = text(compiled(expression, Scope(Place(sql("document"), (), "Any"))), expression)
        return "nullif(" + made + ", '')"

    columns = ",\n".join(f"{column(each).template()} as value_{at}" for at, (each, _) in enumerate(VALUES))
    document = RECORD.replace("{{", "{{ '{{' }}")
    rows = project.model(
        f"with resources as (select cast({document} as text) as document) select {columns} from resources"
    )
    assert list(rows[0]) == [expected for _, expected in VALUES]


@pytest.mark.parametrize(("expression", "reason"), REFUSED)
def test_what_is_refused_is_named(expression: str, reason: str) -> None:
    with pytest.raises(FhirPathError) as refusal:
        scalar(expression, "record")
    assert reason in str(refusal.value)


def test_several_values_are_an_error_that_shows_none_of_them() -> None:
    with pytest.raises(duckdb.InvalidInputException, match=r"names\.use has 3 values where one is expected") as error:
        duckdb.sql(f"select {scalar('names.use', RECORD)}").fetchall()
    assert "usual" not in str(error.value)


def test_every_expression_of_the_contract_is_compiled() -> None:
    for table in read_contract("fhir").tables:
        for column in table.columns:
            if column.source_name and table.meta.get("resource_type") not in {None, "*"}:
                parse(column.source_name)
                scalar(column.source_name, "record", str(table.meta["resource_type"]))


def _wrong(resource: Any, kind: str | None, at: str) -> list[str]:
    """Where a resource has a list that is said to be none, or one value where a list is said to be, or no primitive."""
    found = []
    for name, value in resource.items():
        known = element(kind, name)
        if known is None or name.startswith("_"):
            continue
        if isinstance(value, list) != known.is_list:
            found.append(f"{at}.{name}")
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) == is_primitive(known.type):
                found.append(f"{at}.{name}: {known.type}")
            if isinstance(each, dict):
                found += _wrong(each, known.type, f"{at}.{name}")
    return found


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared health data isn't beside the project")
def test_elements_are_what_real_resources_have() -> None:
    kinds = [str(table.meta.get("resource_type")) for table in read_contract("fhir").tables]
    resources = [each for kind in kinds for each in (*from_export(kind), *from_bundles(kind))]
    assert len(resources) > 7000
    assert {found for each in resources for found in _wrong(each, each["resourceType"], each["resourceType"])} == set()
    unknown = {name for each in resources for name in each if not element(each["resourceType"], name)}
    assert unknown <= {"text"}
