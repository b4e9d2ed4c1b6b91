"""Two warehouses publish the same, row by row."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import duckdb

from tests.prove.tally import BrokenPromiseError, Tally
from tests.prove.world import World
from tests.warehouses import build_from, differences, published_tables


def expect_as_at_once(world: World, what: str, tally: Tally) -> None:
    """Build everything that a world ever told in one go, elsewhere, and compare with what its warehouse publishes.

    Raises:
        BrokenPromiseError: a published table differs.
    """
    whole = world.folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    with world.systems() as systems:
        duck = {name: value for name, value in systems.items() if name not in world.engine}
        build_from(whole, duck, tested=False)
    expect_same(what, whole, world.engine or world.warehouse, tally)


def expect_same(what: str, whole: Path, other: Path | Mapping[str, str], tally: Tally) -> None:
    """Compare what two warehouses publish, row by row.

    Args:
        what: the path to `other`, for the error.
        whole: the folder of the DuckDB warehouse that was built of all at once.
        other: another's, or libpq's variables of a Postgres.
        tally: counts paths and rows.

    Raises:
        BrokenPromiseError: a published table differs.
    """
    found = differences(whole, other)
    tally.add("paths compared")
    tally.add("rows compared", _rows(whole))
    if found:
        raise BrokenPromiseError(f"{what}: tables differ from a build of all at once: {found}")


def _rows(folder: Path) -> int:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        tables = published_tables(connection, "warehouse")
        return sum(int((connection.execute(f"select count(*) from {table}").fetchone() or (0,))[0]) for table in tables)
