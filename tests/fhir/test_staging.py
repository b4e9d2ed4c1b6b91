"""Granary's own staging of FHIR: made from its views, and right on the shared files by totals known from elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ingestion.contract.contracts import Column
from ingestion.contract.reading import read_contract
from ingestion.fhirpath.compiling import Scope, compiled
from ingestion.fhirpath.definitions import read_view
from ingestion.fhirpath.emitted import sql
from ingestion.fhirpath.values import Place
from tests.fhir.resources import FHIR, SHARED, Staged, from_bundles, from_export
from warehouse.project.fhir_views.describing import entry
from warehouse.project.fhir_views.staging import Model, staging_model
from warehouse.project.fhir_views.tables import resources

ENGINES = ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.mark.parametrize("file", sorted((FHIR / "views").glob("*.json")), ids=lambda file: file.stem)
def test_models_are_what_their_views_say(file: Path) -> None:
    view = read_view(json.loads(file.read_text(encoding="utf-8")))
    model = staging_model(view, read_contract("fhir"), f"stg_fhir__{file.stem}")
    assert (FHIR / f"{model.name}.sql").read_text(encoding="utf-8") == model.text, "make fhir-view VIEW=… again"
    assert entry(model, view.description) in (FHIR / "_fhir__models.yml").read_text(encoding="utf-8")


def test_descriptions_are_read_as_they_were_written() -> None:
    said = (
        f"The point-in-time of it, {'half-open-ended, ' * 20}as https://example.org/{'a-very-long-way-' * 12} has it."
    )
    read = yaml.safe_load(entry(Model("stg_fhir__made_up", "", (("id", said),), ("id",)), said))
    assert read[0]["description"].strip() == f"{said} Key `id`, `valid_at`, `source_revision`."
    assert read[0]["columns"][0]["description"].strip() == said


def test_what_is_said_beside_a_value_is_an_element_with_elements() -> None:
    source = read_contract("fhir")
    beside = Column("birth_date_beside", "text", source_name="_birthDate")
    patients = source.table("patients")
    source = replace(source, tables=(replace(patients, columns=(*patients.columns, beside)),))
    elements = resources(source, "Patient").elements
    assert dict(elements.elements)["_birthDate"] == Place(sql("birth_date_beside"), (), None, None)
    compiled("_birthDate.extension.where(valueCode = 'unknown').exists()", Scope(elements))


def test_every_table_is_staged() -> None:
    staged = {file.stem.removeprefix("stg_fhir__") for file in FHIR.glob("stg_fhir__*.sql")}
    assert {table.name for table in read_contract("fhir").tables} <= staged


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared health data isn't beside the project")
@pytest.mark.parametrize("engine", ENGINES)
def test_encounters_and_observations_have_the_totals_that_are_known(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    postgres = None if engine == "duckdb" else request.getfixturevalue("new_postgres_database")()
    staged = Staged(tmp_path, postgres)
    encounters, observations = from_export("Encounter"), from_bundles("Observation")
    staged.fill("encounters", encounters)
    staged.fill("observations", observations)
    staged.stage(
        "stg_fhir__encounters", "stg_fhir__encounter_participants", "stg_fhir__observations",
        "stg_fhir__observation_components",
    )  # fmt: skip

    # ../shared/data/healthcare/README.md
    assert staged.rows("""
        select
            count(*), sum(cast(extract(epoch from (ended_at - started_at)) as bigint)), min(started_text),
            sum(case when started_date <> cast(started_at as date) then 1 else 0 end),
            sum(case when extract(year from started_date) <> extract(year from started_at) then 1 else 0 end),
            count(distinct patient_id)
        from main.stg_fhir__encounters
    """) == [(1215, 38840275, "1928-11-05T05:50:16-05:00", 435, 1, 13)]
    classes = staged.rows("select class_code, count(*) from main.stg_fhir__encounters group by class_code")
    assert dict(classes) == {"AMB": 1133, "IMP": 49, "EMER": 23, "HH": 9, "VR": 1}
    assert set(staged.rows("select started_precision, ended_precision from main.stg_fhir__encounters")) == {
        ("second", "second")
    }
    participants = [
        (each["id"], number, participant["individual"]["reference"])
        for each in encounters for number, participant in enumerate(each["participant"])
    ]  # fmt: skip
    assert sorted(participants) == sorted(
        staged.rows(
            "select encounter_id, participant_index, practitioner_reference from main.stg_fhir__encounter_participants"
        )
    )

    assert staged.rows("""
        select count(*), count(value_quantity), count(value_code), count(distinct observation_code)
        from main.stg_fhir__observations
    """) == [(1009, 801, 94, len({each["code"]["coding"][0]["code"] for each in observations}))]
    pressures = staged.rows("""
        select count(*), round(avg(components.value_quantity), 4)
        from main.stg_fhir__observation_components as components
        where components.component_code = '8480-6'
    """)
    assert [(count, float(mean)) for count, mean in pressures] == [(79, 118.7975)]
    assert staged.rows("select count(*) from main.stg_fhir__observation_components") == [(847,)]
    weights = staged.rows("""
        select count(*), round(avg(value_quantity), 4)
        from main.stg_fhir__observations where observation_code = '29463-7'
    """)
    assert [(count, float(mean)) for count, mean in weights] == [(79, 49.5595)]
    units = staged.rows(
        "select value_unit_code, count(value_quantity) from main.stg_fhir__observations group by value_unit_code"
    )
    assert dict(units)["{score}"] == 161
    assert dict(units)["10*6/uL"] == 14
