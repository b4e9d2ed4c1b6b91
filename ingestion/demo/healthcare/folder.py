"""The simulated clinic's folder: what its systems handed over, the truth and the simulator's state."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from ingestion.demo.clock import DAY, UNIX_OFFSET, iso, stamp
from ingestion.demo.keeping import (
    check_same,
    check_size,
    load_state,
    nothing_simulated,
    opened,
    place_files,
    store_files,
    store_state,
)

from .clinic import Batch, Clinic, from_state, to_state
from .story import live_day
from .truth_tables import create_truth, write_truth

_FLUSH_DAYS = 60  # files wait for so many days in memory, so that a long simulation stays small
_STATE_VERSION = 1
SYSTEMS = "systems"


def simulate(folder: Path | str, days: int, seed: int = 7, scale: float = 1.0) -> None:
    """Create the clinic's systems up to `days` days, or extend those of the folder to that many.

    Nothing happens when they are there already. Raises DemoError when the folder belongs to another seed or scale,
    holds more days, or is something else.
    """
    check_size(days, scale)
    with _opened(Path(folder), create=True) as connection:
        clinic = _load(connection) or Clinic(seed=seed, scale=float(scale))
        check_same(Path(folder), (clinic.seed, clinic.scale, clinic.days), (seed, float(scale), days))
        _extend(connection, Path(folder), clinic, days)


def next_day(folder: Path | str, days: int = 1) -> None:
    """Simulate `days` days more than the folder holds. Raises DemoError when it holds none."""
    check_size(days, 1)
    with _opened(Path(folder), create=False) as connection:
        clinic = _load(connection)
        if clinic is None:
            raise nothing_simulated(Path(folder))
        _extend(connection, Path(folder), clinic, clinic.days + days)


def last_state(folder: Path | str) -> Clinic:
    """The clinic as of the folder's last day, all of its files in place. Raises DemoError when it holds none."""
    with _opened(Path(folder), create=False) as connection:
        clinic = _load(connection)
        connection.rollback()
    if clinic is None:
        raise nothing_simulated(Path(folder))
    return clinic


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


def _opened(folder: Path, create: bool) -> AbstractContextManager[sqlite3.Connection]:
    """The folder's databases, its files in place."""

    def prepare(connection: sqlite3.Connection) -> None:
        for name in ("fhir", "lab"):
            (folder / SYSTEMS / name).mkdir(parents=True, exist_ok=True)
        place_files(connection, folder / SYSTEMS)
        with closing(sqlite3.connect(folder / "truth.sqlite")) as truth:
            create_truth(truth)
            truth.commit()

    return opened(folder, ("truth",), create, prepare)


def _load(connection: sqlite3.Connection) -> Clinic | None:
    state = load_state(connection, _STATE_VERSION)
    return None if state is None else from_state(state)


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
