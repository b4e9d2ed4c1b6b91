"""Postgres: what readers may see, and what they see while a generation is exchanged under them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date
from typing import Any

import psycopg2
import pytest

from tests.tiny.world import TinyWorld
from tests.warehouses import as_environment, connected

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def world(new_postgres_database: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    """A small company's warehouse on Postgres, built twice, so that both generations are there."""
    engine = as_environment(new_postgres_database())
    made = TinyWorld(tmp_path_factory.mktemp("rights"), {**engine, "TARGET": "prod"})
    made.deliver(made.withheld())
    made.build()
    another_day(made)
    return made


def another_day(world: TinyWorld) -> None:
    world.pass_days()
    world.deliver(world.withheld())
    world.build()


def ask(connection: Any, statement: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def test_rights_policies_and_indexes_follow_the_published_names(world: TinyWorld) -> None:
    with closing(connected(world.engine)) as owner:
        ask(owner, """
            drop role if exists granary_analyst; create role granary_analyst login;
            grant usage on schema tiny to granary_analyst;
            grant select on tiny.fct_visits, tiny.agg_visits__daily to granary_analyst;
            grant select (member_key, valid_from) on tiny.dim_members to granary_analyst;
            alter table tiny.fct_visits enable row level security;
            create policy first_day_alone on tiny.fct_visits for select to granary_analyst
                using (visited_date = '2025-01-01')""")  # fmt: skip
        # Two builds, so that both generations have been published since.
        for _ in range(2):
            another_day(world)
            with closing(connected(world.engine, "granary_analyst")) as analyst:
                assert ask(analyst, "select count(*) from tiny.agg_visits__daily")[0][0] > 0
                assert ask(analyst, "select distinct visited_date from tiny.fct_visits") == [(date(2025, 1, 1),)]
                assert ask(analyst, "select count(member_key) from tiny.dim_members")[0][0] > 0
                for forbidden in (
                    "select tier from tiny.dim_members",
                    "select * from ops.ops_loads",
                    "select * from tiny__next.fct_visits",
                    "select * from raw_club.members",
                ):
                    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                        ask(analyst, forbidden)
            assert ask(owner, "select count(*) from tiny.fct_visits where visited_date > '2025-01-01'")[0][0] > 0
        indexes = "select count(*) from pg_indexes where schemaname = '{}'"
        assert ask(owner, indexes.format("tiny")) == ask(owner, indexes.format("tiny__next"))

        # What was taken away stays away, though the other generation still has it.
        ask(owner, "revoke select on tiny.agg_visits__daily from granary_analyst")
        ask(owner, "drop policy first_day_alone on tiny.fct_visits")
        another_day(world)
        with closing(connected(world.engine, "granary_analyst")) as analyst:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                ask(analyst, "select count(*) from tiny.agg_visits__daily")
            assert ask(analyst, "select count(*) from tiny.fct_visits") == [(0,)]


def test_a_long_reader_is_neither_broken_nor_in_the_way(world: TinyWorld) -> None:
    with closing(connected(world.engine)) as reader, closing(connected(world.engine)) as other:
        reader.autocommit = False
        with reader.cursor("long") as cursor:
            cursor.itersize = 10
            cursor.execute("select generation.generation_number, visits.visit_key from tiny.fct_visits as visits "
                           "cross join ops.generation as generation")  # fmt: skip
            first = cursor.fetchone()
            before = ask(other, "select count(*) from tiny.fct_visits")[0][0]
            another_day(world)
            assert ask(other, "select max(generation_number) from ops.generation")[0][0] == first[0] + 1
            rest = cursor.fetchall()
        # The cursor goes on in the generation that it began with, whole.
        assert len(rest) + 1 == before and {row[0] for row in rest} == {first[0]}
        # A transaction is not a statement: its next one sees what is published by then.
        with reader.cursor() as cursor:
            cursor.execute("select max(generation_number) from ops.generation")
            assert cursor.fetchone()[0] == first[0] + 1
        reader.rollback()


def test_a_frozen_transaction_does_not_outlive_a_publish(world: TinyWorld) -> None:
    """REPEATABLE READ freezes rows, and names are looked up afresh: what was built anew since has no rows to
    it. The generation that it sees tells: it is no longer the one that it began with."""
    with closing(connected(world.engine)) as reader:
        reader.autocommit = False
        reader.set_session(isolation_level="REPEATABLE READ")
        first = ask(reader, "select max(generation_number) from ops.generation")
        assert ask(reader, "select count(*) from tiny.dim_members")[0][0] > 0
        another_day(world)
        assert ask(reader, "select count(*) from tiny.dim_members") == [(0,)]
        assert ask(reader, "select max(generation_number) from ops.generation") != first
        reader.rollback()
        assert ask(reader, "select max(generation_number) from ops.generation") == [(first[0][0] + 1,)]
        assert ask(reader, "select count(*) from tiny.dim_members")[0][0] > 0


def test_analysts_views_read_what_is_published(world: TinyWorld) -> None:
    with closing(connected(world.engine)) as owner:
        ask(
            owner,
            """
            create schema analyst;
            create view analyst.generation with (security_invoker = true) as select * from ops.generation;
            create view analyst.visits as select visit_key, visited_date from tiny.fct_visits;
            create view analyst.over_both as select count(*) as n from analyst.visits cross join analyst.generation""",
        )
        for _ in range(2):
            another_day(world)
            published = ask(owner, "select generation_number from ops.generation")
            assert ask(owner, "select generation_number from analyst.generation") == published
            visits = ask(owner, "select count(*) from tiny.fct_visits")
            assert ask(owner, "select n from analyst.over_both") == visits
        options = ask(owner, "select reloptions from pg_class where oid = 'analyst.generation'::regclass")
        assert options == [(["security_invoker=true"],)]
