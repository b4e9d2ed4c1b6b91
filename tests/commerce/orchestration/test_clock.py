"""The clock, run for real: a morning's run, a retry that heals, a file that is seen, a schedule that ticks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from ingestion.demo.commerce import serving
from ingestion.demo.commerce.server import Fault
from ingestion.project import PROJECT_ROOT
from tests.ports import free_port
from tests.warehouses import settings

pytestmark = pytest.mark.slow


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copyfile(PROJECT_ROOT / "orchestration" / "dagster.yaml", home / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(home)) as found:
        yield found


def definitions() -> dg.Definitions:
    from orchestration.definitions import defs

    return defs()


def published(warehouse: Path) -> tuple[int, int]:
    # Only what readers open: a run may be writing to the rest.
    with duckdb.connect(str(warehouse / "warehouse.duckdb"), read_only=True) as connection:
        row = connection.execute(
            "select (select max(generation_number) from ops.generation), (select count(*) from commerce.fct_orders)"
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def test_every_source_and_mart_is_an_asset_with_lineage(built: Path) -> None:
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(built)}):
        graph = definitions().get_repository_def().asset_graph
    key = dg.AssetKey(["commerce", "fct_sales"])
    assert {dg.AssetKey(["shop", "orders"]), dg.AssetKey(["retail", "sales_lines"])} <= graph.get_ancestor_asset_keys(
        key
    )
    assert graph.get(key).group_name == "commerce" and graph.get(key).freshness_policy is not None
    assert graph.get(dg.AssetKey(["shop", "orders"])).freshness_policy is not None
    assert key in graph.get_ancestor_asset_keys(dg.AssetKey("site"))
    assert len(graph.asset_check_keys) > 150


def test_a_failing_source_heals_by_a_retry_and_a_generation_is_published(
    running: tuple[Path, Path], instance: dg.DagsterInstance
) -> None:
    """The API answers with errors at first, more often than one load puts up with."""
    company, warehouse = running
    before = published(warehouse)
    with (
        serving(company, faults=[Fault("500", request=1)] * 6) as systems,
        settings({"TARGET": "dev", **systems, "WAREHOUSE_DIR": str(warehouse)}),
    ):
        result = definitions().get_job_def("micro_batch").execute_in_process(instance=instance, raise_on_error=False)
        assert result.success
        retried = [event for event in result.all_events if event.event_type_value == "STEP_RESTARTED"]
        assert {event.step_key for event in retried} == {"load_accounts"}
        made = {
            event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key
        }
        checks = result.get_asset_check_evaluations()
    assert {"shop/orders", "commerce/fct_sales", "commerce/dim_customers"} <= made
    assert len(checks) > 150 and all(check.passed for check in checks)
    number, orders = published(warehouse)
    assert number == before[0] + 1 and orders > before[1]


def test_days_gone_by_are_built_as_partitions(running: tuple[Path, Path], instance: dg.DagsterInstance) -> None:
    company, warehouse = running
    before = published(warehouse)
    with (
        serving(company, faults=[]) as systems,
        settings({"TARGET": "dev", **systems, "WAREHOUSE_DIR": str(warehouse)}),
    ):
        result = definitions().get_job_def("backfill").execute_in_process(
            instance=instance, tags={"dagster/asset_partition_range_start": "2024-02-01",
                                     "dagster/asset_partition_range_end": "2024-02-03"},
        )  # fmt: skip
    assert result.success
    assert published(warehouse)[0] == before[0] + 1


def test_a_new_file_is_seen_once(tmp_path: Path, built: Path, instance: dg.DagsterInstance) -> None:
    files = tmp_path / "files"
    files.mkdir()
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(built), "SOURCES__RETAIL__BUCKET_URL": str(files)}):
        repository = definitions().get_repository_def()
        sensor = repository.get_sensor_def("new_files")

        def look(cursor: str | None) -> Any:
            with dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository) as context:
                return sensor.evaluate_tick(context)

        first = look(None)
        assert first.run_requests == [] and "no new file among 0" in first.skip_message
        (files / "2024-03-04.csv").write_text("a", encoding="utf-8")
        came = look(first.cursor)
        assert len(came.run_requests) == 1 and came.run_requests[0].tags["files"] == "1: retail/2024-03-04.csv"
        again = look(came.cursor)
        assert again.run_requests == [] and "no new file among 1" in again.skip_message
        (files / "2024-03-04.csv").write_text("corrected", encoding="utf-8")
        assert len(look(again.cursor or came.cursor).run_requests) == 1


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
