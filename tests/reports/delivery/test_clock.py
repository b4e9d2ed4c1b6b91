"""The clock sends what is due, when something happened that could make it so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from ingestion.environment import variables
from tests.reports.delivery.conftest import SUNDAY, Reported


@pytest.fixture
def clock(reported: Reported) -> Iterator[dg.RepositoryDefinition]:
    """What Dagster finds of the club's project."""
    from orchestration.definitions import defs

    with reported.days.club.entered(), variables(reported.server.settings):
        yield defs().get_repository_def()


def test_reports_are_sent_when_something_happened(
    reported: Reported, clock: dg.RepositoryDefinition, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = clock.get_sensor_def("reports_due")

    def look(cursor: str | None) -> Any:
        with dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=clock) as context:
            return sensor.evaluate_tick(context)

    assert "there is no subscription that the clock sends" in look(None).skip_message
    reported.subscribe("by_hand", enabled=False)
    assert "there is no subscription that the clock sends" in look(None).skip_message
    reported.subscribe("visits", hold=False)
    first = look(None)
    assert len(first.run_requests) == 1
    assert clock.get_job("reports").execute_in_process(instance=instance).success
    assert [mail["Subject"] for mail in reported.server.mails] == ["Visits: Sunday, 10 March 2024"]
    second = look(first.cursor)
    assert "nothing has happened that could make a report due" in second.skip_message

    reported.days.deliver(SUNDAY, 1)
    reported.days.build(SUNDAY, tested=False)
    third = look(first.cursor)
    assert len(third.run_requests) == 1, "a generation was published"
    assert clock.get_job("reports").execute_in_process(instance=instance).success
    assert len(reported.server.mails) == 1, "whose period was reported before"

    reported.server.refused = {"new@example.com": "451 4.7.1 try again later"}
    reported.subscribe("more", hold=False, recipients=[{"to": ["new@example.com"]}])
    failed = clock.get_job("reports").execute_in_process(instance=instance, raise_on_error=False)
    assert not failed.success
    assert len(look(third.cursor).run_requests) == 1, "what failed is tried again"
    monkeypatch.setenv("REPORTS__SMTP_URL", "")
    assert "no mail server is set" in look(None).skip_message
