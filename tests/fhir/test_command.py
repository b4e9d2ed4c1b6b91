"""`make fhir-view`: what it writes of somebody's view, and what it says of one that is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fhir.resources import FHIR, Staged
from tests.project.files import entries
from warehouse.errors import BuildError
from warehouse.project.fhir_views.command import fhir_view, snake_case

VIEW: dict[str, Any] = {
    "resourceType": "ViewDefinition",
    "name": "BloodPressures",
    "resource": "Observation",
    "description": "One row for each component of a version of a blood pressure.",
    "constant": [{"name": "pressure", "valueCode": "85354-9"}],
    "where": [{"path": "code.coding.where(code = %pressure).exists()"}],
    "select": [
        {
            "column": [
                {"name": "observation_id", "path": "getResourceKey()", "type": "id"},
                {"name": "effective", "path": "effective.ofType(dateTime)", "type": "dateTime"},
                {"name": "is_final", "path": "status = 'final'", "type": "boolean"},
            ]
        },
        {
            "forEach": "component",
            "column": [
                {"name": "component_index", "path": "%rowIndex", "type": "integer"},
                {"name": "pressure", "path": "value.ofType(Quantity).value", "type": "decimal"},
            ],
        },
    ],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that has the FHIR source and no more."""
    root = tmp_path / "project"
    shutil.copytree(FHIR, root / "models/staging/fhir")
    shutil.copy(FHIR.parents[2] / "dbt_project.yml", root)
    return root


def written(root: Path, view: Any, **options: str) -> list[str]:
    """What the command says of a view."""
    file, said = root / "view.json", list[str]()
    file.write_text(view if isinstance(view, str) else json.dumps(view), encoding="utf-8")
    fhir_view(root, file, options.get("name", ""), options.get("source", "fhir"), said.append)
    return said


