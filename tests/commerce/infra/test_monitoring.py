"""The company's metrics as Prometheus has them, on both engines, and the dashboards over DuckDB's files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.monitoring.panels import DASHBOARDS
from infra.monitoring.published import look
from ingestion.destination.target import current_target
from tests.infra.monitoring.conftest import programs
from tests.infra.monitoring.systems import granary_endpoint, node_exporter, prometheus, until
from tests.warehouses import settings

__all__ = ["programs"]

pytestmark = pytest.mark.slow

DAY = date(2024, 4, 9)  # the company is looked at in the night after it
# The company's checks pass; tests/infra/monitoring/test_prometheus.py asks it of a warehouse in trouble.
OF_TROUBLE = "Checks, rejects and unusual loads: "
BY_HAND = {
    "net_sales": "select sum(case when is_net_sales then net_reporting_amount end) from marts.commerce.fct_sales",
    "units_sold": "select sum(case when line_type = 'sale' then quantity end) from marts.commerce.fct_sales",
}


def looked_at(environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """What is kept of a published warehouse, and what was said of it."""
    said: list[str] = []
    with settings({"TARGET": "dev", **environment, "WAREHOUSE_DIR": str(folder)}):
        look(current_target(), said.append)
    (kept,) = folder.glob("published.*.json")
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    assert said == [f"generation 1: {len(found['bytes'])} tables, {len(found['values'])} metrics"]
    return found


@pytest.fixture(scope="module")
def warehouse(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the company's, for what is kept beside it."""
    folder = tmp_path_factory.mktemp("monitored") / "warehouse"
    shutil.copytree(built, folder)
    return folder


def test_values_are_those_of_the_last_day_that_is_over(warehouse: Path) -> None:
    kept = looked_at({}, warehouse)
    assert kept["failure"] == "" and kept["day"] == str(DAY)
    values = {name: (value, unit) for name, unit, value in kept["values"]}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{warehouse / 'warehouse.duckdb'}' as marts (read_only)")
        for name, sql in BY_HAND.items():
            (expected,) = connection.execute(f"{sql} where business_date = ?", [DAY]).fetchone() or (None,)
            assert expected and values[name][0] == pytest.approx(float(expected))
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'marts'"
        ).fetchall()
    assert values["net_sales"][1] == "GBP" and values["orders"][1] == ""
    assert len(values) > 10 and not {"retention", "cohort_customers"} & set(values), "those are given by month"
    sizes = {(schema, name): size for schema, name, size in kept["bytes"]}
    assert set(sizes) == set(tables) and sizes["commerce", "fct_sales"] > 0


@pytest.mark.postgres
def test_both_engines_say_the_same(
    warehouse: Path, marts_on_postgres: Callable[[], dict[str, str]], tmp_path: Path
) -> None:
    on_postgres = looked_at(marts_on_postgres(), tmp_path)
    on_duckdb = looked_at({}, warehouse)
    assert on_postgres["day"] == on_duckdb["day"]
    same = {name: (unit, pytest.approx(value)) for name, unit, value in on_duckdb["values"]}
    assert {name: (unit, value) for name, unit, value in on_postgres["values"]} == same
    assert {table[1] for table in on_postgres["bytes"]} >= {"fct_sales", "dim_customers"}
    assert all(size > 0 for *_, size in on_postgres["bytes"] if _[1].startswith("fct_"))


def test_dashboards_over_duckdb_are_answered(warehouse: Path, programs: None, tmp_path: Path) -> None:
    with ExitStack() as systems:
        environment = {"TARGET": "dev", "WAREHOUSE_DIR": str(warehouse)}
        targets = {
            "granary": systems.enter_context(granary_endpoint(environment, tmp_path / "granary.log")),
            "node": systems.enter_context(node_exporter(tmp_path / "node.log", tmp_path)),
        }
        seen = systems.enter_context(prometheus(tmp_path / "prometheus", targets))
        panels = tuple(panel for name, panels in DASHBOARDS.items() if name != "Database" for panel in panels)
        until(
            lambda: [each for each in seen.empty(panels) if not each.startswith(OF_TROUBLE)] == [],
            lambda: f"{seen.empty(panels)} {(tmp_path / 'granary.log').read_text()}", 50,
        )  # fmt: skip
        values = {each["metric"]["metric"] for each in seen.ask("granary_metric_value")}
        assert {"net_sales", "orders"} <= values
