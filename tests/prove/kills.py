"""kill -9 at any moment of loading, building and publishing, while a reader looks all the time.

Of a lake that workers build, any of them is killed, too, and any session that one of them or the build has with the
catalogs' Postgres is ended.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb

from tests.prove.tally import BrokenPromiseError, Tally
from tests.prove.world import Engine, NewWorld, World
from tests.warehouses import connected, reading_lake


class Reader(threading.Thread):
    """Reads what is published, over and over, and keeps what it saw of each generation."""

    def __init__(self, look: Callable[[], tuple[object, ...] | None]):
        super().__init__(daemon=True)
        self.look = look
        self.seen: dict[object, set[tuple[object, ...]]] = {}
        self.reads, self.torn, self.errors, self.worst_seconds = 0, 0, [], 0.0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.is_set():
            started = time.perf_counter()
            try:
                row = self.look()
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                continue
            self.worst_seconds = max(self.worst_seconds, time.perf_counter() - started)
            if row is None:
                continue
            self.reads += 1
            number, lines, counted = row[0], row[1], row[2]
            self.seen.setdefault(number, set()).add(row[1:])
            if lines != counted:
                self.torn += 1
            time.sleep(0.02)

    def end(self, what: str, tally: Tally) -> None:
        """Stop reading, count, and raise BrokenPromiseError where a read was torn or failed."""
        self._done.set()
        self.join(timeout=60)
        self.torn += sum(len(rows) - 1 for rows in self.seen.values())
        tally.add("reads of whole generations", self.reads - self.torn)
        tally.add("torn reads", self.torn)
        tally.add("failed reads", len(self.errors))
        tally.maximum("slowest read, seconds", self.worst_seconds)
        if self.torn or self.errors:
            raise BrokenPromiseError(f"{what}: {self.torn} torn reads {self.seen}; errors {self.errors[:3]}")


def named(engine: Engine) -> str:
    """An engine in words."""
    if not engine:
        return "DuckDB"
    return "a lake" if engine["TARGET"] == "lake" else "Postgres"


def reader_of(world: World) -> Reader:
    """A reader of the world's warehouse: over one connection, but for DuckDB's file, which is opened anew each time."""
    if world.engine.get("TARGET") == "lake":
        lake = reading_lake(world.engine, world.warehouse)

        def look_at_lake() -> tuple[object, ...] | None:
            return lake.thing.execute(world.look).fetchone()

        return Reader(look_at_lake)
    if world.engine:
        connection = connected(world.engine)

        def look() -> tuple[object, ...] | None:
            with connection.cursor() as cursor:
                cursor.execute(world.look)
                return cursor.fetchone()

        return Reader(look)

    def look_at_file() -> tuple[object, ...] | None:
        # A cursor's own instance: threads of one process would share the file's instance, and an old generation.
        with duckdb.connect(str(world.warehouse / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(world.look).fetchone()

    return Reader(look_at_file)


def prove_kills(new_world: NewWorld, folder: Path, engine: Engine, number: int, kills: int, tally: Tally) -> None:
    """Kill so many builds, each of a new day, at moments that the seed decides; then build, and compare.

    Raises:
        BrokenPromiseError: a reader saw half a generation, or the tables differ in the end.
    """
    chance = random.Random(number)
    world = new_world(folder / "killed", engine)
    world.deliver(world.withheld())
    started = time.perf_counter()
    with world.building() as process:
        if process.wait():
            raise BrokenPromiseError(f"the first build failed: {_log(world)}")
    usual = time.perf_counter() - started
    reader = reader_of(world)
    reader.start()
    what = f"kills with seed {number} on {named(engine)}"
    for kill in range(kills):
        world.pass_days()
        world.deliver(world.withheld())
        moment = chance.uniform(0.2, usual * 1.05)
        with world.building() as process:
            try:
                process.wait(timeout=moment)
                tally.add("builds that were done before their kill")
            except Exception:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                tally.add("kills survived")
        if kill % 4 == 3:
            # A whole build in between, so that kills also hit generations that catch up by two.
            _build(world, what)
    _build(world, what)
    reader.end(what, tally)
    world.expect_right(what, tally)
    tally.add("lost records", 0)  # every build's own test counts loaded + known + rejected, and failed in none


# How many workers build, and how often one build is struck at most.
WORKERS, STRIKES = 3, 6
# What a build outlives.
OF_WORKERS = {"workers killed", "workers' sessions ended"}


def prove_workers(
    new_world: NewWorld, folder: Path, engine: dict[str, str], number: int, kills: int, tally: Tally
) -> None:
    """Kill workers, end sessions and kill builds, so many times in all; then build, and compare.

    A build may fail for it, where its own session or process is struck, and then has published nothing. Where a worker
    was, the build goes on.

    Raises:
        BrokenPromiseError: a reader saw half a generation, the tables differ in the end, or a build failed although
            nothing but workers was struck.
    """
    chance = random.Random(number)
    world = new_world(folder / "workers", engine | {"GRANARY_WORKERS": str(WORKERS)})
    what = f"workers with seed {number}"
    world.deliver(world.withheld())
    _build(world, what)
    reader = reader_of(world)
    reader.start()
    done, builds = 0, 0
    while done < kills:
        world.pass_days()
        world.deliver(world.withheld())
        builds += 1
        kinds = []
        with world.building("--full" if builds % 3 == 0 else "--by-dbt") as process:
            # Mostly once there are workers, who take half of a small build to begin.
            patient = chance.random() < 0.9
            while patient and process.poll() is None and not _workers(process):
                time.sleep(0.05)
            while process.poll() is None and len(kinds) < STRIKES:
                time.sleep(chance.uniform(0.05, 0.8))
                if struck := _strike(world, process, chance):
                    tally.add(struck)
                    kinds.append(struck)
            code = process.wait(timeout=600)
        done += len(kinds)
        tally.add("builds struck that published" if code == 0 else "builds struck that failed")
        if code and set(kinds) <= OF_WORKERS:
            raise BrokenPromiseError(f"{what}: a build failed for its workers: {_log(world)}")
        if builds % 4 == 0:
            _build(world, what)
            world.expect_right(what, tally)
    _build(world, what)
    reader.end(what, tally)
    world.expect_right(what, tally)


def _strike(world: World, process: subprocess.Popen[bytes], chance: random.Random) -> str:
    """Strike something of a build. Returns what, in words; '' where there was nothing of its kind."""
    kind = chance.choices(["worker", "session", "build"], [12, 6, 1])[0]
    if kind == "build":
        os.killpg(process.pid, signal.SIGKILL)
        return "builds killed"
    if kind == "worker":
        found = _workers(process)
        if not found:
            return ""
        with suppress(ProcessLookupError):
            os.kill(chance.choice(found), signal.SIGKILL)
        return "workers killed"
    with connected(world.engine) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select pid, application_name from pg_stat_activity "
            "where application_name ~ '^lake_(granary|work)' order by pid"
        )
        sessions = cursor.fetchall()
        if not sessions:
            return ""
        process_id, name = chance.choice(sessions)
        cursor.execute("select pg_terminate_backend(%s)", [process_id])
    return "workers' sessions ended" if " worker " in name else "sessions of the build and of the queue ended"


def _workers(process: subprocess.Popen[bytes]) -> list[int]:
    """The workers that a build has started: children of the one that forks them."""
    return [worker for parent in _children(process.pid) for worker in _children(parent)]


def _children(process_id: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(each) for each in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]
    return []


def _log(world: World) -> str:
    return (world.folder / "build.log").read_text(encoding="utf-8", errors="replace")[-3000:]


def _build(world: World, what: str) -> None:
    with world.building() as process:
        if process.wait():
            raise BrokenPromiseError(f"{what}: the build after a kill failed: {_log(world)}")
