"""Micro-batches: what the source tells comes to the mart by itself, once, until somebody ends it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import duckdb
import pytest

from ingestion.destination.target import current_target
from ingestion.project import PROJECT_ROOT
from tests.tiny.club import Club
from warehouse.build.follow import follow
from warehouse.errors import BuildError


def said(club: Club) -> str:
    log = club.folder / "said"
    return log.read_text(encoding="utf-8") if log.exists() else ""


def wait_for(club: Club, what: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not what():
        assert time.monotonic() < until, said(club)
        time.sleep(0.05)


def outcomes(club: Club) -> list[str]:
    """How the runs ended, as DuckDB's readers see them."""
    shown = club.warehouse / "runs.duckdb"
    if not shown.exists():
        return []
    with duckdb.connect(str(shown), read_only=True) as connection:
        return [str(row[0]) for row in connection.execute("select outcome from ops_runs").fetchall()]


def test_changes_come_to_the_mart_by_themselves(club: Club) -> None:
    club.member(1, "01-01")
    club.visit(1, "01-02 10:00")
    club.deliver()
    with club.command("follow", "club", "--seconds", "0.2") as process:
        wait_for(club, lambda: "generation 1: 2 versions" in said(club))
        assert club.published() == club.expected()
        club.member(1, "01-03", tier="silver")
        club.member(1, "01-04", tier="gold")
        club.deliver()
        wait_for(club, lambda: "generation 2: 2 versions" in said(club))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, said(club)
    assert club.published() == club.expected(), "the state in between is there too"
    lines = said(club).splitlines()
    assert lines[0].startswith("following club")
    assert re.search(r"; [\d.]+ to [\d.]+ s after they were made$", lines[2])


@pytest.mark.parametrize("moment", ["building", "waiting"])
def test_it_ends_after_the_batch_that_is_being_built(club: Club, moment: str) -> None:
    """Whenever in a batch the signal comes, the batch is whole, and it is the last; between two, it ends at once."""
    club.visit(1, "01-02 10:00")
    club.deliver()
    with club.command("follow", "club", "--seconds", "600") as process:
        # The batch says nothing while it works; the run's file tells that it does, and the runs that a wait begins.
        wait_for(club, lambda: bool(list((club.warehouse / "runs").glob("*.json"))))
        if moment == "waiting":
            wait_for(club, lambda: "up to date" in outcomes(club))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0, said(club)
    assert said(club).count("generation ") == 1
    assert club.published() == club.expected()


def test_it_gives_up_where_nothing_works(club: Club) -> None:
    lines: list[str] = []
    with (
        club.entered(),
        pytest.raises(BuildError, match="there is no source 'clubs': SOURCE= says which"),
    ):
        follow(current_target(), "clubs", 0, None, lines.append)
    club.delivered.rmdir()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with (
            club.entered(),
            pytest.raises(BuildError, match="5 batches failed one after the other, the last: club: there"),
        ):
            follow(current_target(), "club", 0, None, lines.append)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            signal.signal(number, handler)
    assert len([line for line in lines if line.startswith("a batch failed: club")]) == 4


def test_what_may_pass_is_waited_for_once_it_has_worked(club: Club) -> None:
    club.visit(1, "01-02 10:00")
    club.deliver()
    with club.command("follow", "club") as process:
        wait_for(club, lambda: "generation 1: 1 versions" in said(club))
        away = club.delivered.with_name("elsewhere")
        club.delivered.rename(away)
        wait_for(club, lambda: said(club).count("a batch failed: club: there is no folder") == 2)
        away.rename(club.delivered)
        club.visit(2, "01-03 10:00")
        club.deliver()
        wait_for(club, lambda: "generation 2: 1 versions" in said(club))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, said(club)
    assert club.published() == club.expected()
    assert re.search(r"^2 batches published; from change to mart [\d.]+ s \(p50\), [\d.]+ s \(p95\)$", said(club), re.M)
    # One of many a minute is recorded whole; of the others how they ended, together and at the end.
    assert sorted(outcomes(club)).count("published") == 2 and "failed" in outcomes(club)
    with duckdb.connect(str(club.warehouse / "runs.duckdb"), read_only=True) as connection:
        told = "select count(distinct run_id) from ops_test_results where status = 'pass'"
        assert connection.execute(told).fetchall() == [(1,)]


def test_a_terminal_is_told_each_second_what_goes_on(club: Club) -> None:
    club.visit(1, "01-02 10:00")
    club.deliver()
    leader, follower = pty.openpty()
    environment = {**os.environ, **club.environment, "TARGET": "dev", "WAREHOUSE_DIR": str(club.warehouse)}
    command = [sys.executable, "-m", "warehouse", "follow", "club", "--batches", "1"]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=follower, stderr=follower) as process:
        os.close(follower)
        told = ""
        with suppress(OSError):  # the end of a terminal whose program is gone
            while part := os.read(leader, 4096):
                told += part.decode()
        assert process.wait(timeout=60) == 0, told
    os.close(leader)
    assert re.search(r"\r\x1b\[Kfollowing club: loading and building for 1 s; 0 published", told), told
    assert re.search(r"\r\x1b\[Kgeneration 1: 1 versions in ", told), told
