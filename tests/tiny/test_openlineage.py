"""What a run tells by OpenLineage, over HTTP, and what becomes of a run to which nobody listens."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema
import pytest

from tests.tiny.club import Club
from tests.tiny.conftest import both_engines
from warehouse.build.build import Request
from warehouse.errors import BuildError

# What https://openlineage.io/spec/2-0-2/OpenLineage.json asks of an event: a facet says who made it, by which schema.
_FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {
            "_producer": {"type": "string", "format": "uri"},
            "_schemaURL": {"type": "string", "format": "uri", "pattern": r"^https://openlineage\.io/spec/facets/\d+-\d+-\d+/"},
        },
    },
}  # fmt: skip
_DATASETS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["namespace", "name"],
        "properties": {
            "namespace": {"type": "string", "minLength": 1},
            "name": {"type": "string", "minLength": 1},
            **dict.fromkeys(("facets", "inputFacets", "outputFacets"), _FACETS),
        },
    },
}
EVENT = {
    "type": "object",
    "required": ["eventTime", "eventType", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": {"type": "string", "format": "uri"},
        "schemaURL": {"type": "string", "format": "uri"},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": _FACETS},
        },
        "job": {
            "type": "object",
            "required": ["namespace", "name"],
            "properties": {"namespace": {"type": "string"}, "name": {"type": "string"}, "facets": _FACETS},
        },
        "inputs": _DATASETS,
        "outputs": _DATASETS,
    },
}


@dataclass
class Receiver:
    """Who collects lineage: takes what is valid, and answers 400 to the rest."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def of(self, job: str) -> list[dict[str, Any]]:
        """The events of a job."""
        return [each for each in self.events if each["job"]["name"] == job]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """One that listens, and that every run tells."""
    found = Receiver()
    validator = jsonschema.Draft202012Validator(EVENT, format_checker=jsonschema.FormatChecker())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(event)]
            found.refused.extend(errors)
            found.events.append(event)
            self.send_response(400 if errors else 201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("OPENLINEAGE_URL", found.url)
    yield found
    server.shutdown()
    server.server_close()


def origins(events: list[dict[str, Any]], dataset: str, column: str) -> set[str]:
    """What a column is made of in the end, `dataset.column` each: by the events alone."""
    fields: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for event in events:
        for output in event.get("outputs", []):
            for name, found in output["facets"].get("columnLineage", {}).get("fields", {}).items():
                inputs = [(each["name"], each["field"]) for each in found["inputFields"]]
                fields[output["name"], name] = inputs
    waiting, ends = [(dataset, column)], set()
    while waiting:
        key = waiting.pop()
        if key in fields:
            waiting.extend(fields[key])
        else:
            ends.add(".".join(key))
    return ends


@both_engines
def test_a_run_is_told_with_what_it_loaded_made_and_tested(grown: Club, receiver: Receiver) -> None:
    grown.visit(60, "01-26 10:00", 3)
    grown.deliver()
    grown.build(Request(full=True), tested=True)
    assert receiver.refused == []
    [begun, ended] = receiver.of("build")
    assert (begun["eventType"], ended["eventType"]) == ("START", "COMPLETE")
    assert receiver.events[0] is begun and receiver.events[-1] is ended
    assert len({each["run"]["runId"] for each in (begun, ended)}) == 1

    # Each job ends once, knows its run, and is what its name says.
    others = [each for each in receiver.events if each["job"]["name"] != "build"]
    states: dict[str, list[str]] = {}
    for each in others:
        assert each["run"]["facets"]["parent"]["run"]["runId"] == begun["run"]["runId"]
        states.setdefault(each["run"]["runId"], []).append(each["eventType"])
    assert set(map(tuple, states.values())) == {("START", "COMPLETE")}
    [_, load] = receiver.of("load.club.visits")
    assert load["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 1
    [_, fact] = receiver.of("model.granary.fct_visits")
    [output] = fact["outputs"]
    namespace = "postgres://" if grown.engine else f"duckdb://{grown.warehouse / 'warehouse.duckdb'}"
    assert output["namespace"].startswith(namespace)
    assert output["name"].endswith("tiny.fct_visits")
    names = {each["name"] for event in receiver.events for each in (*event["inputs"], *event["outputs"])}
    assert not any("__next" in name for name in names)
    assert {each["name"]: each["type"] for each in output["facets"]["schema"]["fields"]}["visit_id"] == "bigint"
    assert any(each["name"].endswith("tiny.dim_members") for each in fact["inputs"])
    [_, tested] = receiver.of("model.granary.fct_visits.tests")
    [asserted] = tested["inputs"]
    found = {
        each["assertion"]: each["success"] for each in asserted["inputFacets"]["dataQualityAssertions"]["assertions"]
    }
    assert found["unique"] and found["version_holds_at"] and found["every_record_is_there"]
    # The lineage of one column, drawn from the events alone.
    [mart] = {each["outputs"][0]["name"] for each in receiver.of("model.granary.agg_visits__daily")}
    raw = mart.removesuffix("tiny.agg_visits__daily")
    assert origins(receiver.events, mart, "visits_amount") == {f"{raw}raw_club.visits.amount"}


def test_a_run_that_failed_is_told_so(grown: Club, receiver: Receiver) -> None:
    shutil.rmtree(grown.delivered)
    with pytest.raises(BuildError):
        grown.build()
    [_, ended] = receiver.of("build")
    assert ended["eventType"] == "FAIL" and ended["run"]["facets"]["errorMessage"]["message"]


def test_nobody_who_listens_stops_no_run(grown: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    grown.visit(60, "01-26 10:00", 3)
    grown.deliver()
    lines = grown.build()
    assert sum("lineage is not told any more in this run" in line for line in lines) == 1
    assert grown.published() == grown.expected()
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    grown.visit(61, "01-26 11:00", 3)
    grown.deliver()
    assert not any("lineage" in line for line in grown.build())


def test_settings_that_the_client_refuses_stop_no_run(grown: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "pigeon")
    grown.visit(60, "01-26 10:00", 3)
    grown.deliver()
    assert any("the client refuses its settings" in line for line in grown.build())
