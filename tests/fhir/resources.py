"""Resources in raw as the contract has them, and the staging models over them, on either engine.

The columns are taken from the files by JSON's own means and not by FHIRPath, so that what staging makes of them can be
held against the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ingestion.contract.reading import read_contract
from ingestion.project import PROJECT_ROOT
from ingestion.sql import literal
from tests.warehouse.made_up_history import MadeUpHistory

SHARED = PROJECT_ROOT.parent / "shared/data/healthcare"
FHIR = PROJECT_ROOT / "models/staging/fhir"


def from_export(resource_type: str) -> list[dict[str, Any]]:
    """The shared export's resources of a type."""
    files = sorted((SHARED / "fhir_bulk").glob(f"{resource_type}.*.ndjson"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def from_bundles(resource_type: str) -> list[dict[str, Any]]:
    """The shared bundles' resources of a type, each id once, with references by type and id as a loader makes them."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted((SHARED / "fhir_bundles_us").glob("*.json")):
        for entry in json.loads(file.read_text(encoding="utf-8"))["entry"]:
            if entry["resource"]["resourceType"] == resource_type:
                found[entry["resource"]["id"]] = entry["resource"]
    return list(found.values())


class Staged:
    """A dbt project of the FHIR source's staging models, over raw tables that a test fills."""

    def __init__(self, folder: Path, postgres: Mapping[str, str] | None) -> None:
        self.project = MadeUpHistory(folder, postgres)
        self.folder = folder
        models = folder / "models"
        models.mkdir()
        (models / "sources.yml").write_text((FHIR / "_fhir__sources.yml").read_text(encoding="utf-8"), encoding="utf-8")
        with (folder / "dbt_project.yml").open("a", encoding="utf-8") as settings:
            settings.write("vars: {business_timezone: Europe/London}\n")
        self.project.run("create schema raw_fhir")
        self.project.load("load", "shop", [])

    def fill(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """A raw table of these resources: an element a column, JSON where it isn't one value."""
        columns = read_contract("fhir").table(table).columns
        log = "_operation text, _effective_at timestamp, _revision bigint, _observed_at timestamp, _load_id text"
        self.project.run(
            f"create table raw_fhir.{table} ({', '.join(f'{each.name} {each.data_type}' for each in columns)}, {log})"
        )
        values = []
        for row in rows:
            found = [_written(_element(row, each.at_source), each.data_type) for each in columns]
            values.append(f"({', '.join(found)}, 'U', timestamp '2024-01-01', 1, timestamp '2024-01-02', 'load')")
        for at in range(0, len(values), 500):
            self.project.run(f"insert into raw_fhir.{table} values {', '.join(values[at : at + 500])}")

    def stage(self, *models: str, **tables: str) -> None:
        """Have dbt make these staging models, and further models by name."""
        for name in models:
            file = FHIR / f"{name}.sql"
            (self.folder / "models" / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        for name, text in tables.items():
            (self.folder / "models" / f"{name}.sql").write_text(text, encoding="utf-8")
        self.project.model("select 1 as one")

    def rows(self, select: str) -> list[tuple[Any, ...]]:
        """The rows of a select over the models, which lie in the schema `main`."""
        return self.project.run(select)


def _element(row: Mapping[str, Any], name: str) -> Any:
    """An element of a resource; of an expression only a patient's reference, as all tests need it."""
    if name.endswith(".getReferenceKey(Patient)"):
        reference = row.get(name.partition(".")[0], {}).get("reference", "")
        return reference.removeprefix("Patient/").removeprefix("urn:uuid:") or None
    return row.get(name)


def _written(value: Any, data_type: str) -> str:
    if value is None:
        return "null"
    if data_type in {"boolean", "bigint"}:
        return json.dumps(value)
    return literal(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
