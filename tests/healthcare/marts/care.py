"""Warehouses of care for tests: what they are built from, and what they publish, on either engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingestion.duck import connect
from ingestion.project import PROJECT_ROOT
from tests.warehouses import attach_published, build_from, opened

SHARED = PROJECT_ROOT.parent / "shared/data/healthcare"
Warehouse = Path | Mapping[str, str]
UNKNOWN = "00000000-0000-0000-0000-000000000000"
NOT_APPLICABLE = "00000000-0000-0000-0000-000000000001"
RELEASE = {"SOURCES__RELEASE_KEYS__BEGIN": "1"}  # persons are released under keys that are drawn with this build
# Joins what is of patients of fhir_bulk, who live in Kansas, in a warehouse of all the shared data.
OF_EXPORT = """inner join (
    select patient_key from healthcare.dim_patients where is_current and state = 'KS'
) as patients using (patient_key)"""


def build_care(
    folder: Path,
    fhir: Path,
    lab: Path | None,
    server: Mapping[str, str] | None,
    *,
    tested: bool = False,
    more: Mapping[str, str] | None = None,
) -> Warehouse:
    """Build the domain from folders of resources and messages, on DuckDB or on the Postgres that `server` names.

    `more` are further variables, such as RELEASE.

    Returns:
        Where it publishes, as `ask` takes it.
    """
    sources = {"DOMAINS": "healthcare", "SOURCES__FHIR__BUCKET_URL": str(fhir)}
    if lab:
        sources["SOURCES__LAB__BUCKET_URL"] = str(lab)
    build_from(folder, {**sources, **(server or {}), **(more or {})}, tested=tested)
    return server or folder


def ask(warehouse: Warehouse, question: str) -> list[tuple[Any, ...]]:
    """The answer of what a warehouse publishes, on whatever engine."""
    connection = connect()
    try:
        attach_published(connection, warehouse, "published")
        connection.execute("use published")
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def asked(built: Path, question: str) -> list[tuple[Any, ...]]:
    """The answer of a warehouse on DuckDB; what it published is there by the names of schemas, all else as `build`."""
    with opened(built) as connection:
        return connection.execute(question).fetchall()


def exported(resource_type: str) -> list[dict[str, Any]]:
    """The resources of a type in the shared fhir_bulk."""
    (file,) = (SHARED / "fhir_bulk").glob(f"{resource_type}.*.ndjson")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def deliver(folder: Path, *parts: str) -> Path:
    """Copies of folders of the shared data, with the times of their files, below one folder."""
    for part in parts:
        shutil.copytree(SHARED / part, folder / part)
    return folder


def consent(patient_id: str) -> dict[str, Any]:
    """A Consent by which a patient allows research."""
    return {
        "resourceType": "Consent",
        "id": f"consent-{patient_id}",
        "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "dateTime": "2023-01-02T09:00:00-05:00",
        "policyRule": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}],
        },
        "provision": {"type": "permit"},
    }
