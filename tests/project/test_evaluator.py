"""The rules of dbt_project_evaluator hold, but for the exceptions of the package's own seed, each with its reason."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.destination.target import Target
from ingestion.domains import listed, variables
from ingestion.project import PROJECT_ROOT
from tests.project import evaluator
from tests.project.evaluated import Graph
from tests.project.evaluator import Finding
from warehouse import dbt

SEED = "dbt_project_evaluator_exceptions"

# How many exceptions each rule has: one more is a decision, and changes this list.
EXCEPTIONS = {
    "fct_direct_join_to_source": 1,
    "fct_exposure_parents_materializations": 1,
    "fct_exposures_dependent_on_private_models": 1,
    "fct_missing_primary_key_tests": 4,
    "fct_model_fanout": 1,
    "fct_multiple_sources_joined": 1,
    "fct_rejoining_of_upstream_concepts": 5,
    "fct_root_models": 2,
    "fct_source_fanout": 4,
    "fct_sources_without_freshness": 3,
    "fct_too_many_joins": 4,
}
# Those that this project has no case of, and one with a scaffolded source has.
OF_SCAFFOLDS = {("fct_rejoining_of_upstream_concepts", "dim_%"), ("fct_too_many_joins", "ops_%")}


def exceptions() -> list[dict[str, str]]:
    path = PROJECT_ROOT / "seeds" / "dbt_project_evaluator" / f"{SEED}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def excepts(exception: dict[str, str], rule: str, finding: Finding) -> bool:
    """Whether the package would leave a finding out: it compares by `like`."""
    pattern = re.escape(exception["id_to_exclude"]).replace("%", ".*").replace("_", ".")
    return exception["fct_name"] == rule and bool(re.fullmatch(pattern, finding[exception["column_name"]]))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What dbt knows of the project when a build parses it."""
    target = Target("dev", "duckdb", tmp_path_factory.mktemp("warehouse"))
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("DOMAINS", raising=False)
        dbt.parse(target, artifacts=True)
        written = Path(dbt.target_path(target), "manifest.json")
    read: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def findings(manifest: dict[str, Any]) -> list[tuple[str, Finding]]:
    if not listed():
        pytest.skip("no domain: audit tables of no source, and facts that are none, leave nothing to except")
    graph = Graph(manifest, variables(PROJECT_ROOT)["dbt_project_evaluator"])
    return [(rule.__name__, finding) for rule in evaluator.RULES for finding in rule(graph)]


def test_what_is_found_is_excepted(findings: list[tuple[str, Finding]]) -> None:
    assert [each for each in findings if not any(excepts(exception, *each) for exception in exceptions())] == []


def test_every_exception_excepts_something(findings: list[tuple[str, Finding]]) -> None:
    ours = [each for each in exceptions() if (each["fct_name"], each["id_to_exclude"]) not in OF_SCAFFOLDS]
    assert [each for each in ours if not any(excepts(each, *finding) for finding in findings)] == []


def test_the_number_of_exceptions_is_known_and_each_has_its_reason() -> None:
    assert Counter(each["fct_name"] for each in exceptions()) == EXCEPTIONS
    assert all(each["comment"].strip() for each in exceptions())


def test_a_build_does_not_know_the_exceptions(manifest: dict[str, Any]) -> None:
    seeds = {node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "seed"}
    assert seeds and SEED not in seeds


def test_no_view_beside_the_generations_reads_the_ledger_of_one(manifest: dict[str, Any]) -> None:
    """Postgres binds a view to the tables that were there when it was made: those of one of the generations."""
    calls = {name: set(macro["depends_on"]["macros"]) for name, macro in manifest["macros"].items()}
    reading = {"macro.granary.ledger_table"}
    while more := {name for name, called in calls.items() if called & reading} - reading:
        reading |= more
    views = {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        and node["config"]["materialized"] == "view"
        and not node["config"]["meta"].get("published")
        and set(node["depends_on"]["macros"]) & reading
    }
    assert views == set()


def test_what_is_left_to_dbt_bouncer_is_among_its_checks() -> None:
    checks = yaml.safe_load((PROJECT_ROOT / "dbt-bouncer.yml").read_text(encoding="utf-8"))["manifest_checks"]
    assert set().union(*evaluator.ELSEWHERE.values()) <= {check["name"] for check in checks}


def resource(unique_id: str, *reads: str, **more: Any) -> dict[str, dict[str, Any]]:
    """A resource as the manifest has it, by its id: a kind, and a name with the source's before it."""
    kind, *names = unique_id.split(".")
    layer = {"stg": "staging/shop", "int": "intermediate", "fct": "marts"}.get(names[-1].split("_")[0], "staging/shop")
    node: dict[str, Any] = {
        "resource_type": kind,
        "name": names[-1],
        "original_file_path": f"models/{layer}/{names[-1]}.sql",
        "depends_on": {"nodes": list(reads), "macros": []},
    }
    if kind == "source":
        place = {"database": "raw", "schema": names[0], "identifier": names[1]}
        node |= {"source_name": names[0], "freshness": {"warn_after": {"count": 36, "period": "hour"}}, **place}
    if kind == "model":
        node |= {
            "config": {"materialized": "view" if names[-1].startswith("stg_") else "table"},
            "contract": {"enforced": True},
            "access": "public" if names[-1].startswith("fct_") else "protected",
            "columns": {},
        }
    return {unique_id: node | more}


