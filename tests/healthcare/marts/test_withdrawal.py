"""Who withdraws is gone with the next build, and a rollback doesn't bring them back; on both engines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from ingestion.destination.target import current_target
from tests.healthcare.marts.care import RELEASE, UNKNOWN, Warehouse, ask, build_care, consent
from tests.warehouses import settings
from warehouse.build.build import roll_back_build
from warehouse.errors import BuildError

pytestmark = pytest.mark.slow


def told(folder: Path, number: int, resources: Iterable[dict[str, Any]], at: str) -> None:
    """A delivery: a file for each type, with versions of this time."""
    resources = list(resources)
    for kind in {each["resourceType"] for each in resources}:
        of_kind = [each for each in resources if each["resourceType"] == kind]
        lines = [json.dumps({**each, "meta": {"lastUpdated": at}}) for each in of_kind]
        file = folder / f"{number}" / f"{kind}.000.ndjson"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def seen(patient_id: str) -> dict[str, Any]:
    """An encounter of a patient."""
    return {
        "resourceType": "Encounter",
        "id": f"encounter-{patient_id}",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient_id}"},
        "period": {"start": "2023-03-01T10:00:00-05:00", "end": "2023-03-01T11:00:00-05:00"},
    }


def released(warehouse: Warehouse) -> tuple[int, int]:
    """How many persons and encounters researchers see."""
    persons = ask(
        warehouse, f"select count(*) from healthcare_safe.dim_released_patients where patient_key <> '{UNKNOWN}'"
    )
    encounters = ask(warehouse, "select count(*) from healthcare_safe.fct_released_encounters")
    return persons[0][0], encounters[0][0]


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_who_withdraws_is_gone_and_stays_so(
    engine: str, tmp_path: Path, new_server: Callable[[], dict[str, str]]
) -> None:
    server = new_server() if engine == "postgres" else None
    folder, delivered = tmp_path / "warehouse", tmp_path / "delivered"
    patients = [
        {
            "resourceType": "Patient",
            "id": f"patient-{number}",
            "gender": "female",
            "birthDate": f"19{50 + number}-02-03",
        }
        for number in range(3)
    ]
    ids = [str(each["id"]) for each in patients]
    told(delivered, 1, [*patients, *map(seen, ids), *map(consent, ids[:2])], "2023-04-01T00:00:00Z")
    warehouse = build_care(folder, delivered, None, server, more=RELEASE)
    assert released(warehouse) == (2, 2), "without a consent nobody is released"
    told(delivered, 2, [{**consent(ids[0]), "status": "inactive"}], "2023-04-02T00:00:00Z")
    build_care(folder, delivered, None, server)
    assert released(warehouse) == (1, 1)
    target = {"DOMAINS": "healthcare", "WAREHOUSE_DIR": str(folder), "TARGET": "dev", **(server or {})}
    with settings(target), pytest.raises(BuildError, match="dim_released_patients has 1 persons in it who may not"):
        roll_back_build(current_target(), print)
    assert released(warehouse) == (1, 1)
    told(delivered, 3, [{**consent(ids[2]), "dateTime": "2023-04-03"}], "2023-04-03T00:00:00Z")
    build_care(folder, delivered, None, server)
    assert released(warehouse) == (2, 2)
    with settings(target):
        roll_back_build(current_target(), print)
    assert released(warehouse) == (1, 1), "in the generation before that nobody is who withdrew"
