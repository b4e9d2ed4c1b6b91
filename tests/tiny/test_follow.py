"""Micro-batches: what the source tells comes to the mart by itself, once, until somebody ends it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable

import duckdb
import pytest

from ingestion.destination.target import current_target
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
