"""A signal in any phase of a command: nothing half-built is published, the run is recorded, and the next loses nothing.

The commands run in this process, and send the signal to themselves where the phase begins; in the last test, and in
`test_follow.py`, they are processes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.adapters.base import BaseAdapter
from dbt.task.run import ModelRunner
from dbt.task.snapshot import SnapshotRunner
from dbt.task.test import TestRunner
from dlt.extract.extract import Extract
from dlt.load.load import Load
from dlt.normalize.normalize import Normalize

from ingestion.environment import variables
from ingestion.signals import ENDING
from tests.tiny.club import Club
from tests.tiny.test_follow import said, wait_for
from tests.warehouses import connected
from warehouse import __main__, dbt
from warehouse.build import compiled, history, parsed
from warehouse.runs import runs

# Where each phase begins, in the order of a build.
PHASES = {
    "extract": (Extract, "extract"),
    "normalize": (Normalize, "run"),
    "load": (Load, "run"),
    "parse": (dbt, "parse"),
    "model": (ModelRunner, "execute"),
    "snapshot": (SnapshotRunner, "execute"),
    "test": (TestRunner, "execute"),
    "sent": (compiled, "execute"),
    "exchange": (Path, "hardlink_to"),
    "record": (runs, "collect"),
}
# Those that dbt goes through, which is left out where it has sent the same before.
BY_DBT = ("model", "snapshot", "test")
# Where other commands have changed what marts are built from, and not yet said so.
HISTORY_REBUILT, VERSIONS_ARCHIVED = (history, "_compared"), (__main__, "_say")

Place = tuple[Any, str]
Signalled = Callable[..., None]


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Signalled]:
    """Have the next call of a function begin with signals to this process; afterwards they mean what they did."""

    def begin(place: Place, *numbers: signal.Signals) -> None:
        owner, name = place
        run, is_sent = getattr(owner, name), threading.Lock()

        def first_signalled(*arguments: Any, **named: Any) -> Any:
            if is_sent.acquire(blocking=False):
                for number in numbers:
                    os.kill(os.getpid(), number)
            return run(*arguments, **named)

        monkeypatch.setattr(owner, name, first_signalled)

    before = [signal.getsignal(number) for number in ENDING]
    yield begin
    for number, handler in zip(ENDING, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a command over a club, without dbt's own tests unless `tested`. Returns its exit status."""

    def run(club: Club, *words: str, tested: bool = False, **settings: str) -> int:
        monkeypatch.setattr("sys.argv", ["warehouse", *words])
        excluded = "unit_test" if tested else "test unit_test"
        with club.entered(), variables({"DBT_EXCLUDE_RESOURCE_TYPES": excluded, **settings}):
            return __main__.main()

    return run


def tell_more(club: Club) -> None:
    """Something more to tell: a late version, which facts follow, and a visit."""
    club.member(2, "01-06", tier="gold")
    club.visit(30, "01-25 10:00", 3)
    club.deliver()


def have_sent(club: Club, command: Callable[..., int]) -> None:
    """Have dbt make all that a batch makes, and so write down what it sends."""
    club.member(1, "01-05", tier="silver")
    club.visit(29, "01-24 10:00", 2)
    club.deliver()
    assert command(club, "build") == 0


def outcomes(club: Club) -> list[str]:
    """How the runs ended, the last one last."""
    rows = club.ask(lambda d: f"select outcome from {d.target.schema('runs')}.ops_runs order by started_at")
    return [str(outcome) for (outcome,) in rows]


def test_a_build_ends_where_it_is(
    grown: Club, signalled: Signalled, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """One after the other in each phase, so that each build also goes on after the one before."""
    have_sent(grown, command)
    before = grown.published()
    tell_more(grown)
    for phase, place in PHASES.items():
        number = signal.SIGINT if phase in ("load", "snapshot") else signal.SIGTERM
        signalled(place, number)
        by_dbt = ["--by-dbt"] * (phase in BY_DBT)
        parsed._last = None  # a process of its own would parse
        assert command(grown, "build", *by_dbt, tested=phase == "test") == 128 + number, phase
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"FAILED: {number.name} ended it before it was done"), phase
        # Once it is published, only its record waits for the next run.
        assert grown.published() == (grown.expected() if phase == "record" else before), phase
    assert command(grown, "build") == 0
    assert grown.published() == grown.expected() != before
    assert outcomes(grown)[-len(PHASES) - 1 :] == ["interrupted"] * (len(PHASES) - 1) + ["published", "up to date"]


