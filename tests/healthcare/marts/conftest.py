"""The shared data as a warehouse on each engine, and the simulated clinic as one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.demo.healthcare import simulate
from tests.absent import absent
from tests.crosswalks import VARIABLE
from tests.healthcare.marts.care import RELEASE, SHARED, Warehouse, build_care, consent, deliver
from tests.warehouses import as_environment

_crosswalk = os.environ[VARIABLE]  # which every process of the tests has one of, whatever a test sets
DAYS, SCALE = 100, 0.3  # of the clinic
EXPORTED = datetime(2023, 4, 3, 12, tzinfo=UTC)


@pytest.fixture(scope="package")
def new_server(new_postgres_database: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str]]:
    """Makes a new database. Returns the variables that name it as a warehouse."""
    return lambda: {**as_environment(new_postgres_database()), "TARGET": "prod"}


@pytest.fixture(scope="package", params=["duckdb", "postgres"])
def care(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_server: Callable[[], dict[str, str]]
) -> Warehouse:
    """The shared export and both kinds of bundles, as one warehouse on each engine. For reading only."""
    if not SHARED.exists():
        absent(request, "THE SHARED HEALTH DATA ARE NOT HERE: MARTS NOT TESTED ON THEM")
    folder = tmp_path_factory.mktemp(f"care_{request.param}")
    delivered = deliver(folder / "delivered", "fhir_bulk", "fhir_bundles_us", "fhir_bundles_hiv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, _crosswalk)
        server = new_server() if request.param == "postgres" else None
        return build_care(folder / "warehouse", delivered, SHARED / "hl7v2", server)


@pytest.fixture(scope="package", params=["duckdb", "postgres"])
def consenting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_server: Callable[[], dict[str, str]]
) -> Warehouse:
    """The shared 120 patients, all of whom allow research, as of the day of their export. For reading only."""
    if not SHARED.exists():
        absent(request, "THE SHARED HEALTH DATA ARE NOT HERE: SAFE HARBOR NOT TESTED ON THEM")
    folder = tmp_path_factory.mktemp(f"consenting_{request.param}")
    patients = deliver(folder / "delivered", "fhir_bulk_patients_100") / "fhir_bulk_patients_100" / "Patient.000.ndjson"
    consents = folder / "delivered" / "consents" / "Consent.000.ndjson"
    consents.parent.mkdir()
    given = [consent(json.loads(line)["id"]) for line in patients.read_text(encoding="utf-8").splitlines()]
    consents.write_text("".join(json.dumps(each) + "\n" for each in given), encoding="utf-8")
    for file in (patients, consents):
        os.utime(file, (EXPORTED.timestamp(), EXPORTED.timestamp()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, _crosswalk)
        server = new_server() if request.param == "postgres" else None
        return build_care(folder / "warehouse", folder / "delivered", None, server, more=RELEASE)


@pytest.fixture(scope="package")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clinic over a hundred days. Tests that let it go on work on one of their own."""
    folder = tmp_path_factory.mktemp("clinic")
    simulate(folder, DAYS, scale=SCALE)
    return folder


@pytest.fixture(scope="package")
def built(clinic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clinic's warehouse on DuckDB, built in one go and tested by dbt. For reading only."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, _crosswalk)
        build_care(folder, clinic / "systems/fhir", clinic / "systems/lab", None, tested=True, more=RELEASE)
    return folder