def model(name: str, *reads: str, **more: Any) -> dict[str, dict[str, Any]]:
    """A model whose key is tested."""
    tests = {}
    for macro in ("test_unique", "test_not_null"):
        depends_on = {"nodes": [f"model.{name}"], "macros": [f"macro.dbt.{macro}"]}
        tests |= resource(f"test.{macro}_{name}", depends_on=depends_on, column_name="id")
    return {**resource(f"model.{name}", *reads, **more), **tests}


VIEW = {"config": {"materialized": "view"}}
SOUND = {
    **resource("source.shop.orders"),
    **model("stg_shop__orders", "source.shop.orders"),
    **model("int_orders__priced", "model.stg_shop__orders"),
    **model("fct_orders", "model.int_orders__priced"),
    **resource("exposure.report", "model.fct_orders"),
}
SEVEN = [f"source.shop.table_{number}" for number in range(7)]

FAULTS: dict[Callable[[Graph], list[Finding]], list[dict[str, dict[str, Any]]]] = {
    evaluator.fct_direct_join_to_source: [model("fct_orders", "model.stg_shop__orders", "source.shop.orders")],
    evaluator.fct_duplicate_sources: [resource("source.shop.sales", identifier="orders")],
    evaluator.fct_model_fanout: [
        {key: node for name in "abc" for key, node in model(f"fct_{name}", "model.fct_orders").items()}
    ],
    evaluator.fct_multiple_sources_joined: [
        resource("source.shop.lines") | model("stg_shop__orders", "source.shop.orders", "source.shop.lines")
    ],
    evaluator.fct_rejoining_of_upstream_concepts: [
        model("fct_orders", "model.int_orders__priced", "model.stg_shop__orders")
    ],
    evaluator.fct_root_models: [model("fct_orders")],
    evaluator.fct_source_fanout: [model("stg_shop__lines", "source.shop.orders")],
    evaluator.fct_unused_sources: [resource("source.shop.lines")],
    evaluator.fct_too_many_joins: [
        {key: node for name in SEVEN for key, node in resource(name).items()} | model("fct_orders", *SEVEN)
    ],
    evaluator.fct_missing_primary_key_tests: [
        resource("model.fct_lines", "model.fct_orders"),
        resource("test.test_unique_fct_orders"),
        resource(
            "test.test_unique_fct_orders",
            column_name="another",
            depends_on=SOUND["test.test_unique_fct_orders"]["depends_on"],
        ),
    ],
    evaluator.fct_sources_without_freshness: [
        resource("source.shop.orders", freshness=None),
        resource("source.shop.orders", freshness={"warn_after": {"count": None, "period": None}}),
    ],
    evaluator.fct_test_coverage: [resource("model.fct_lines", "model.fct_orders")],
    evaluator.fct_model_directories: [
        model("fct_orders", "model.int_orders__priced", original_file_path="models/marts/intermediate/fct_orders.sql"),
        model("stg_shop__orders", "source.shop.orders", original_file_path="models/staging/stg_shop__orders.sql"),
    ],
    evaluator.fct_model_naming_conventions: [model("orders", "model.fct_orders")],
    evaluator.fct_source_directories: [resource("source.shop.orders", original_file_path="models/staging/all.yml")],
    evaluator.fct_chained_views_dependencies: [
        model("int_orders__priced", "model.stg_shop__orders", **VIEW)
        | model("int_orders__taxed", "model.int_orders__priced", **VIEW)
        | model("int_orders__sent", "model.int_orders__taxed", **VIEW)
        | model("fct_orders", "model.int_orders__sent")
    ],
    evaluator.fct_exposure_parents_materializations: [
        resource("exposure.report", "source.shop.orders"),
        model("fct_orders", "model.int_orders__priced", **VIEW),
    ],
    evaluator.fct_exposures_dependent_on_private_models: [
        resource("exposure.report", "model.int_orders__priced"),
        resource("metric.sales") | resource("exposure.report", "metric.sales"),
    ],
    evaluator.fct_public_models_without_contract: [
        model("fct_orders", "model.int_orders__priced", contract={"enforced": False})
    ],
}


def graph_of(resources: dict[str, dict[str, Any]]) -> Graph:
    kinds = {"source": "sources", "exposure": "exposures", "metric": "metrics"}
    manifest: dict[str, dict[str, Any]] = {"nodes": {}, **{kind: {} for kind in kinds.values()}}
    for key, node in resources.items():
        manifest[kinds.get(node["resource_type"], "nodes")][key] = node
    return Graph(manifest, {})


def test_a_sound_project_is_accepted() -> None:
    assert {rule.__name__: rule(graph_of(SOUND)) for rule in evaluator.RULES} == {
        rule.__name__: [] for rule in evaluator.RULES
    }


def test_every_rule_has_a_fault_to_find() -> None:
    assert set(FAULTS) == set(evaluator.RULES)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [(rule, fault) for rule, faults in FAULTS.items() for fault in faults],
    ids=lambda each: getattr(each, "__name__", "fault"),
)
def test_a_fault_is_found(rule: Callable[[Graph], list[Finding]], fault: dict[str, dict[str, Any]]) -> None:
    assert rule(graph_of({**SOUND, **fault}))


def test_an_exception_is_a_pattern_for_one_column_of_one_rule() -> None:
    exception = {"fct_name": "fct_root_models", "column_name": "child", "id_to_exclude": "dim_%", "comment": "of none"}
    assert excepts(exception, "fct_root_models", {"child": "dim_dates"})
    assert not excepts(exception, "fct_root_models", {"child": "old_dim_dates"})
    assert not excepts(exception, "fct_unused_sources", {"child": "dim_dates"})
