"""The cases that SQL on FHIR 2.0 gives an implementation to pass, each a model of dbt, on both engines."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from ingestion.fhirpath.definitions import View, read_view
from ingestion.fhirpath.emitted import call, sql
from ingestion.fhirpath.nodes import FhirPathError
from ingestion.fhirpath.values import Place
from ingestion.fhirpath.views import Stage, compile_view
from ingestion.project import PROJECT_ROOT
from ingestion.sql import literal
from tests.warehouse.made_up_history import MadeUpHistory

CASES = PROJECT_ROOT.parent / "shared/data/healthcare/sql_on_fhir"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases of SQL on FHIR are not beside the project")


def model(view: View, table: str) -> str:
    """A model of a view over a table that has a resource a row, as JSON."""
    of_type = call("json_place_text", sql("document"), ("resourceType",))
    resources = "select * from " + call("ref", table) + "\n    where " + of_type + f" = '{view.resource}'"
    made = compile_view(view, Place(sql("document"), (), view.resource), "source")
    stages = [Stage("source", resources), *made.stages]
    recursive = " recursive" if any(stage.is_recursive for stage in stages) else ""
    ctes = ",\n\n".join(
        f"{stage.name} as {'materialized ' if stage.is_materialized else ''}(\n    {stage.sql.template()}\n)"
        for stage in stages
    )
    selects = "\nunion all\n".join(
        "select\n    "
        + ",\n    ".join(f"{output.sql.template()} as {output.column.name}" for output in branch.outputs)
        + f"\nfrom {branch.relation}"
        for branch in made.branches
    )
    return f"with{recursive} {ctes}\n\n{selects}\n"


def comparable(row: dict[str, Any], collections: set[str]) -> str:
    """A row in one way of writing: numbers by their value, collections as lists."""

    def value(name: str, found: Any) -> Any:
        if name in collections and isinstance(found, str):
            return json.loads(found)
        is_number = isinstance(found, int | float | Decimal) and not isinstance(found, bool)
        return str(Decimal(str(found)).normalize()) if is_number else found

    return json.dumps({name: value(name, found) for name, found in row.items()}, sort_keys=True)


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_every_case_passes(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    postgres = None if engine == "duckdb" else request.getfixturevalue("new_postgres_database")()
    project = MadeUpHistory(tmp_path, postgres)
    (tmp_path / "models").mkdir()
    cases: dict[str, tuple[View, dict[str, Any]]] = {}
    refused = []
    for file in sorted(CASES.glob("*.json")):
        suite, table = json.loads(file.read_text(encoding="utf-8")), f"resources_{file.stem}"
        resources = ", ".join(f"({literal(json.dumps(resource))})" for resource in suite["resources"])
        (tmp_path / "models" / f"{table}.sql").write_text(
            f"select cast(document as text) as document from (values {resources}) as resources (document)\n",
            encoding="utf-8",
        )
        for number, case in enumerate(suite["tests"]):
            name = f"case_{file.stem}_{number}"
            try:
                view = read_view(case["view"])
                text = model(view, table)
            except FhirPathError as error:
                if not case.get("expectError"):
                    pytest.fail(f"{file.stem}, {case['title']}: {error}")
                refused.append(name)
                continue
            (tmp_path / "models" / f"{name}.sql").write_text(text, encoding="utf-8")
            cases[name] = (view, case)
    project.model("select 1 as one")

    for name, (view, case) in cases.items():
        collections = {column.name for column in view.select.all_columns() if column.collection}
        names = [column.name for column in view.select.all_columns()]
        if case.get("expectError"):
            with pytest.raises((duckdb.Error, psycopg2.Error), match="values where one is expected"):
                project.run(f"select * from main.{name}")
            refused.append(name)
            continue
        rows = [dict(zip(names, row, strict=True)) for row in project.run(f"select * from main.{name}")]
        expected = sorted(comparable(row, set()) for row in case["expect"])
        assert sorted(comparable(row, collections) for row in rows) == expected, f"{name}, {case['title']}"
        assert names == case.get("expectColumns", names), f"{name}, {case['title']}"
    assert (len(cases) + len(refused) - 1, len(refused)) == (134, 11)
