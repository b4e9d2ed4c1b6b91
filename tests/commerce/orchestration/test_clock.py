"""What the clock sees of the company, and a schedule that ticks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from ingestion.demo.commerce import serving
from ingestion.project import PROJECT_ROOT
from tests.ports import free_port
from tests.warehouses import settings


def published(warehouse: Path) -> tuple[int, int]:
    # Only what readers open: a run may be writing to the rest.
    with duckdb.connect(str(warehouse / "warehouse.duckdb"), read_only=True) as connection:
        row = connection.execute(
            "select (select max(generation_number) from ops.generation), (select count(*) from commerce.fct_orders)"
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def test_every_source_and_mart_is_an_asset_with_lineage(tmp_path: Path) -> None:
    from orchestration.definitions import defs

    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(tmp_path)}):
        graph = defs().get_repository_def().asset_graph
    key = dg.AssetKey(["commerce", "fct_sales"])
    assert {dg.AssetKey(["shop", "orders"]), dg.AssetKey(["retail", "sales_lines"])} <= graph.get_ancestor_asset_keys(
        key
    )
    assert graph.get(key).group_name == "commerce" and graph.get(key).freshness_policy is not None
    assert graph.get(dg.AssetKey(["shop", "orders"])).freshness_policy is not None
    assert key in graph.get_ancestor_asset_keys(dg.AssetKey("site"))
    assert len(graph.asset_check_keys) > 150


@pytest.mark.battery
def test_a_schedule_ticks_and_publishes(running: tuple[Path, Path], tmp_path: Path) -> None:
    """`make serve` itself, with a schedule two minutes from now: its daemon starts the run, readers see the result."""
    company, warehouse = running
    before = published(warehouse)
    soon = datetime.now(UTC) + timedelta(minutes=2)
    with serving(company, faults=[]) as systems:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("SOURCES__", "PG"))}
        environment = {
            **plain, **systems, "TARGET": "dev", "WAREHOUSE_DIR": str(warehouse),
            "CLOCK__DAILY": f"{soon.minute} * * * *",
            "DAGSTER_HOME": str(tmp_path / "dagster"), "DBT_TARGET_PATH": str(tmp_path / "target"),
        }  # fmt: skip
        log = (tmp_path / "serve.log").open("w", encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", "--port", str(free_port())], cwd=PROJECT_ROOT, env=environment,
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 420
            while not ticked(tmp_path / "dagster") and time.monotonic() < deadline:
                assert process.poll() is None, (tmp_path / "serve.log").read_text(encoding="utf-8")[-2000:]
                time.sleep(2)
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    number, orders = published(warehouse)
    # The sensor of new files may have been first.
    assert number > before[0] and orders > before[1]


def ticked(home: Path) -> bool:
    """Whether a run that the schedule asked for is done."""
    if not (home / "dagster.yaml").exists():
        return False
    with dg.DagsterInstance.from_config(str(home)) as found:
        runs = found.get_runs(dg.RunsFilter(tags={"dagster/schedule_name": "every_morning"}))
    assert all(run.status != dg.DagsterRunStatus.FAILURE for run in runs)
    return any(run.status == dg.DagsterRunStatus.SUCCESS for run in runs)
