"""Domains switched on and off between builds: what readers see is always of one generation."""

from __future__ import annotations

import pytest

from tests.domains.conftest import on_postgres
from tests.domains.garden import Garden, only
from warehouse.build.build import Request, publish_held_build, roll_back_build
from warehouse.build.retire import retire
from warehouse.database import open_database
from warehouse.errors import BuildError

pytestmark = pytest.mark.slow

CORE = ["core.dim_marks"]
PLANTS = ["plants.dim_plants", "plants.fct_leaves"]
ROCKS = ["rocks.dim_rocks", "rocks.fct_pebbles"]


def test_no_published_table_is_of_an_older_generation_than_the_rest(garden: Garden) -> None:
    def assert_seen(mark: int, *tables: list[str]) -> None:
        assert garden.seen() == dict.fromkeys([each for schema in tables for each in schema], str(mark))

    garden.build("plants")
    assert_seen(1, CORE, PLANTS)
    garden.build("plants rocks")
    assert_seen(2, CORE, PLANTS, ROCKS)
    with garden.entered("plants rocks") as target:
        roll_back_build(target, lambda line: None)
    assert_seen(1, CORE, PLANTS)

    garden.build("plants,rocks", Request(full=True))
    assert_seen(3, CORE, PLANTS, ROCKS)
    assert garden.number() == 3
    with pytest.raises(BuildError, match=r"rocks: published, but off.* `make retire DOMAIN=rocks`"):
        garden.build("plants")
    assert_seen(3, CORE, PLANTS, ROCKS)

    lines: list[str] = []
    with garden.entered("plants") as target:
        with pytest.raises(BuildError, match="sea is no published domain: there is plants, rocks"):
            retire(target, "sea", lines.append)
        with pytest.raises(BuildError, match="core is no published domain"):
            retire(target, "core", lines.append)
        retire(target, "rocks", lines.append)
    assert lines == [
        "generation 4 is published, without rocks: readers lose 2 tables (dim_rocks, fct_pebbles); raw and history stay"
    ]
    assert_seen(3, CORE, PLANTS)
    assert garden.number() == 4
    with (
        garden.entered("plants") as target,
        pytest.raises(BuildError, match=r"domain was retired|no generation before"),
    ):
        roll_back_build(target, lines.append)
    assert_seen(3, CORE, PLANTS)

    garden.build("plants", Request(full=True))  # the fourth
    garden.build("plants", Request(full=True))
    assert_seen(6, CORE, PLANTS)
    garden.build("plants rocks")
    assert_seen(7, CORE, PLANTS, ROCKS)
    for fact in ("rocks.fct_pebbles",):
        with garden.entered() as target, open_database(target) as database:
            assert only(database, f"select is_built_in_full from {database.published(*fact.split('.'))}") == "True"


def test_a_domain_whose_build_failed_leaves_nothing_behind(garden: Garden) -> None:
    garden.build("plants")
    broken = garden.project / "models/marts/rocks/dim_rocks.sql"
    sound = broken.read_text(encoding="utf-8")
    broken.write_text("select 1 / 0 as oh, no_such_thing as built_in", encoding="utf-8")
    with pytest.raises(BuildError, match="nothing was published"):
        garden.build("plants rocks")
    garden.build("plants", Request(full=True))
    garden.build("plants", Request(full=True))
    assert set(garden.seen()) == {*CORE, *PLANTS} and set(garden.seen().values()) == {"4"}
    with garden.entered() as target, open_database(target) as database:
        for table in (database.published("rocks", "fct_pebbles"), database.next("rocks", "fct_pebbles")):
            assert not database.exists(table)
    broken.write_text(sound, encoding="utf-8")
    garden.build("plants rocks")
    assert set(garden.seen().values()) == {"5"} and set(garden.seen()) == {*CORE, *PLANTS, *ROCKS}


def test_what_is_held_back_is_published_with_the_domains_that_it_was_built_with(garden: Garden) -> None:
    garden.build("plants")
    garden.build("plants rocks", Request(hold=True))
    with garden.entered("plants") as target, pytest.raises(BuildError, match="publish with the domains on that"):
        publish_held_build(target, lambda line: None)
    assert set(garden.seen().values()) == {"1"}
    with garden.entered("plants rocks") as target:
        publish_held_build(target, lambda line: None)
    assert garden.seen() == dict.fromkeys([*CORE, *PLANTS, *ROCKS], "2")


@on_postgres
def test_retiring_says_whose_views_go_with_the_tables(garden: Garden) -> None:
    garden.build("plants rocks")
    garden.ask("create view mine as select * from rocks.fct_pebbles")
    lines: list[str] = []
    with garden.entered("plants rocks") as target:
        retire(target, "rocks", lines.append)
    assert "and what others made over them: mine;" in lines[0]
    assert lines[1].startswith("note: rocks is on still")
    assert garden.ask("select nspname from pg_namespace where nspname like 'rocks%'") == []


@on_postgres
def test_a_schema_of_somebody_elses_is_not_taken_for_a_domains(garden: Garden) -> None:
    garden.ask("create schema rocks; create table rocks.mine (built_in text)")
    garden.build("plants")
    with pytest.raises(BuildError, match="there is a schema rocks that this warehouse didn't publish"):
        garden.build("plants rocks")
    assert garden.ask("select count(*) from rocks.mine") == [(0,)]
