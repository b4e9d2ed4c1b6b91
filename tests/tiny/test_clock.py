"""The clock, run for real: a retry that heals, days gone by as partitions, a file that is seen."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.tiny.club import Club


@pytest.fixture
def clock(grown: Club) -> Iterator[dg.RepositoryDefinition]:
    """What Dagster finds of the club's project."""
    from orchestration.definitions import defs

    with grown.entered():
        yield defs().get_repository_def()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the clock means to wait before each retry; here it waits for one."""
    asked: list[float] = []
    meant = dg.RetryPolicy.calculate_delay

    def one(policy: dg.RetryPolicy, attempt: int) -> float:
        asked.append(meant(policy, attempt))
        return 1

    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", one)
    return asked


def generation(club: Club) -> int:
    rows = club.ask(lambda database: f"select max(generation_number) from {database.published('ops', 'generation')}")
    return int(rows[0][0])


def heal(club: Club, away: Path, instance: dg.DagsterInstance, over: threading.Event) -> None:
    """Bring the source's folder back once its load has failed."""
    failed = dg.DagsterEventType.STEP_UP_FOR_RETRY
    while not over.wait(0.1):
        if any(instance.all_logs(run.run_id, of_type=failed) for run in instance.get_runs()):
            away.rename(club.delivered)
            return


def test_a_failing_source_heals_by_a_retry_and_a_generation_is_published(
    grown: Club, clock: dg.RepositoryDefinition, instance: dg.DagsterInstance, waits: list[float]
) -> None:
    grown.visit(20, "01-20 10:00", 2)
    grown.deliver()
    before, away, over = generation(grown), grown.delivered.with_name("elsewhere"), threading.Event()
    grown.delivered.rename(away)
    healer = threading.Thread(target=heal, args=(grown, away, instance, over))
    healer.start()
    try:
        result = clock.get_job("micro_batch").execute_in_process(instance=instance, raise_on_error=False)
    finally:
        over.set()
        healer.join()
    assert result.success
    retried = [event for event in result.all_events if event.event_type_value == "STEP_RESTARTED"]
    assert {event.step_key for event in retried} == {"load_club"}
    assert waits and 0 < waits[0] <= 60, "half a minute, give or take as much"
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
    assert {"club/visits", "tiny/fct_visits", "tiny/dim_members"} <= made
    checks = result.get_asset_check_evaluations()
    assert [check.check_name for check in checks if not check.passed] == [] and len(checks) >= 20
    assert generation(grown) == before + 1
    assert grown.published() == grown.expected()


def test_days_gone_by_are_built_as_partitions(
    grown: Club, clock: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    before = generation(grown)
    days = {"dagster/asset_partition_range_start": "2025-01-03", "dagster/asset_partition_range_end": "2025-01-05"}
    assert clock.get_job("backfill").execute_in_process(instance=instance, tags=days).success
    assert generation(grown) == before + 1
    assert grown.published() == grown.expected()


def test_a_new_file_is_seen_once(grown: Club, clock: dg.RepositoryDefinition, instance: dg.DagsterInstance) -> None:
    sensor = clock.get_sensor_def("new_files")

    def look(cursor: str | None) -> Any:
        with dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=clock) as context:
            return sensor.evaluate_tick(context)

    first = look(None)
    assert len(first.run_requests) == 1 and first.run_requests[0].tags["files"].startswith("4: club/0001.")
    again = look(first.cursor)
    assert again.run_requests == [] and "no new file among 4" in again.skip_message
    (grown.delivered / "0003.visits.csv").write_text("a", encoding="utf-8")
    came = look(again.cursor or first.cursor)
    assert len(came.run_requests) == 1 and came.run_requests[0].tags["files"] == "1: club/0003.visits.csv"
    os.utime(grown.delivered / "0003.visits.csv", (1, 1))
    assert len(look(came.cursor).run_requests) == 1
