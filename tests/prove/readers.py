"""Twenty readers, twenty publishes: no error, no mixed generation, and how long anybody waited.

The readers look their tables up in two orders, against each other, and one has a table for seconds.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg2

from ingestion.destination.target import current_target
from tests.prove.tally import BrokenPromiseError, Tally
from tests.prove.world import NewWorld
from tests.warehouses import connected
from warehouse.database import open_database
from warehouse.publish.publish import exchange_schemas
from warehouse.publish.schemas import next_schemas

# One that has a table for seconds.
LOOK_LONG = "select max(generation_number), pg_sleep(4) from ops.generation"


def prove_readers(
    new_world: NewWorld, folder: Path, engine: dict[str, str], readers: int, publishes: int, tally: Tally
) -> None:
    """Exchange two generations of a Postgres warehouse so many times under so many readers.

    Raises:
        BrokenPromiseError: a reader met an error, or two generations in one statement.
    """
    world = new_world(folder / "readers", engine)
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

    def read(look: str) -> None:
        connection = connected(engine)
        while not done.is_set():
            started = time.perf_counter()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(look)
                    row = cursor.fetchone()
            except psycopg2.Error as error:
                errors.append(str(error))
                continue
            if look == LOOK_LONG:
                continue
            with lock:
                waits.append(time.perf_counter() - started)
                seen.setdefault(row[0], set()).add(row[1:])
        connection.close()

    looks = [LOOK_LONG, *([world.look, world.look_back] * readers)][:readers]
    threads = [threading.Thread(target=read, args=[look], daemon=True) for look in looks]
    for thread in threads:
        thread.start()
    time.sleep(1)
    with lock:
        quiet = max(waits)
        waits.clear()
    try:
        with world.entered():
            target = current_target()
            with open_database(target) as database:
                schemas = next_schemas(database)
            for _ in range(publishes):
                started = time.perf_counter()
                exchange_schemas(target, schemas)
                tally.maximum("slowest publish, seconds", time.perf_counter() - started)
                tally.add("publishes under readers")
                time.sleep(0.2)
    finally:
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
