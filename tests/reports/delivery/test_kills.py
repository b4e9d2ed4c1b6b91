"""A process that is killed in the middle of a delivery sends nothing twice, and nothing is lost in silence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from ingestion.destination.target import current_target
from ingestion.environment import variables
from ingestion.project import PROJECT_ROOT
from orchestration.alerts.conditions import what_is_wrong
from tests.reports.delivery.conftest import Reported
from tests.reports.delivery.test_delivery import asked

pytestmark = pytest.mark.slow


@pytest.fixture
def command(reported: Reported) -> Callable[..., subprocess.Popen[bytes]]:
    """The command as a process of its own."""
    reported.subscribe("visits", hold=False)  # by the real clock the club is late

    def run(*words: str) -> subprocess.Popen[bytes]:
        with reported.days.club.entered(), variables(reported.server.settings):
            return subprocess.Popen(
                [sys.executable, "-m", "reports.delivery", *words], cwd=PROJECT_ROOT, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    return run


def finished(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=60)
    return process.returncode, said.decode()


def alerts(reported: Reported) -> list[str]:
    with reported.days.club.entered():
        found = what_is_wrong(current_target(), datetime.now(UTC).replace(tzinfo=None))
    return [alert.what for alert in found if alert.key.startswith("report ")]


def test_killed_before_the_message_it_is_sent_by_the_next_run(
    reported: Reported, command: Callable[..., subprocess.Popen[bytes]]
) -> None:
    running: list[subprocess.Popen[bytes]] = []
    reported.server.on_receiver = lambda: os.kill(running[0].pid, signal.SIGKILL)
    running.append(command())
    assert finished(running[0])[0] == -signal.SIGKILL
    assert reported.server.mails == []
    reported.server.on_receiver = lambda: None
    status, said = finished(command())
    assert status == 0 and "1 sent" in said, said
    assert len(reported.server.mails) == 1 and alerts(reported) == []
    assert finished(command()) == (0, "nothing is due\n")


def test_killed_after_the_message_it_is_not_sent_again_by_itself(
    reported: Reported, command: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """The server has the message and is about to say so: the one moment of which SMTP lets nobody know."""
    running: list[subprocess.Popen[bytes]] = []
    reported.server.on_message = lambda: os.kill(running[0].pid, signal.SIGKILL)
    running.append(command())
    assert finished(running[0])[0] == -signal.SIGKILL
    reported.server.on_message = lambda: None
    (first,) = reported.server.mails

    status, said = finished(command())
    assert status == 1 and "1 unknown" in said, said
    assert finished(command()) == (0, "nothing is due\n")
    assert len(reported.server.mails) == 1
    assert alerts(reported) == [
        "the report visits to recipient 1 of everybody: sent or not, nobody knows; not tried again: the process ended "
        "while the message was handed over: the server may have it or not"
    ]
    status, said = finished(command("visits", "--again"))
    assert status == 0, said
    _, repeated = reported.server.mails
    assert repeated["Message-ID"] == first["Message-ID"], "who has it already can tell"
    assert alerts(reported) == []


def test_killed_before_it_is_recorded_it_is_recorded_later(
    reported: Reported, command: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """The connection ends in the middle of the answer, and the process goes on: it is as unknown as after a kill."""
    reported.server.answer = "421 4.3.2 shutting down"
    status, said = finished(command())
    assert status == 1 and "1 failed" in said, said
    reported.server.answer = "250 OK"
    assert finished(command())[0] == 0
    assert len(reported.server.mails) == 1
    assert [row[3] for row in reported.recorded()] == ["failed", "sent"]
    assert asked(reported, "select count(*) from tiny.fct_visits") == [(42,)]


def test_help_and_wrong_names(reported: Reported, command: Callable[..., subprocess.Popen[bytes]]) -> None:
    status, said = finished(command("--help"))
    assert status == 0 and "each period once" in said
    status, said = finished(command("vists"))
    assert (status, said) == (2, "FAILED: there is no subscription 'vists': there are visits\n")
    status, said = finished(command("--list"))
    assert status == 0 and "everybody: all rows, 1 recipient\n" in said
