"""Batches by dbt and by what dbt sent before: the same tables after each, whatever is killed in between."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.prove.tally import BrokenPromiseError, Tally
from tests.prove.world import Engine, NewWorld, World
from tests.warehouses import differences
from warehouse.build import compiled, work
from warehouse.build.build import Request
from warehouse.database import Database

LONGEST_SECONDS = 120


def prove_batches(
    new_world: NewWorld, folder: Path, engine: Engine, number: int, batches: int, kills: int, tally: Tally
) -> None:
    """Follow one source with two warehouses: dbt makes each batch of one, on DuckDB; the other is sent what dbt sent.

    The other is killed in so many batches: at a statement, or at a moment of loading, building or publishing. What the
    source tells comes in any order. After each batch every row of every published table is compared.

    Raises:
        BrokenPromiseError: a published table differs, from the other's or from what it must be.
    """
    chance = random.Random(number)
    what = f"batches with seed {number} on {'Postgres' if engine else 'DuckDB'}"
    by_dbt, fast = new_world(folder / "by_dbt", None), new_world(folder / "fast", engine)
    for _ in range(2):
        for world in (by_dbt, fast):
            world.deliver(world.withheld()[:4])
            world.build()
    killed = set(chance.sample(range(2, batches), k=kills))
    with _counted() as sent:
        for batch in range(batches):
            if chance.random() < 0.7:
                by_dbt.pass_days()
                fast.pass_days()
            waiting = len(fast.withheld())
            told = chance.sample(range(waiting), k=min(waiting, chance.randrange(1, 4)))
            for world in (by_dbt, fast):
                parts = world.withheld()
                world.deliver([parts[each] for each in told])
            if batch in killed:
                tally.add("kills survived", int(_kill(fast, chance)))
            by_dbt.build(Request(by_dbt=True))
            fast.build(Request(is_batch=True, by_rows=True))
            found = differences(by_dbt.warehouse, fast.engine or fast.warehouse, least=3)
            tally.add("batches compared")
            if found:
                raise BrokenPromiseError(f"{what}: after batch {batch} (killed: {batch in killed}) differ {found}")
    fast.expect_right(what, tally)
    tally.add("batches without dbt", len(sent))
    if len(sent) < (batches - kills) / 2:
        raise BrokenPromiseError(f"{what}: dbt made most of them: {len(sent)} of {batches} were sent")


@contextmanager
def _counted() -> Iterator[list[int]]:
    """The relations of each batch that was sent as a whole."""
    found: list[int] = []
    run = compiled.run

    def counted(session: Any, relations: frozenset[str], *others: Any) -> list[compiled.Answer]:
        answers = run(session, relations, *others)
        made = sum(each.status == "success" for each in answers)
        if made and made == len(relations):
            found.append(made)
        return answers

    work.compiled.run = counted
    try:
        yield found
    finally:
        work.compiled.run = run


def _kill(world: World, chance: random.Random) -> bool:
    """Build in a process of its own that ends by SIGKILL: before a statement, or somewhen. Says whether it did."""
    statement = chance.randrange(1, 40) if chance.random() < 0.6 else None
    moment = chance.uniform(0.0, 1.2)
    process = os.fork()
    if not process:
        try:
            _die(statement, moment)
            world.build(Request(is_batch=True, by_rows=True))
        finally:
            os._exit(0)
    until = time.monotonic() + LONGEST_SECONDS
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.WIFSIGNALED(status)
        if time.monotonic() > until:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return True
        time.sleep(0.01)


def _die(statement: int | None, moment: float) -> None:
    def end() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if statement is None:
        threading.Timer(moment, end).start()
        return
    left = iter(range(statement, -1, -1))
    execute: Callable[[Database, str], Sequence[tuple[Any, ...]]] = compiled.execute

    def counted(database: Database, text: str) -> Any:
        if next(left) == 0:
            end()
        return execute(database, text)

    compiled.execute = counted
