"""kill -9 at any moment of loading, building and publishing, while a reader looks all the time."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
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
            raise BrokenPromiseError(f"the first build failed: {(world.folder / 'build.log').read_text()[-2000:]}")
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


def _build(world: World, what: str) -> None:
    with world.building() as process:
        if process.wait():
            log = (world.folder / "build.log").read_text(encoding="utf-8", errors="replace")
            raise BrokenPromiseError(f"{what}: the build after a kill failed: {log[-3000:]}")