def test_model_and_yaml_are_written_and_written_again(root: Path) -> None:
    said = written(root, VIEW)
    folder = root / "models/staging/fhir"
    assert said[:3] == [
        "wrote models/staging/fhir/views/blood_pressures.json",
        "wrote models/staging/fhir/stg_fhir__blood_pressures.sql",
        "wrote models/staging/fhir/_fhir__models.yml",
    ]
    before = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}
    assert written(root, VIEW) == said
    assert {path: path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()} == before

    described = {str(each["name"]): each for each in entries(folder / "_fhir__models.yml", "models")}
    columns = [each["name"] for each in described["stg_fhir__blood_pressures"]["columns"]]
    assert columns[:8] == [
        "observation_id", "effective_text", "effective_at", "effective_date", "effective_precision", "is_final",
        "component_index", "pressure_text",
    ]  # fmt: skip
    assert (
        described["stg_fhir__consents"]
        == {str(each["name"]): each for each in entries(FHIR / "_fhir__models.yml", "models")}["stg_fhir__consents"]
    )


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_model_of_a_view_is_built(request: pytest.FixtureRequest, root: Path, tmp_path: Path, engine: str) -> None:
    postgres = None if engine == "duckdb" else request.getfixturevalue("new_postgres_database")()
    written(root, VIEW)
    (tmp_path / "built").mkdir()
    staged = Staged(tmp_path / "built", postgres)
    staged.fill("observations", [
        {
            "id": "o1", "status": " FINAL", "code": {"coding": [{"code": "85354-9"}]},
            "effectiveDateTime": "2020-06-01",
            "component": [{"valueQuantity": {"value": 120.5}}, {"valueString": "not measured"}],
        },
        {"id": "o2", "code": {"coding": [{"code": "8480-6"}]}, "component": [{"valueQuantity": {"value": 1}}]},
    ])  # fmt: skip
    model = root / "models/staging/fhir/stg_fhir__blood_pressures.sql"
    staged.stage(stg_fhir__blood_pressures=model.read_text(encoding="utf-8"))
    rows = staged.rows(
        "select observation_id, effective_precision, is_final, component_index, pressure_text, pressure "
        "from main.stg_fhir__blood_pressures order by component_index"
    )
    assert [(*row[:5], row[5] and float(row[5])) for row in rows] == [
        ("o1", "day", True, 0, "120.5", 120.5), ("o1", "day", True, 1, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_time_that_raw_has_as_one_is_compared_as_any(
    request: pytest.FixtureRequest, root: Path, tmp_path: Path, engine: str
) -> None:
    postgres = None if engine == "duckdb" else request.getfixturevalue("new_postgres_database")()
    # Of a day it isn't known which of its hours is meant: an instant within it is neither equal to it nor not.
    paths = {
        "is_after_the_first": "meta.lastUpdated > @2020-06-01T10:00:00.000001+02:00",
        "is_the_first": "meta.lastUpdated = @2020-06-01T08:00:00.000001Z",
        "is_of_another_day": "meta.lastUpdated != @2020-06-01",
        "is_itself": "meta.lastUpdated = meta.lastUpdated",
    }
    flags = [{"name": name, "path": path, "type": "boolean"} for name, path in paths.items()]
    texts = [{"name": "low", "path": "meta.lastUpdated.lowBoundary()", "type": "string"},
             {"name": "shown", "path": "'at ' & meta.lastUpdated", "type": "string"}]  # fmt: skip
    updated = {"name": "updated", "path": "meta.lastUpdated", "type": "instant"}
    key = {"name": "observation_id", "path": "getResourceKey()", "type": "id"}
    where = [{"path": "meta.lastUpdated > @2020-05 or meta.lastUpdated.empty()"}]
    written(root, VIEW | {"where": where, "select": [{"column": [key, *flags, *texts, updated]}]})
    (tmp_path / "built").mkdir()
    staged = Staged(tmp_path / "built", postgres)
    moments = ["2020-06-01 08:00:00.000001", "2020-06-02 08:00:00", "2020-04-30 23:59:59", None]
    staged.fill("observations", [{"id": f"o{at}", "meta.lastUpdated": each} for at, each in enumerate(moments)])
    model = root / "models/staging/fhir/stg_fhir__blood_pressures.sql"
    staged.stage(stg_fhir__blood_pressures=model.read_text(encoding="utf-8"))
    rows = staged.rows(
        f"select observation_id, {', '.join(paths)}, low, shown, cast(updated_at as text) "
        "from main.stg_fhir__blood_pressures order by 1"
    )
    assert rows == [
        ("o0", False, True, None, True, "2020-06-01T08:00:00.000Z", "at 2020-06-01T08:00:00.000001Z", moments[0]),
        ("o1", True, False, True, True, "2020-06-02T08:00:00.000Z", "at 2020-06-02T08:00:00Z", moments[1]),
        ("o3", None, None, None, None, None, "at ", None),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"resource": "Claim"}, "resource: fhir has no table of Claim; it has those of AllergyIntolerance"),
        ({"select": [{"column": [{"name": "a", "path": "text"}]}]}, "select[0].column[0]: 'text' is no element"),
        ({"select": [{"column": [{"name": "a b", "path": "id"}]}]}, "select[0].column[0].name: 'a b' is no name"),
        ({"select": [{"column": [{"name": "a", "path": "status"}]}]}, "no column of the resource's id"),
        ({"select": [VIEW["select"][0], {"forEach": "component", "column": [{"name": "a", "path": "code.text"}]}]},
         "walks 1 lists and has 0 columns with the path %rowIndex"),
        ({"where": [{"path": "encounter.display = 'x'"}]}, "'display' isn't loaded of this element: reference, type"),
        ({"resource": "Encounter", "where": [{"path": "participant.individual.display.exists()"}]},
         "'display' isn't loaded of this element: reference, type"),
        ({"where": [{"path": "status"}]}, "where[0].path: status is a text and no boolean"),
        ({"where": [{"path": "status ="}]}, "where[0].path: character 9 of the FHIRPath expression 'status ='"),
        ({"name": "Patients 2024!", "select": []}, "select: a view has at least one selection"),
        ({"name": "resources"}, "stg_fhir__resources.sql is there and isn't made from a view"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_written(root: Path, change: dict[str, Any], reason: str) -> None:
    before = sorted(root.rglob("*"))
    with pytest.raises(BuildError) as refusal:
        written(root, VIEW | change)
    assert reason in str(refusal.value)
    assert str(refusal.value).endswith("nothing was written")
    assert [path for path in sorted(root.rglob("*")) if path.name != "view.json"] == before


def test_what_is_no_json_or_no_source_is_said(root: Path) -> None:
    with pytest.raises(BuildError, match=r"view\.json is no JSON: .*line 1"):
        written(root, "{")
    with pytest.raises(BuildError, match=r"view\.json: .*nothing was written"):
        written(root, VIEW, source="elsewhere")


@pytest.mark.parametrize(
    ("name", "called"), [("BloodPressures", "blood_pressures"), ("us-core blood", "us_core_blood"), ("a", "a")]
)
def test_name_of_a_view_is_made_a_models(name: str, called: str) -> None:
    assert snake_case(name) == called
