"""Any order of loading, building, rolling back and changing code: always the same published tables."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ingestion.destination.target import current_target
from tests.prove.tally import Tally
from tests.prove.world import Engine, NewWorld, World
from tests.warehouses import connected
from warehouse.build.build import Request
from warehouse.database import open_database
from warehouse.errors import BuildError

# One step: what is done, and a number that decides what it is done with.
STEPS = (
    "days", "days", "deliver", "deliver", "deliver again", "load", "late commit", "build", "build", "build",
    "build in full", "hold", "select", "roll back", "change code",
)  # fmt: skip
Plan = list[tuple[str, int]]


def plans(least: int, most: int) -> st.SearchStrategy[Plan]:
    """Plans of so many steps."""
    return st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1_000)), min_size=least, max_size=most)


def follow(plan: Plan, world: World, tally: Tally) -> None:
    """Do what the plan says, deliver what is left, build, and compare with what must be published.

    Raises:
        BrokenPromiseError: the published tables differ.
    """
    world.deliver(world.withheld()[:3])
    world.build()
    second_is_whole = world.engine.get("TARGET", "lake") == "lake"
    for step, number in plan:
        chance = random.Random(number)
        if step == "days":
            world.pass_days(1 + number % 3)
        elif step == "deliver":
            # In any order: of the files that wait, any of them, the newest perhaps first.
            waiting = world.withheld()
            world.deliver(chance.sample(waiting, k=min(len(waiting), 1 + number % 4)))
        elif step == "deliver again":
            world.deliver_again(chance)
        elif step == "load":
            world.load()
        elif step == "late commit":
            world.load()
            tally.add("loads that commit late", world.commit_late())
        elif step == "build":
            world.build()
        elif step == "build in full":
            world.build(Request(full=True))
        elif step == "hold":
            world.build(Request(hold=True))
        elif step == "select":
            # On Postgres the second generation begins empty, and a part of it needs what it is made of.
            parts = list(world.parts)
            try:
                world.build(Request(select=chance.choice(parts if second_is_whole else parts[:1])))
            except BuildError as error:
                # A fact without the list of keys that new loads touched is not built, for it would take them for seen.
                if "has not seen the newest loads" not in str(error):
                    raise
                tally.add("parts refused for want of what they need", 1)
        elif step == "roll back":
            tally.add("generations rolled back", int(world.roll_back()))
        else:
            forget_code(world, chance.choice(world.relations))
        second_is_whole = second_is_whole or step in ("build", "build in full", "hold")
        tally.add("steps taken")
    world.deliver(world.withheld())
    world.build(tested=True)
    world.expect_right(f"plan {plan}", tally)


# The schemas that know what code a relation was built with: before its first build a generation has none.
THERE = "select table_schema from information_schema.tables where table_name = 'seen' and table_schema like 'ops%'"


def forget_code(world: World, relation: str) -> None:
    """Make a relation's code another than it was built with, in both generations: as if it had been changed."""
    statement = f"update {{schema}}.seen set fingerprint = 'another' where relation_name = '{relation}'"
    if world.engine.get("TARGET") == "lake":
        with world.entered(), open_database(current_target()) as database:
            database.run(statement.format(schema="marts.ops"))
        return
    if world.engine:
        connection = connected(world.engine)
        with connection.cursor() as cursor:
            cursor.execute(THERE)
            for (schema,) in cursor.fetchall():
                cursor.execute(statement.format(schema=schema))
        connection.close()
        return
    for name in ("warehouse.duckdb", "warehouse__next.duckdb"):
        if (world.warehouse / name).exists():
            with duckdb.connect(str(world.warehouse / name)) as connection:
                for (schema,) in connection.execute(THERE).fetchall():
                    connection.execute(statement.format(schema=schema))


def prove_paths(new_world: NewWorld, folder: Path, engine: Engine, number: int, examples: int, tally: Tally) -> None:
    """Follow so many plans. The same number gives the same plans; a plan that fails is in the error's text."""
    made = iter(range(1_000_000))

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(plan=plans(4, 9))
    def paths(plan: Plan) -> None:
        follow(plan, new_world(folder / f"path_{next(made)}", engine), tally)

    paths()