@pytest.mark.parametrize("phase", ["normalize", "snapshot", "sent", "record"])
def test_following_ends_after_its_batch(
    grown: Club, phase: str, signalled: Signalled, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    have_sent(grown, command)
    tell_more(grown)
    capsys.readouterr()
    signalled(PHASES[phase], signal.SIGTERM)
    by_dbt = ["--by-dbt"] * (phase in BY_DBT)
    assert command(grown, "follow", "club", "--seconds", "600", *by_dbt) == 0
    *_, batch, end = capsys.readouterr().out.splitlines()
    assert batch.startswith("generation 4: 2 versions in ") and end.startswith("1 batches published; ")
    assert grown.published() == grown.expected()
    assert outcomes(grown)[-1] == "published"


def test_a_second_signal_ends_the_batch_too(
    grown: Club, signalled: Signalled, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = grown.published()
    tell_more(grown)
    signalled(PHASES["model"], signal.SIGINT, signal.SIGTERM)
    assert command(grown, "follow", "club", "--seconds", "600", "--by-dbt") == 143
    assert capsys.readouterr().err.splitlines()[-1].startswith("FAILED: SIGTERM ended it before it was done")
    assert grown.published() == before
    assert outcomes(grown)[-1] == "interrupted"


def test_a_signal_is_one_where_dbt_fails_over_it(
    grown: Club, signalled: Signalled, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = grown.published()
    tell_more(grown)
    clean_up, is_over = BaseAdapter.cleanup_connections, threading.Lock()

    def fail_once(adapter: BaseAdapter) -> None:
        clean_up(adapter)
        # As where what the signal has cancelled is closed already.
        if isinstance(sys.exception(), KeyboardInterrupt) and is_over.acquire(blocking=False):
            raise duckdb.ConnectionException("Connection already closed!")

    monkeypatch.setattr(BaseAdapter, "cleanup_connections", fail_once)
    signalled(PHASES["model"], signal.SIGTERM)
    assert command(grown, "build", "--by-dbt") == 143
    assert is_over.locked()
    assert grown.published() == before
    assert outcomes(grown)[-1] == "interrupted"


def test_marts_follow_history_that_was_being_rebuilt(
    grown: Club, signalled: Signalled, command: Callable[..., int]
) -> None:
    snapshot = "snapshots.snap_club__members"
    grown.ask(lambda d: f"update {snapshot} set tier = 'bronze' where is_current and member_id < 4")
    signalled(HISTORY_REBUILT, signal.SIGTERM)
    assert command(grown, "rebuild-history") == 143
    seen = "select distinct fingerprint from {table} where relation_name = 'dim_members'"
    (before,) = grown.ask(lambda d: seen.format(table=d.published("ops", "seen")))
    grown.build()
    assert grown.ask(lambda d: seen.format(table=d.published("ops", "seen"))) != [before]
    assert grown.published() == grown.expected()


def test_marts_follow_what_was_being_archived(grown: Club, signalled: Signalled, command: Callable[..., int]) -> None:
    """Member 1 was replaced before the horizon, which is two days before the version that holds since."""
    later = {"GRANARY_OBSERVED_AT": "2028-01-06T00:00:00"}
    members = "select count(*) from {table} where member_id = 1"
    assert grown.ask(lambda d: members.format(table=d.published("tiny", "dim_members"))) == [(2,)]
    signalled(VERSIONS_ARCHIVED, signal.SIGTERM)
    assert command(grown, "retention", **later) == 143
    grown.build()
    assert grown.ask(lambda d: members.format(table=d.published("tiny", "dim_members"))) == [(1,)]


@pytest.mark.postgres
@pytest.mark.parametrize("grown", ["postgres"], indirect=True)
def test_no_session_of_an_ended_build_stays(grown: Club) -> None:
    before = grown.published()
    tell_more(grown)
    with grown.command("build") as process:
        wait_for(grown, lambda: "building and testing" in said(grown))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 143, said(grown)
    assert said(grown).splitlines()[-1].startswith("FAILED: SIGTERM ended it before it was done")
    with connected(grown.engine) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_stat_activity where application_name = 'granary'")
        assert cursor.fetchone() == (0,)
    assert grown.published() == before
    grown.build()
    assert grown.published() == grown.expected()
    assert outcomes(grown)[-2:] == ["interrupted", "published"]
