"""Public health records with known totals, loaded by the product's own contract: all at once, and one by one."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.load.loading import load
from ingestion.readers import fhir
from tests.fhir.deliveries import SHARED, Delivery, everything, histories, lines, loaded, needs_shared
from tests.ingestion.loads import NOON, ask
from tests.ingestion.test_engines import raw
from tests.warehouses import as_environment

# The totals of ../shared/data/healthcare/README.md, by folder and type: read, and distinct by their ids.
BULK = {
    "Patient": 13, "Encounter": 1215, "Condition": 555, "Procedure": 2056, "MedicationRequest": 1745,
    "Immunization": 161, "DocumentReference": 1215, "AllergyIntolerance": 11, "Device": 16, "Location": 44,
    "Organization": 43, "Practitioner": 43, "PractitionerRole": 43,
}  # fmt: skip
US = {
    "Observation": 1009, "Procedure": 286, "Claim": 204, "Encounter": 173, "ExplanationOfBenefit": 173,
    "Immunization": 139, "Condition": 135, "DiagnosticReport": 109, "MedicationRequest": 31, "Organization": 19,
    "Practitioner": 19, "CareTeam": 12, "CarePlan": 12, "Patient": 8,
}  # fmt: skip
HIV = {
    "Organization": 1191, "Practitioner": 1191, "Location": 1191, "PractitionerRole": 1191, "Immunization": 191,
    "Observation": 159, "Encounter": 124, "DiagnosticReport": 124, "DocumentReference": 124, "Claim": 124,
    "ExplanationOfBenefit": 124, "Patient": 4, "Provenance": 4, "Condition": 2,
}  # fmt: skip
TABLES = {str(table.meta.get("resource_type")): table.name for table in read_contract("fhir").tables}

pytestmark = needs_shared


def put(delivery: Delivery, *folders: str) -> list[Path]:
    """Deliver the files of these folders, each as of an hour of its own."""
    found = []
    for path in sorted(path for folder in folders for path in (SHARED / folder).iterdir()):
        found.append(delivery.put(f"{path.parent.name}/{path.name}", path.read_bytes(), len(found)))
    return found


def distinct(target: Target) -> dict[str, int]:
    """How many resources raw has of each type, by their ids."""
    known = " union all ".join(
        f"select '{kind}' as kind, id from raw_fhir.{name}"
        for kind, name in TABLES.items()
        if kind not in ("*", "None")
    )
    return dict(ask(target, f"""
        select kind, count(distinct id) from ({known} union all select resource_type, id from raw_fhir.resources)
        group by kind"""))  # fmt: skip


@pytest.fixture
def delivery(tmp_path: Path, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv("SOURCES__FHIR__BUCKET_URL", str(folder))
    return Delivery(folder, warehouse)


@pytest.mark.parametrize(
    ("folder", "totals", "read"),
    [("fhir_bulk", BULK, 7160), ("fhir_bulk_patients_100", {"Patient": 120}, 120), ("fhir_bundles_us", US, 2331),
     ("fhir_bundles_hiv", HIV, 5744)],
)  # fmt: skip
def test_every_resource_is_there(delivery: Delivery, folder: str, totals: dict[str, int], read: int) -> None:
    put(delivery, folder)
    results = delivery.load()
    records = [each for name, each in results.items() if name != "files"]
    assert sum(each.source_count for each in records) == read
    assert sum(each.rejected for each in records) == 0
    assert distinct(delivery.target) == totals
    assert sum(each.loaded for each in records) == sum(totals.values())


# Types that one file alone tells of: their order makes no difference.
_ALONE = r"^(Allergy|Condition|Device|Document|Encounter|Immuni|Location|Medic|PractitionerRole|Procedure)"


def test_any_order_of_files_comes_to_the_same(delivery: Delivery, tmp_path: Path) -> None:
    put(delivery, "fhir_bundles_us", "fhir_bulk_patients_100", "fhir_bulk")
    files = sorted(path for path in delivery.folder.rglob("*") if path.is_file() and not re.search(_ALONE, path.name))
    for path in set(delivery.folder.rglob("*.*")) - set(files):
        path.unlink()
    delivery.load()
    other = Delivery(delivery.folder, Target("dev", "duckdb", tmp_path / "other"))
    waiting = tmp_path / "waiting"
    shutil.move(delivery.folder, waiting)
    random.Random(7).shuffle(files)
    for file in files:
        place = delivery.folder / file.relative_to(delivery.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(waiting / file.relative_to(delivery.folder), place)
        other.load()
    for table in [name for kind, name in TABLES.items() if kind != "None"]:
        assert histories(other.target, table) == histories(delivery.target, table), table
    assert loaded(other.load()) == {}


@pytest.mark.postgres
def test_both_engines_have_the_same(
    delivery: Delivery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_postgres_database: Callable[[], dict[str, str]],
) -> None:
    put(delivery, "fhir_bulk", "fhir_bundles_us", "fhir_bundles_hiv")
    postgres = new_postgres_database()
    for name, value in as_environment(postgres).items():
        monkeypatch.setenv(name, value)
    contract = read_contract("fhir")
    targets = [delivery.target, Target("prod", "postgres", tmp_path / "other")]
    first = [loaded({each.resource: each for each in load(contract, fhir.extracts, one, NOON)}) for one in targets]
    assert first[0] == first[1]
    # Half of it again, as of later, and one that is changed.
    put(delivery, "fhir_bulk")
    changed = json.loads((SHARED / "fhir_bulk" / "Device.000.ndjson").read_text().splitlines()[0])
    delivery.put("changed.ndjson", lines({**changed, "status": "inactive"}), 40)
    again = [
        loaded({each.resource: each for each in load(contract, fhir.extracts, one, NOON + timedelta(days=1))})
        for one in targets
    ]
    assert again[0] == again[1]
    assert again[0]["devices"] == (1, 0, 0)
    rows = [raw(target, contract, postgres) for target in targets]
    assert rows[0] == rows[1]


def named_in(resource: Any) -> set[str]:
    """Names, addresses, numbers and texts in a resource that tell of a person, each a text of several letters."""
    if isinstance(resource, list):
        return {each for one in resource for each in named_in(one)}
    if not isinstance(resource, dict):
        return set()
    found = {resource[name] for name in ("family", "div", "data") if isinstance(resource.get(name), str)}
    if "family" in resource:
        found |= set(resource.get("given", ()))
    return found | {each for one in resource.values() for each in named_in(one)}


def test_nothing_of_a_person_is_in_raw(delivery: Delivery) -> None:
    """The names and numbers of all patients and practitioners, and every narrative, wherever they stand."""
    files = put(delivery, "fhir_bulk", "fhir_bundles_us")
    resources = []
    for path in files:
        if path.suffix == ".ndjson":
            resources += [json.loads(line) for line in path.read_text().splitlines()]
        else:
            resources += [entry["resource"] for entry in json.loads(path.read_text())["entry"]]
    people = [each for each in resources if each.get("resourceType") in ("Patient", "Practitioner")]
    names = named_in(people) | {text for each in resources for text in named_in(each.get("text"))}
    patients = [each for each in people if each["resourceType"] == "Patient"]
    values = {
        value for each in patients for name in ("identifier", "telecom") for one in each.get(name, ())
        if (value := one["value"]) != each["id"]
    }  # fmt: skip
    streets = {line for each in patients for one in each.get("address", ()) for line in one.get("line", ())}
    maiden = {text for each in patients for one in each.get("extension", ()) if (text := one.get("valueString"))}
    canaries = {*names, *values, *streets, *maiden}
    assert len(canaries) > 300
    results = delivery.load()
    told = everything(delivery.target) + json.dumps([each.notes for each in results.values()])
    words = set(re.findall(r"[A-Za-z]+[0-9]{1,4}|[0-9-]{5,}", told))
    found = {each for each in canaries if each in (words if re.fullmatch(r"[A-Za-z]+[0-9]+", each) else told)}
    # The contract loads answers in text, as sensitive: a survey asks where somebody lives (LOINC 56799-0).
    answers = {one.get("valueString") for each in resources for one in each.get("component", ())}
    assert found - answers == set()
    assert found == streets & answers
