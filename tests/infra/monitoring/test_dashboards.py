"""Grafana's dashboards are what the list says, and what Grafana's model of a dashboard knows."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.monitoring.dashboards import FOLDER, written
from infra.monitoring.panels import DASHBOARDS
from infra.monitoring.pipeline import QUESTIONS
from tests.infra.monitoring.systems import HERE
from tests.infra.monitoring.test_rules import ALL

each_dashboard = pytest.mark.parametrize("name", list(DASHBOARDS))


def board(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name.lower()}.json").read_text(encoding="utf-8"))
    return found


def test_there_is_a_file_for_each_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name.lower()}.json" for name in DASHBOARDS}


@each_dashboard
def test_the_file_is_what_the_list_says(name: str) -> None:
    """`make grafana` changes nothing."""
    assert (FOLDER / f"{name.lower()}.json").read_text(encoding="utf-8") == written(name, DASHBOARDS[name])


@each_dashboard
def test_grafanas_model_knows_all_that_it_says(name: str) -> None:
    """Read into the model and written again it is the same: the model drops what it doesn't know."""
    assert known(board(name)) == board(name)


def test_what_grafana_does_not_know_is_found() -> None:
    strange = board("Pipeline")
    strange["panels"][0]["colour"] = "red"
    assert known(strange) != strange


def known(read: dict[str, Any]) -> Any:
    return json.loads(json.dumps(Dashboard.from_json(read), cls=JSONEncoder))


@each_dashboard
def test_panels_lie_side_by_side(name: str) -> None:
    places = [panel["gridPos"] for panel in board(name)["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
        down = one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]
        assert not (across and down), (one, other)


@each_dashboard
def test_titles_are_different_and_ask_something(name: str) -> None:
    panels = DASHBOARDS[name]
    assert len({panel.title for panel in panels}) == len(panels)
    assert all(panel.queries for panel in panels)


def test_what_is_asked_is_there() -> None:
    """Each metric that a rule or a panel names is one that an exporter gives, or a rule records."""
    text = " ".join(path.read_text(encoding="utf-8") for path in sorted(Path(HERE).glob("*.py")))
    given = set(re.findall(r'"(granary_\w+)"', text)) | {name for each in QUESTIONS for name in each.metrics}
    recorded = {rule["record"] for rule in ALL if "record" in rule}
    asked = [expr for panels in DASHBOARDS.values() for panel in panels for expr, _ in panel.queries]
    asked += [rule["expr"] for rule in ALL]
    named = {name for expr in asked for name in re.findall(r"\b(?:granary|pg)(?:_\w+|:\w+:?\w*)", expr)}
    assert {name for name in named if name.startswith("granary_")} <= given
    assert {name for name in named if ":" in name} <= recorded
