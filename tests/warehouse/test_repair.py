"""What was damaged by hand is computed again from raw: a range of days, or all history; on both engines."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from tests.prove.tally import Tally
from tests.prove.world import World
from warehouse.build.build import Request
from warehouse.build.history import rebuild_history
from warehouse.database import open_database

pytestmark = [pytest.mark.slow, pytest.mark.battery]


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """A small company's warehouse, built twice."""
    engine = None if request.param == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    made = World(tmp_path, engine)
    made.deliver(made.withheld())
    made.build()
    made.pass_days()
    made.deliver(made.withheld())
    made.build()
    return made


def change(world: World, statement: str) -> None:
    """Change something behind the build's back; `{next}` and `{snapshots}` stand for the schemas' names."""
    with (
        world.entered(),
        open_database(current_target()) as database,
    ):
        database.run(statement.format(sales=database.next("commerce", "fct_sales"), snapshots="snapshots"))


def test_a_backfill_computes_the_facts_of_its_days_again(world: World) -> None:
    # A year after the simulation's first day nothing happened; within its days everything is computed again.
    change(
        world, "update {sales} set quantity = quantity + 1 where business_date between '2024-01-04' and '2024-01-06'"
    )
    world.build(Request(backfill=(date(2024, 1, 4), date(2024, 1, 6))))
    world.expect_same_as_all_at_once("backfill", Tally())


def test_history_is_rebuilt_from_raw(world: World) -> None:
    def rebuilt() -> dict[str, tuple[int, int]]:
        with world.entered():
            return {each.name: (each.gone, each.new) for each in rebuild_history(current_target(), lambda line: None)}

    assert set(rebuilt().values()) == {(0, 0)}, "what day by day made is what raw says"
    change(world, "update {snapshots}.snap_shop__users set first_name_token = 'Nobody' where is_current")
    found = rebuilt()
    gone, new = found.pop("snap_shop__users")
    assert gone == new > 0 and set(found.values()) == {(0, 0)}
    # Both generations follow, one after the other.
    for _ in range(2):
        world.build()
        world.expect_same_as_all_at_once("rebuilt history", Tally())
        world.pass_days()
