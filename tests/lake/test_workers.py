"""A lake's build by several processes, over a queue on the catalogs' Postgres."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import psycopg2
import pytest

from ingestion.destination.lake import MARTS, WORK
from ingestion.destination.lock import build_lock
from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from tests.lake.test_lake import LAKE, grow, number
from tests.tiny.club import Club
from tests.warehouses import connected, settings
from warehouse.build.build import Request
from warehouse.build.workers import office
from warehouse.build.workers.queue import announce, announced, asked_workers, end, name_of_worker
from warehouse.build.workers.timing import timing
from warehouse.errors import BuildError


@pytest.fixture
def together(engine: dict[str, str], tmp_path: Path) -> Club:
    """A club whose lake two workers build."""
    return Club(tmp_path / "club", {**engine, "GRANARY_WORKERS": "2"})


def asked(club: Club, query: str) -> list[tuple[object, ...]]:
    """What the catalogs' Postgres answers."""
    with connected(club.engine) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def slowed(club: Club, root: Path, seconds: int) -> None:
    """Have a model of the club take so long."""
    model = next(club.with_own_project(root).rglob("agg_visits__daily.sql"))
    text = model.read_text(encoding="utf-8")
    # Some two million of these a second on a core.
    slow = f"(select count(*) from range({seconds} * 3000000) as t(n) where md5(md5(n::varchar)) = '') + count(*)"
    model.write_text(text.replace("count(*)", slow, 1), encoding="utf-8")


@LAKE
def test_workers_build_what_one_process_builds(together: Club) -> None:
    grow(together)
    assert together.published() == together.expected()
    lines = together.build(Request(full=True), tested=True)
    assert together.published() == together.expected()
    [told] = [line for line in lines if line.startswith("workers built")]
    [chain] = [line for line in lines if line.startswith("the longest chain")]
    assert re.search(r"built \d+ nodes: \d+ s of work in \d+ s$", told)
    assert "computed, 8 machines" in chain
    # Nothing of it is left.
    with together.entered():
        assert announced() is None


@pytest.mark.battery
@LAKE
def test_what_fails_is_told_and_publishes_nothing(together: Club, tmp_path: Path) -> None:
    together.member(1, "01-01")
    together.visit(1, "01-02 10:00")
    together.deliver()
    model = next(together.with_own_project(tmp_path / "project").rglob("agg_visits__daily.sql"))
    sound = model.read_text(encoding="utf-8")
    model.write_text(sound.replace("count(*)", "count(*) / 0 + 'x'", 1), encoding="utf-8")
    with pytest.raises(BuildError, match=r"agg_visits__daily.*Could not convert"):
        together.build()
    model.write_text(sound, encoding="utf-8")
    together.build()
    assert together.published() == together.expected()


@pytest.mark.battery
@LAKE
def test_another_machine_builds_all_of_it(engine: dict[str, str], tmp_path: Path) -> None:
    club = Club(tmp_path / "club", {**engine, "GRANARY_WORKERS": "0"})
    club.member(1, "01-01")
    club.visit(1, "01-02 10:00")
    club.deliver()
    with club.command("worker") as worker:
        lines = club.build()
        assert club.published() == club.expected()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 128 + signal.SIGTERM
    log = (club.folder / "said").read_text(encoding="utf-8")
    assert "taking part in build 1" in log
    assert "build 1 is over" in log
    assert [line for line in lines if re.match(r"workers built \d+ nodes", line)]


@pytest.mark.battery
@LAKE
def test_a_worker_with_other_code_takes_no_part(club: Club) -> None:
    club.visit(1, "01-02 10:00")
    club.deliver()
    club.build()
    with club.entered(), build_lock(current_target()):
        build = announce(current_target(), "another project", ["build"])
        with club.command("worker", "--build", str(build.number)) as worker:
            assert worker.wait(timeout=60) == 1
        end(build)
    log = (club.folder / "said").read_text(encoding="utf-8")
    assert f"can't take part in build {build.number}: its project, its packages or its settings are not those" in log


