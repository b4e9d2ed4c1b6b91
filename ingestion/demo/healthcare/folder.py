"""The simulated clinic's folder: what its systems handed over, the truth and the simulator's state."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ingestion.demo.clock import DAY, UNIX_OFFSET, iso, stamp
from ingestion.demo.keeping import Keeper, place_files, store_files, store_state

from .clinic import Batch, Clinic, from_state, to_state
from .story import live_day
from .truth_tables import create_truth, write_truth

_FLUSH_DAYS = 60  # files wait for so many days in memory, so that a long simulation stays small
_STATE_VERSION = 1
SYSTEMS = "systems"


@contextmanager
def serving(folder: Path | str) -> Iterator[dict[str, str]]:
    """Yield the environment variables that point the sources at the folder's systems, which are files.

    Raises DemoError when the folder holds no simulated days.
    """
    root = Path(folder).absolute()
    clinic = last_state(root)
    yield {
        "SOURCES__FHIR__BUCKET_URL": str(root / SYSTEMS / "fhir"),
        "SOURCES__LAB__BUCKET_URL": str(root / SYSTEMS / "lab"),
        "GRANARY_OBSERVED_AT": iso(clinic.days * DAY),
    }


def _prepare(connection: sqlite3.Connection, folder: Path) -> None:
    for name in ("fhir", "lab"):
        (folder / SYSTEMS / name).mkdir(parents=True, exist_ok=True)
    place_files(connection, folder / SYSTEMS)
    with closing(sqlite3.connect(folder / "truth.sqlite")) as truth:
        create_truth(truth)
        truth.commit()


def _extend(connection: sqlite3.Connection, folder: Path, clinic: Clinic, days: int) -> None:
    """Simulate up to `days` days and commit them as one."""
    first = clinic.days
    for day in range(first, days):
        # Each day has its own random numbers, so that it comes out the same by whatever way it is reached.
        clinic.rng = random.Random(f"{clinic.seed}:{day}:clinic")
        live_day(clinic, day)
        clinic.days = day + 1
        if clinic.days % _FLUSH_DAYS == 0 and clinic.days < days:
            _write(connection, clinic)
            print(f"demo: {clinic.days} of {days} days", file=sys.stderr)
    if clinic.days > first:
        _write(connection, clinic)
        store_state(connection, _STATE_VERSION, clinic.days, to_state(clinic))
    connection.execute("commit")
    place_files(connection, folder / SYSTEMS)
    print(f"demo: {folder} holds {clinic.days} days, up to {stamp(clinic.days * DAY)} UTC", file=sys.stderr)


def _write(connection: sqlite3.Connection, clinic: Clinic) -> None:
    """Write what waits: files, and the truth."""
    files = ((name, content, at + UNIX_OFFSET) for name, (content, at) in clinic.batch.files.items())
    store_files(connection, files)
    write_truth(connection, clinic)
    clinic.batch = Batch()


_keeper = Keeper(
    version=_STATE_VERSION,
    databases=("truth",),
    begin=lambda seed, scale: Clinic(seed=seed, scale=scale),
    from_state=from_state,
    prepare=_prepare,
    extend=_extend,
)
simulate, next_day, last_state = _keeper.simulate, _keeper.next_day, _keeper.last_state
