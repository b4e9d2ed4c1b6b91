"""What a simulator keeps in its folder: SQLite databases and files that one transaction writes.

Files are put into place after the databases have committed, from what they stored. So a kill leaves either the days
before, or everything of the new ones, and the next command finishes the files.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from . import DemoError

_SIMULATE = "run `python -m ingestion.demo simulate --domain …"


class World(Protocol):
    """What is simulated, as far as any keeper knows it."""

    seed: int
    scale: float
    days: int


W = TypeVar("W", bound=World)


@dataclass(frozen=True)
class Keeper(Generic[W]):
    """Keeps a simulator's world in a folder.

    version: of its stored state.
    databases: the folder's databases beside the simulator's own.
    begin: makes a new world of a seed and a scale.
    from_state: makes one of a stored state.
    prepare: puts files into place and makes systems that are missing, before the transaction begins.
    extend: simulates up to so many days, and commits them as one.
    """

    version: int
    databases: Sequence[str]
    begin: Callable[[int, float], W]
    from_state: Callable[[dict[str, Any]], W]
    prepare: Callable[[sqlite3.Connection, Path], None]
    extend: Callable[[sqlite3.Connection, Path, W, int], None]

    def simulate(self, folder: Path | str, days: int, seed: int = 7, scale: float = 1.0) -> None:
        """Create the world's systems up to `days` days, or extend those of the folder to that many.

        Nothing happens when they are there already. Raises DemoError when the folder belongs to another seed or scale,
        holds more days, or is something else.
        """
        _check_size(days, scale)
        with self._opened(Path(folder), create=True) as connection:
            world = self._load(connection) or self.begin(seed, float(scale))
            _check_same(Path(folder), (world.seed, world.scale, world.days), (seed, float(scale), days))
            self.extend(connection, Path(folder), world, days)

    def next_day(self, folder: Path | str, days: int = 1) -> None:
        """Simulate `days` days more than the folder holds. Raises DemoError when it holds none."""
        _check_size(days, 1)
        with self._opened(Path(folder), create=False) as connection:
            world = self._held(connection, Path(folder))
            self.extend(connection, Path(folder), world, world.days + days)

    def last_state(self, folder: Path | str) -> W:
        """The world as of the folder's last day, all of its files in place. Raises DemoError when it holds none."""
        with self._opened(Path(folder), create=False) as connection:
            return self._held(connection, Path(folder))

    def _opened(self, folder: Path, create: bool) -> AbstractContextManager[sqlite3.Connection]:
        return _opened(folder, self.databases, create, lambda connection: self.prepare(connection, folder))

    def _load(self, connection: sqlite3.Connection) -> W | None:
        state = _load_state(connection, self.version)
        return None if state is None else self.from_state(state)

    def _held(self, connection: sqlite3.Connection, folder: Path) -> W:
        world = self._load(connection)
        if world is None:
            raise DemoError(f"{folder} holds no simulated days: {_SIMULATE} --folder {folder}` first.")
        return world


@contextmanager
def _opened(
    folder: Path, databases: Sequence[str], create: bool, prepare: Callable[[sqlite3.Connection], None]
) -> Iterator[sqlite3.Connection]:
    """A folder's databases on one connection, in a transaction that keeps other simulators out.

    Args:
        folder: the simulator's.
        databases: those beside its own, each attached by its name.
        create: whether a folder that holds nothing becomes one.
        prepare: called before the transaction begins: puts files into place, makes systems that are missing.

    Raises:
        DemoError: it is no folder of the demo, or another simulator is at work there.
    """
    own = folder / "simulator.sqlite"
    if not own.exists():
        if not create:
            raise DemoError(f"{folder} is no folder of the demo: {_SIMULATE} --folder {folder}` first.")
        if folder.exists() and any(folder.iterdir()):
            raise DemoError(f"{folder} holds something else: choose a folder that is empty or does not exist yet.")
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(own, isolation_level=None, timeout=5)) as connection:
        for name in databases:
            connection.execute("attach database ? as " + name, (str(folder / f"{name}.sqlite"),))
        # Rollback journals: with them, and only with them, SQLite commits attached databases as one.
        for name in ("main", *databases):
            connection.execute(f"pragma {name}.synchronous = normal")
            connection.execute(f"pragma {name}.cache_size = -65536")
        # What files took is given back once they are in their places; a file that holds tables already stays as it is.
        connection.execute("pragma main.auto_vacuum = full")
        _begin(connection, folder)
        connection.execute("create table if not exists state (version integer, days integer, content blob)")
        connection.execute(
            "create table if not exists files (name text primary key, content blob, modified_at integer)"
        )
        connection.execute("commit")
        prepare(connection)
        _begin(connection, folder)
        yield connection
        if connection.in_transaction:
            connection.rollback()


def _begin(connection: sqlite3.Connection, folder: Path) -> None:
    try:
        connection.execute("begin immediate")
    except sqlite3.OperationalError as error:
        raise DemoError(f"{folder} is busy: another simulator is at work there; wait until it is done.") from error


def _check_size(days: int, scale: float) -> None:
    """Raise DemoError where a world can't be simulated over so many days, or be of that size."""
    if days < 1 or scale <= 0:
        raise DemoError(f"days must be at least 1 and scale above 0, but they are {days} and {scale}.")


def _check_same(folder: Path, held: tuple[int, float, int], wanted: tuple[int, float, int]) -> None:
    """Raise DemoError where a folder can't become what is wanted of it; each says seed, scale and days."""
    if held[:2] != wanted[:2]:
        raise DemoError(
            f"{folder} was simulated with seed {held[0]} and scale {held[1]}, not {wanted[0]} and {wanted[1]}: "
            "ask for the same, or choose another folder."
        )
    if held[2] > wanted[2]:
        raise DemoError(f"{folder} holds {held[2]} days already, more than {wanted[2]}: choose another folder.")


def _load_state(connection: sqlite3.Connection, version: int) -> dict[str, Any] | None:
    """The stored state, None where there is none. Raises DemoError where it is of another version of the demo."""
    row = connection.execute("select version, content from state").fetchone()
    if row is None:
        return None
    if row[0] != version:
        raise DemoError("The folder was simulated by another version of the demo: simulate into a new folder.")
    state: dict[str, Any] = pickle.loads(row[1])
    return state


def store_state(connection: sqlite3.Connection, version: int, days: int, state: dict[str, Any]) -> None:
    """Replace the stored state."""
    connection.execute("delete from state")
    content = pickle.dumps(state, protocol=5)
    connection.execute("insert into state values (?, ?, ?)", (version, days, content))


def store_files(connection: sqlite3.Connection, files: Iterable[tuple[str, bytes, int]]) -> None:
    """Store files (name, content, Unix time of delivery) for after the commit."""
    connection.executemany("insert or replace into files values (?, ?, ?)", files)


def place_files(connection: sqlite3.Connection, root: Path) -> None:
    """Put the committed files below a folder, each with its time of delivery, whole or not at all."""
    rows = connection.execute("select name, content, modified_at from files order by name").fetchall()
    for name, content, modified_at in rows:
        incoming, place = root.parent / f"{name.replace('/', '-')}.incoming", root / name
        incoming.write_bytes(content)
        os.utime(incoming, (modified_at, modified_at))
        place.parent.mkdir(parents=True, exist_ok=True)
        incoming.replace(place)
    if rows:
        connection.execute("delete from files")
