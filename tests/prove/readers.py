"""Twenty readers, twenty publishes: no error, no mixed generation, and how long anybody waited."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg2

from ingestion.destination import current_target
from tests.prove.kills import LOOK
from tests.prove.tally import BrokenPromiseError, Tally
from tests.prove.world import World
from tests.warehouse.warehouses import connected
from warehouse.database import open_database
from warehouse.publish import exchange_schemas, exchangeable_schemas


def prove_readers(folder: Path, engine: dict[str, str], readers: int, publishes: int, tally: Tally) -> None:
    """Exchange two generations of a Postgres warehouse so many times under so many readers.

    Raises:
        BrokenPromiseError: a reader met an error, or two generations in one statement.
    """
    world = World(folder / "readers", engine)
    world.deliver(world.withheld())
    world.build()
    world.pass_days()
    world.deliver(world.withheld())
    world.build()  # the second is built in full, beside the first
    done = threading.Event()
    seen: dict[object, set[tuple[object, ...]]] = {}
    errors: list[str] = []
    waits: list[float] = []
    lock = threading.Lock()

    def read() -> None:
        connection = connected(engine)
        while not done.is_set():
            started = time.perf_counter()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(LOOK)
                    row = cursor.fetchone()
            except psycopg2.Error as error:
                errors.append(str(error))
                continue
            with lock:
                waits.append(time.perf_counter() - started)
                seen.setdefault(row[0], set()).add(row[1:])
        connection.close()

    threads = [threading.Thread(target=read, daemon=True) for _ in range(readers)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    with lock:
        quiet = max(waits)
        waits.clear()
    with world.entered():
        target = current_target()
        with open_database(target) as database:
            schemas = exchangeable_schemas(database)
        for _ in range(publishes):
            started = time.perf_counter()
            exchange_schemas(target, schemas)
            tally.maximum("slowest publish, seconds", time.perf_counter() - started)
            tally.add("publishes under readers")
            time.sleep(0.2)
    done.set()
    for thread in threads:
        thread.join(timeout=60)
    mixed = sum(len(rows) - 1 for rows in seen.values())
    tally.add("reads during publishes", len(waits))
    tally.add("mixed generations", mixed)
    tally.add("readers' errors", len(errors))
    tally.maximum("readers' slowest statement without publishing, seconds", quiet)
    tally.maximum("readers' slowest statement during publishes, seconds", max(waits))
    if mixed or errors or len(seen) != 2:
        raise BrokenPromiseError(f"readers: {mixed} mixed reads of {len(seen)} generations {seen}; {errors[:3]}")
