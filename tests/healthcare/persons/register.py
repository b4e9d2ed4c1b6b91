"""A register of patients whose warehouse the product's own models of persons are built in, on either engine.

The project is the tiny one with the product's source of matches, its models of persons and one published mart over
them; what would be FHIR's patients is told as files of versions (tests/tiny/reader.py), under the product's contract.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from ingestion.destination.target import Target, current_target
from ingestion.project import PROJECT_ROOT
from tests.healthcare.persons.records import Record
from tests.warehouses import build_from, settings
from warehouse.build.build import Request
from warehouse.database import Database, open_database

OWN = Path(__file__).parent / "project"
TINY = PROJECT_ROOT / "tests" / "tiny" / "project"
# Of the product's contract of patients, what persons are told by, in its order.
COLUMNS = ("id", "ssn", "family_name", "given_name", "birth_date", "street", "postal_code")
AUDIT = ("loads", "rejects", "profiles")


def lay_out(root: Path) -> None:
    """Make the project in a folder that isn't there yet."""
    shutil.copytree(TINY, root, ignore=shutil.ignore_patterns("target", "logs", "tiny", "club"), symlinks=True)
    for link in [path for path in root.rglob("*") if path.is_symlink()]:
        original = (TINY / link.relative_to(root)).resolve()
        link.unlink()
        link.symlink_to(original)
    shutil.copytree(OWN / "models", root / "models", dirs_exist_ok=True)
    shutil.copytree(PROJECT_ROOT / "models/staging/patient_matches", root / "models/staging/patient_matches")
    shutil.copyfile(PROJECT_ROOT / "models/_columns.md", root / "models/_columns.md")
    intermediate = root / "models/intermediate/healthcare"
    intermediate.mkdir(parents=True)
    for file in (PROJECT_ROOT / "models/intermediate/healthcare").glob("*persons__*"):
        shutil.copyfile(file, intermediate / file.name)
    contract = yaml.safe_load((PROJECT_ROOT / "models/staging/fhir/_fhir__sources.yml").read_text(encoding="utf-8"))
    source = contract["sources"][0]
    patients, *_ = (each for each in source["tables"] if each["name"] == "patients")
    patients["columns"] = [each for each in patients["columns"] if each["name"] in COLUMNS]
    for column in patients["columns"]:
        column["config"]["meta"].pop("source_name", None)
    patients["config"]["meta"] = {"key": ["id"], "person": "id"}
    source["config"]["meta"] = {"owner": "the tests", "reader": "tests.tiny.reader"}
    source["tables"] = [patients, *(each for each in source["tables"] if each["name"] in AUDIT)]
    (root / "models/staging/fhir/_fhir__sources.yml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    project = yaml.safe_load((root / "dbt_project.yml").read_text(encoding="utf-8"))
    project["vars"]["domains"] = {
        "healthcare": {
            "label": "Healthcare", "owner": "the tests", "example": "select * from healthcare.dim_persons",
            "sources": {"fhir": {"name": "Patients", "kind": "files", "description": "Patients"},
                        "lab": {"name": "Laboratory", "kind": "files", "description": "Messages"},
                        "patient_matches": {"name": "Persons", "kind": "files", "description": "Who is who"}},
        }
    }  # fmt: skip
    (root / "dbt_project.yml").write_text(yaml.safe_dump(project), encoding="utf-8")


class Register:
    """The register, and the warehouse that is built from its files."""

    def __init__(self, folder: Path, engine: Mapping[str, str] | None = None):
        """Args: folder: where all lies. engine: the environment that chooses it; DuckDB unless given."""
        self.folder, self.engine = folder, dict(engine or {})
        self._revisions, self._files = count(1), count(1)
        self.delivered.mkdir(parents=True)
        lay_out(self.project)

    @property
    def delivered(self) -> Path:
        """Where the register's files lie."""
        return self.folder / "delivered"

    @property
    def project(self) -> Path:
        """The dbt project."""
        return self.folder / "project"

    @property
    def warehouse(self) -> Path:
        """The warehouse's folder."""
        return self.folder / "warehouse"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which this warehouse is built."""
        return {
            "GRANARY_PROJECT_DIR": str(self.project),
            "DBT_TARGET_PATH": str(self.project / "target"),
            "SOURCES__FHIR__BUCKET_URL": str(self.delivered),
            "SOURCES__LAB__BUCKET_URL": str(self.delivered),
            **self.engine,
        }

    def tell(self, records: Iterable[Record], at: str = "2026-01-01") -> None:
        """Have the register tell of patients, and the laboratory send messages of those that are its own."""
        of: dict[str, list[list[Any]]] = {"fhir": [], "lab": []}
        for each in records:
            number = next(self._revisions)
            known = [each.ssn_token, each.family_name_token, each.given_name_token, each.birth_date]
            names = [each.patient_id] if each.source_id == "fhir" else [f"message {number}", each.patient_id]
            row = ["U", number, at, *names, *known, each.street_token, each.postal_code]
            of[each.source_id].append(row)
        for table, rows, names in (
            ("patients", of["fhir"], ["id"]), ("pids", of["lab"], ["message_id", "medical_record_number"]),
        ):  # fmt: skip
            if rows:
                file = self.delivered / f"{next(self._files):04}.{table}.csv"
                with file.open("w", encoding="utf-8", newline="") as handle:
                    writer = csv.writer(handle, lineterminator="\n")
                    writer.writerows([["op", "revision", "at", *names, *COLUMNS[1:]], *rows])

    def build(self, observed_at: str, request: Request = Request(), *, tested: bool = False) -> list[str]:  # noqa: B008
        """Load, build and publish in this process."""
        return build_from(
            self.warehouse, self.environment | {"GRANARY_OBSERVED_AT": observed_at}, request, tested=tested
        )

    @contextmanager
    def entered(self, observed_at: str = "") -> Iterator[Target]:
        """The environment that names this warehouse; yields what commands take."""
        own = {"TARGET": "dev", **self.environment, "WAREHOUSE_DIR": str(self.warehouse)}
        with settings(own | ({"GRANARY_OBSERVED_AT": observed_at} if observed_at else {})):
            yield current_target()

    def ask(self, query: Callable[[Database], str]) -> list[tuple[Any, ...]]:
        """The rows of a query, which is made of the names of the open warehouse's tables."""
        with self.entered() as target, open_database(target) as database:
            return database.run(query(database))

    def rows(self, generation: str = "published") -> list[tuple[Any, ...]]:
        """What a generation says of persons, as the macro's rows are: source, record, person, rule, from, to."""
        found = self.ask(
            lambda d: (
                "select source_id, patient_id, cast(person_key as varchar), rule, valid_from, valid_to "
                f"from {getattr(d, generation)('healthcare', 'dim_persons')}"
            )
        )
        return sorted(map(tuple, found), key=lambda row: (row[0], row[1], row[4]))
