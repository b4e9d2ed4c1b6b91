"""Rules as promtool judges them, by their own tests; the tests fail where a rule is changed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.monitoring.__main__ import PORT
from ingestion.project import PROJECT_ROOT
from tests.absent import package
from tests.infra.monitoring.systems import HERE, PROMTOOL

RULES = yaml.safe_load((HERE / "rules.yml").read_text(encoding="utf-8"))
ALL = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}


def promtool(request: pytest.FixtureRequest, *words: str) -> tuple[int, str]:
    program = package(request, PROMTOOL, "prometheus", "PROMETHEUS' RULES")
    ended = subprocess.run([str(program), *words], capture_output=True, text=True, cwd=PROJECT_ROOT, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_configuration_and_its_rules_are_prometheus_own(request: pytest.FixtureRequest) -> None:
    status, said = promtool(request, "check", "config", str(HERE / "prometheus.yml"))
    assert status == 0 and f"{len(ALL)} rules found" in said, said


def test_prometheus_looks_where_exporters_are() -> None:
    jobs = yaml.safe_load((HERE / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    default = re.search(r"metrics-database:.*?\$\(or \$\(PORT\),(\d+)\)", _makefile(), re.DOTALL)
    assert targets["granary"] == [f"127.0.0.1:{PORT}"]
    assert default and targets["postgres"] == [f"127.0.0.1:{default[1]}"]


def _makefile() -> str:
    return (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_tests_of_the_rules_pass(request: pytest.FixtureRequest) -> None:
    status, said = promtool(request, "test", "rules", str(HERE / "rules.test.yml"))
    assert status == 0, said


def test_each_alert_is_tested_to_fire_and_not_to(request: pytest.FixtureRequest) -> None:
    tests: list[dict[str, Any]] = yaml.safe_load((HERE / "rules.test.yml").read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", [])]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(ALERTS)
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == set(ALERTS)


@pytest.mark.parametrize("name", list(ALERTS))
def test_a_changed_alert_fails_its_test(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Its comparison turned round is noticed."""
    text = (HERE / "rules.yml").read_text(encoding="utf-8")
    begin = text.index(f"- alert: {name}\n")
    end = text.index("labels:", begin)
    rule = text[begin:end]
    turned = {" > ": " < ", " < ": " > ", "== 0": "== 1", "== 1": "== 0"}
    changed = re.sub("|".join(turned), lambda found: turned[found[0]], rule)
    assert changed != rule
    (tmp_path / "rules.yml").write_text(text[:begin] + changed + text[end:], encoding="utf-8")
    tests = yaml.safe_load((HERE / "rules.test.yml").read_text(encoding="utf-8"))
    tests["tests"] = [
        {**test, "promql_expr_test": [], "alert_rule_test": cases}
        for test in tests["tests"]
        if (cases := [case for case in test.get("alert_rule_test", []) if case["alertname"] == name])
    ]
    (tmp_path / "rules.test.yml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    status, said = promtool(request, "test", "rules", str(tmp_path / "rules.test.yml"))
    assert status != 0 and name in said


@pytest.mark.parametrize("name", list(ALERTS))
def test_an_alert_says_how_bad_it_is_and_names_a_runbook_that_there_is(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    runbook = rule["annotations"]["runbook"]
    if name == "GranaryProblem":
        assert runbook == "{{ $labels.runbook }}"  # test_alerts.py asks for the runbooks of the conditions
    else:
        assert (PROJECT_ROOT / runbook).is_file()
