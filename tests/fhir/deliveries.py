"""What the tests of FHIR's reader share: resources, files of them, a source's load, and what raw then tells."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded
from ingestion.project import PROJECT_ROOT
from tests.ingestion.loads import NOON, ask, load_source

SHARED = PROJECT_ROOT.parent / "shared" / "data" / "healthcare"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the public records are not here: ../shared/data/healthcare is missing"
)
MIDNIGHT = datetime(2024, 6, 1, tzinfo=UTC)
ALWAYS = {"files", "resources"}


def patient(name: str, gender: str = "female", **more: Any) -> dict[str, Any]:
    """A patient of that id."""
    return {"resourceType": "Patient", "id": name, "gender": gender, **more}


def observation(name: str, value: Any = 1, **more: Any) -> dict[str, Any]:
    """A final observation of that id, of a quantity."""
    return {
        "resourceType": "Observation", "id": name, "status": "final", "code": {"text": "a code"},
        "valueQuantity": {"value": value}, **more,
    }  # fmt: skip


def lines(*resources: dict[str, Any] | str) -> str:
    """Resources as NDJSON; a text is a line as it is."""
    return "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in resources)


def bundle(*entries: dict[str, Any], kind: str = "transaction", **more: Any) -> str:
    """A bundle of entries; what has a resourceType is an entry's resource."""
    listed = [{"resource": each} if "resourceType" in each else each for each in entries]
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": listed, **more})


@dataclass
class Delivery:
    """A folder of files, and a warehouse that is loaded from it. `tables` are those of the contract that are loaded."""

    folder: Path
    target: Target
    tables: Collection[str] = ()
    loads: int = field(default=0)

    def put(self, name: str, content: str | bytes, hour: float = 1) -> Path:
        """Write a file as of an hour of 2024-06-01."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        moment = (MIDNIGHT + timedelta(hours=hour)).timestamp()
        os.utime(path, (moment, moment))
        return path

    def load(self) -> dict[str, Loaded]:
        """Load what is new, some hours after the load before. Every count balances."""
        self.loads += 1
        tables = {*self.tables, *ALWAYS} if self.tables else ()
        results = load_source("fhir", self.target, NOON + timedelta(hours=self.loads), tables)
        assert not (self.target.folder / "pending" / "fhir").exists() or not any(
            (self.target.folder / "pending" / "fhir").iterdir()
        )
        return results


def loaded(results: dict[str, Loaded]) -> dict[str, tuple[int, int, int]]:
    """What was loaded, known and rejected, of the tables of which anything was read."""
    return {name: (each.loaded, each.known, each.rejected) for name, each in results.items() if each.source_count}


def histories(target: Target, table: str) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    """What a table's resources were, by their keys, from when on: what says what was said before is no news.

    The first version reaches back to the beginning of time.
    """
    contract = read_contract("fhir").table(table)
    columns = ", ".join(contract.column_names)
    rows = ask(target, f"select _effective_at, _revision, _operation, {columns} from raw_fhir.{table}")
    places = [3 + contract.column_names.index(name) for name in contract.key]
    found = defaultdict(list)
    for at, _, *content in sorted(rows, key=lambda row: (row[0], row[1], json.dumps(row[2:], default=str))):
        versions = found[tuple(content[place - 2] for place in places)]
        if not versions or versions[-1][1] != content:
            versions.append((at if versions else None, content))
    return dict(found)


def everything(target: Target, tables: Iterable[str] = ()) -> str:
    """All that raw has of the source, as text."""
    named = [name for (name,) in ask(
        target, "select table_name from information_schema.tables where table_schema = 'raw_fhir'"
    )]  # fmt: skip
    return json.dumps([ask(target, f"from raw_fhir.{name}") for name in tables or named], default=str)
