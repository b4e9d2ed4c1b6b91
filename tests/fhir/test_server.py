"""FHIR's resources from a server: what was changed since, exports in bulk, and loads that are broken off."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded, SourceError
from ingestion.load.loading import load
from ingestion.readers import fhir
from tests.fhir.deliveries import SHARED, histories, loaded, needs_shared, observation, patient
from tests.fhir.server import TOKEN, FhirServer, serving
from tests.ingestion.loads import NOON, ask, check_balance, contract_of

TABLES = ["patients", "observations", "resources", "files"]


def at(minute: int) -> str:
    return (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def changed(resource: dict[str, Any], minute: int) -> dict[str, Any]:
    return {**resource, "meta": {"lastUpdated": at(minute), "versionId": "1"}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FhirServer]:
    """It has five patients and a hundred observations, a minute each, and it is what the source reads."""
    resources = {
        "Patient": [changed(patient(f"p{each}"), each) for each in range(5)],
        "Observation": [changed(observation(f"o{each}", "N"), each) for each in range(100)],
    }
    with serving(FhirServer(resources)) as started:
        settings = {"URL": started.url + "/", "TOKEN": TOKEN, "PAGE_SIZE": 20, "MAX_ATTEMPTS": 3, "LAG_MINUTES": 10}
        for name, value in settings.items():
            monkeypatch.setenv(f"SOURCES__FHIR__{name}", str(value))
        yield started


def run(target: Target, hour: int = 0) -> dict[str, Loaded]:
    results = load(contract_of("fhir", TABLES), fhir.extracts, target, NOON + timedelta(hours=hour))
    check_balance("fhir", target)
    return {each.resource: each for each in results}


def test_a_search_reads_what_was_changed_since(server: FhirServer, warehouse: Target) -> None:
    server.resources["Observation"][3]["valueQuantity"]["value"] = 2.25
    results = run(warehouse)
    assert loaded(results) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}
    assert server.asked == ["/metadata", "/Patient", *["/Observation"] * 5]
    assert results["patients"].notes == ("fhir: the server has also Basic, which have no table and aren't asked for",)
    server.resources["Patient"][0] = changed(patient("p0", "male"), 200)
    # Asked again is for ten minutes before the newest: eleven observations, and all patients.
    assert loaded(run(warehouse, 1)) == {"patients": (1, 4, 0), "observations": (0, 11, 0)}
    assert loaded(run(warehouse, 2)) == {"patients": (0, 1, 0), "observations": (0, 11, 0)}
    rows = ask(
        warehouse, "select gender, _effective_at::text, _revision from raw_fhir.patients where id = 'p0' order by 2"
    )
    assert rows == [("female", "2025-01-01 00:00:00", 1), ("male", "2025-01-01 03:20:00", 1)]


def test_a_search_that_finds_nothing_reads_on_from_where_it_was(server: FhirServer, warehouse: Target) -> None:
    assert loaded(run(warehouse)) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}
    observations, server.resources["Observation"] = server.resources["Observation"], []
    assert loaded(run(warehouse, 1)) == {"patients": (0, 5, 0)}
    server.resources["Observation"] = observations
    assert loaded(run(warehouse, 2)) == {"patients": (0, 5, 0), "observations": (0, 11, 0)}


def test_trouble_is_waited_for_and_a_load_goes_on_at_its_page(server: FhirServer, warehouse: Target) -> None:
    times = {"/Observation": 0}

    def trouble(path: str) -> int | None:
        times[path] = times.get(path, 0) + 1
        return (
            429
            if path == "/Patient" and times[path] < 3
            else 503
            if path == "/Observation" and times[path] > 3
            else None
        )

    server.trouble = trouble
    with pytest.raises(SourceError, match=r"was asked 3 times, and it answers 503"):
        run(warehouse)
    server.trouble = lambda path: None
    server.asked.clear()
    assert loaded(run(warehouse)) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}
    # Of five pages three were there; the last that came is asked for again.
    assert server.asked.count("/Observation") == 3


def test_another_server_does_not_get_to_see_the_token(server: FhirServer, warehouse: Target) -> None:
    with serving(FhirServer({})) as other:
        server.other_origin = other.url
        with pytest.raises(SourceError, match="it would see the token"):
            run(warehouse)
        assert other.asked == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TOKEN", "wrong", "came back as 401 .* check SOURCES__FHIR__TOKEN"),
        ("URL", "{url}/nowhere", "names no types of resources: check that SOURCES__FHIR__URL"),
        ("MODE", "listen", "SOURCES__FHIR__MODE is 'listen': use one of search, export"),
        ("BUCKET_URL", "/tmp", "SOURCES__FHIR__BUCKET_URL and SOURCES__FHIR__URL are set"),
    ],
)
def test_what_is_set_wrong_is_said(
    server: FhirServer, warehouse: Target, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"SOURCES__FHIR__{name}", value.replace("{url}", server.url))
    server.trouble = lambda path: 404 if path.startswith("/nowhere") else None
    with pytest.raises(SourceError, match=message):
        run(warehouse)


@pytest.fixture
def exporting(server: FhirServer, monkeypatch: pytest.MonkeyPatch) -> FhirServer:
    monkeypatch.setenv("SOURCES__FHIR__MODE", "export")
    return server


def test_an_export_is_waited_for_and_the_next_goes_on_from_it(exporting: FhirServer, warehouse: Target) -> None:
    del exporting.resources["Patient"][0]["meta"]["lastUpdated"]
    exporting.resources["Patient"][0]["meta"]["lastUpdated"] = ""
    results = run(warehouse)
    assert loaded(results) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}
    assert exporting.asked == [
        "/metadata", "/$export", "/state/1", "/state/1", "/state/1", "/files/Patient", "/files/Observation"
    ]  # fmt: skip
    # What says nothing of its time holds from the export's.
    [moment] = ask(warehouse, "select _effective_at::text from raw_fhir.patients where id = 'p0'")
    assert moment == ("2024-06-01 00:00:00",)
    exporting.transaction_time, exporting.deleted = at(0), ["Patient/p1", "Observation/o1", "Basic/b"]
    assert loaded(run(warehouse, 1)) == {"patients": (1, 4, 0), "observations": (1, 100, 0), "resources": (1, 0, 0)}
    deleted = ask(warehouse, "select id, _effective_at::text from raw_fhir.patients where _operation = 'D'")
    assert deleted == [("p1", "2025-01-01 00:00:00")]
    exporting.deleted, exporting.resources = [], {name: found[-2:] for name, found in exporting.resources.items()}
    assert loaded(run(warehouse, 2)) == {"patients": (0, 2, 0), "observations": (0, 2, 0)}


@pytest.fixture
def clock_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's clock is not UTC's."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("clock_elsewhere")
@pytest.mark.parametrize("written", ["2025-01-01T05:00:00-05:00", "2025-01-01T10:00:00"])
def test_an_exports_time_is_one_moment_in_any_zone(exporting: FhirServer, warehouse: Target, written: str) -> None:
    # Changed an hour before the export that tells of its end.
    exporting.resources = {"Patient": [changed(patient("p"), 540)], "Observation": []}
    exporting.transaction_time, exporting.deleted = written, ["Patient/p"]
    assert loaded(run(warehouse)) == {"patients": (2, 0, 0)}
    [versions] = histories(warehouse, "patients").values()
    assert [content[0] for _, content in versions] == ["U", "D"]
    [deleted] = ask(
        warehouse,
        "select _effective_at::text, _revision - epoch_us(_effective_at) from raw_fhir.patients where _operation = 'D'",
    )
    assert deleted == ("2025-01-01 10:00:00", 1)


def test_files_get_the_token_only_where_they_want_it(exporting: FhirServer, warehouse: Target) -> None:
    exporting.public_files = True
    assert loaded(run(warehouse)) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}
    assert exporting.tokens["/files/Patient"] is None
    assert exporting.tokens["/state/1"] == f"Bearer {TOKEN}"


def test_an_export_that_is_not_what_it_says(exporting: FhirServer, warehouse: Target) -> None:
    exporting.wrong_count = True
    with pytest.raises(
        SourceError, match=r"the manifest counts 6 resources in file 1 of the export \(Patient\), and it has 5"
    ):
        run(warehouse)
    exporting.wrong_count, exporting.empty_files = False, True
    with pytest.raises(SourceError, match=r"file 1 of the export \(Patient\) is not sound: empty"):
        run(warehouse)
    exporting.empty_files = False
    assert loaded(run(warehouse)) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}


@pytest.mark.parametrize(
    "said",
    [
        {"output": None}, {"transactionTime": ""}, {"transactionTime": "soon"}, {"output": ["Patient"]},
        {"output": [{"type": "Patient"}]},
        {"output": [{"type": "Patient", "url": 1}]}, {"deleted": [{"type": "Bundle"}]}, {"deleted": 1}, {"error": 1},
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_not_kept(exporting: FhirServer, warehouse: Target, said: dict[str, Any]) -> None:
    exporting.said = said
    with pytest.raises(SourceError, match=r"the export's (manifest|transactionTime)"):
        run(warehouse)
    exporting.said = {}
    assert loaded(run(warehouse)) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}


def test_an_export_that_is_gone_is_asked_for_anew(exporting: FhirServer, warehouse: Target) -> None:
    seen: list[str] = []

    def trouble(path: str) -> int | None:
        seen.append(path)
        return 404 if path == "/files/Observation" and seen.count(path) == 1 else None

    exporting.trouble = trouble
    assert loaded(run(warehouse)) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}
    assert seen.count("/$export") == 2


def _killed(folder: str) -> None:
    """What a process does that is killed."""
    run(Target("dev", "duckdb", Path(folder)))


@pytest.mark.parametrize("stalling", ["/state/1", "/files/Observation"])
def test_a_killed_load_goes_on_where_the_export_was(exporting: FhirServer, warehouse: Target, stalling: str) -> None:
    exporting.trouble = lambda path: "stall" if path == stalling else None
    process = get_context("spawn").Process(target=_killed, args=(str(warehouse.folder),))
    process.start()
    until = time.monotonic() + 60
    while stalling not in exporting.asked and time.monotonic() < until:
        time.sleep(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    before, exporting.trouble = list(exporting.asked), lambda path: None
    exporting.asked.clear()
    assert loaded(run(warehouse)) == {"patients": (5, 0, 0), "observations": (100, 0, 0)}
    assert stalling in before
    assert "/$export" not in exporting.asked, "it was begun already"
    assert ("/files/Patient" in exporting.asked) == (stalling == "/state/1")


@needs_shared
def test_real_records_by_search_and_by_export_are_the_same(
    server: FhirServer, warehouse: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted((SHARED / "fhir_bundles_us").iterdir()):
        for entry in json.loads(path.read_text())["entry"]:
            resource = json.loads(json.dumps(entry["resource"]).replace("urn:uuid:", "Patient/"))
            found.setdefault(resource["resourceType"], {})[resource["id"]] = resource
    server.resources = {
        kind: [changed(each, minute) for minute, each in enumerate(found[kind].values())]
        for kind in ("Patient", "Observation")
    }
    monkeypatch.setenv("SOURCES__FHIR__PAGE_SIZE", "200")
    assert loaded(run(warehouse)) == {"patients": (8, 0, 0), "observations": (1009, 0, 0)}
    other = Target("dev", "duckdb", tmp_path / "other")
    monkeypatch.setenv("SOURCES__FHIR__MODE", "export")
    assert loaded(run(other)) == {"patients": (8, 0, 0), "observations": (1009, 0, 0)}
    for table in ("patients", "observations"):
        query = f"select * exclude (_observed_at, _load_id) from raw_fhir.{table} order by id"
        assert ask(warehouse, query) == ask(other, query)