@LAKE
def test_who_was_given_up_commits_nothing(club: Club) -> None:
    club.visit(1, "01-02 10:00")
    club.deliver()
    club.build()
    count = f"select count(*) from lake_{MARTS}.ducklake_snapshot"
    with club.entered(), build_lock(current_target()):
        target = current_target()
        assert target.lake
        build = announce(target, "", ["build"])
        [(worker,)] = asked(club, f"insert into {WORK}.procrastinate_workers default values returning id")
        os.environ["PGAPPNAME"] = name_of_worker(target, int(str(worker)))
        with closing(duckdb.connect()) as connection:
            for statement in [*target.lake.opening(), target.lake.attaching(MARTS, "marts")]:
                connection.execute(statement)
            connection.execute("create table marts.tiny.by_a_worker as select 1 as one")
            before = asked(club, count)
            # In the middle of its work it is given up.
            connection.execute("begin")
            connection.execute("insert into marts.tiny.by_a_worker values (2)")
            with connected(club.engine) as other, other.cursor() as cursor:
                cursor.execute(f"delete from {WORK}.procrastinate_workers")
            with pytest.raises(duckdb.Error, match="was given up: what it does is done by another"):
                connection.execute("commit")
            with pytest.raises(duckdb.Error, match="was given up"):
                connection.execute("create table marts.tiny.another as select 1 as one")
            assert connection.execute("select one from marts.tiny.by_a_worker").fetchall() == [(1,)]
        assert asked(club, count) == before
        end(build)


@LAKE
def test_whoever_takes_the_lock_gives_up_workers_of_a_killed_build(club: Club) -> None:
    club.visit(1, "01-02 10:00")
    club.deliver()
    club.build()
    with club.entered():
        with build_lock(current_target()):
            announce(current_target(), "", ["build"])
            asked(club, f"insert into {WORK}.procrastinate_workers default values returning id")
        with build_lock(current_target()):
            assert asked(club, f"select count(*) from {WORK}.procrastinate_workers") == [(0,)]


@pytest.mark.battery
@LAKE
@pytest.mark.parametrize("number_of_signal", [signal.SIGKILL, signal.SIGSTOP])
def test_the_node_of_a_worker_that_is_lost_or_stands_still_is_taken_over(
    together: Club, tmp_path: Path, number_of_signal: signal.Signals
) -> None:
    together.member(1, "01-01")
    together.visit(1, "01-02 10:00")
    together.deliver()
    slowed(together, tmp_path / "project", 6)
    with together.command("build") as build:
        struck = _worker_at(together, "agg_visits__daily")
        os.kill(struck, number_of_signal)
        try:
            # Others go on without it.
            assert build.wait(timeout=180) == 0, _said(together)
        finally:
            # The build ended it, as all of its own.
            with suppress(ProcessLookupError):
                os.kill(struck, signal.SIGCONT)
    assert "1 nodes were taken over from workers that were lost" in _said(together)
    assert (number(together), together.published()) == (1, together.expected())


@pytest.mark.battery
@LAKE
def test_workers_that_can_not_begin_end_the_build(together: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    together.visit(1, "01-02 10:00")
    together.deliver()
    # What they find announced is another project: no worker takes part.
    monkeypatch.setattr(office, "announce", lambda target, fingerprint, command: announce(target, "another", command))
    with pytest.raises(BuildError, match="this machine's workers ended with status 1"):
        together.build()


@pytest.mark.parametrize("target", ["dev", "lake"])
def test_workers_need_catalogs_that_others_reach(target: str, tmp_path: Path) -> None:
    told = {"TARGET": target, "WAREHOUSE_DIR": str(tmp_path), "GRANARY_WORKERS": "2"}
    with settings(told), pytest.raises(ConfigurationError, match="catalogs lie in a Postgres, and this is"):
        asked_workers(current_target())


def test_how_many_workers_is_a_number(tmp_path: Path) -> None:
    with settings({"GRANARY_WORKERS": "two"}), pytest.raises(ConfigurationError, match="WORKERS=two: say how many"):
        asked_workers(current_target())


def test_the_longest_chain_of_a_graph() -> None:
    # a (3) and b (1) before c (2), c before e (1); d (4) alone; the source takes nothing.
    above = {"a": {"source"}, "b": set(), "c": {"a", "b"}, "d": {"source"}, "e": {"c", "d"}, "source": set()}
    found = timing({"a": 3, "b": 1, "c": 2, "d": 4, "e": 1}, above)
    assert (found.seconds, found.chain, found.chain_seconds) == (11, ("a", "c", "e"), 6)
    assert found.serial_share == 6 / 11
    assert (found.with_workers(1), found.with_workers(5)) == (11, 7)


def _said(club: Club) -> str:
    return (club.folder / "said").read_text(encoding="utf-8")


def _worker_at(club: Club, name: str) -> int:
    """The process that builds a model, once it does."""
    query = (
        f"select p.process_id from {WORK}.procrastinate_jobs as j join {WORK}.processes as p using (worker_id) "
        f"where j.status = 'doing' and j.args ->> 'unique_id' like 'model.%.{name}'"
    )
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if found := asked(club, query):
                time.sleep(0.5)
                return int(str(found[0][0]))
        except psycopg2.errors.UndefinedTable:
            pass
        time.sleep(0.05)
    raise AssertionError(_said(club))
