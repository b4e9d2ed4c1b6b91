"""Same raw, same marts: whatever way the records came, what is published is what plain Python makes of them."""

from __future__ import annotations

import duckdb
import pytest

from ingestion.destination.target import current_target
from tests.tiny.club import Club
from tests.tiny.conftest import EVERYWHERE, both_engines, everywhere
from warehouse.build.build import Request
from warehouse.database import open_database


@pytest.mark.parametrize("engine", EVERYWHERE, indirect=True)
def test_late_and_corrected_records_take_their_place(club: Club) -> None:
    """A correction comes before its original, a history backwards, a delete before what it deletes, and a version that
    says what the one before said."""
    club.member(1, "01-01")
    visit = club.visit(1, "01-10 10:00", 1, "10")
    correction = club.corrected(visit, "01-10 10:00", amount="12")
    silver, gold = club.member(1, "01-08", tier="silver"), club.member(1, "01-04", tier="gold")
    again = club.member(1, "01-12", tier="silver")
    second = club.visit(2, "01-06 23:59", 2)
    gone = club.corrected(second, "01-07", operation="D")
    third = club.visit(3, "03-30 23:30", 1)  # in London the next day, for summer time has begun
    for told in ([correction, gone, again], [visit, silver], [gold, second, third], [club.versions[0]], [correction]):
        club.deliver(told)
        club.build()
        assert club.published() == club.expected(), club.expected().less(club.published())
    assert club.expected().visits.total() == 2


@everywhere
def test_a_build_in_full_changes_nothing_and_asks_for_no_list(grown: Club) -> None:
    grown.build(Request(full=True))
    assert grown.published() == grown.expected()
    touched = grown.ask(lambda d: f"select count(*) from {d.target.schema('intermediate')}.int_visits__touched")
    assert touched == [(0,)], "facts that are built in full ask for no list"


@everywhere
def test_nothing_new_builds_nothing(grown: Club) -> None:
    lines = grown.build()
    assert "nothing to build" in lines[-1]
    assert grown.ask(lambda d: f"select generation_number from {d.published('ops', 'generation')}") == [(2,)]


@both_engines
def test_a_changed_rule_rebuilds_what_it_concerns_in_either_generation(grown: Club) -> None:
    """Forgetting the code that a fact was built with is as good as changing it: the fact is built in full."""
    forget = "update {table} set fingerprint = 'another' where relation_name = 'fct_visits'"
    with grown.entered(), open_database(current_target()) as database:
        database.run(f"delete from {database.next('tiny', 'fct_visits')} where visit_id < 5")
        database.run(forget.format(table=database.next("ops", "seen")))
        if grown.engine:
            database.run(forget.format(table=database.published("ops", "seen")))
    if not grown.engine:
        with duckdb.connect(str(grown.warehouse / "warehouse.duckdb")) as connection:
            connection.execute(forget.format(table="ops.seen"))
    grown.build()
    assert grown.published() == grown.expected()


@both_engines
def test_select_publishes_nothing(grown: Club) -> None:
    before = grown.published()
    grown.visit(50, "01-25 10:00", 3)
    grown.deliver()
    lines = grown.build(Request(select="stg_club__visits dim_members"))
    assert any("nothing is published" in line for line in lines)
    assert grown.published() == before
    grown.build(Request(select="int_visits__touched", full=True))
    [(touched,)] = grown.ask(lambda d: f"select count(*) from {d.target.schema('intermediate')}.int_visits__touched")
    assert touched > 1, "a list that is built in full alone is whole"
    grown.build()
    assert grown.published() == grown.expected() != before


def test_a_difference_is_told(club: Club) -> None:
    """The oracle can fail: a version that wasn't told makes a difference, and the difference is told."""
    club.visit(1, "01-10 10:00", 1, "10")
    club.deliver()
    club.build()
    club.told.append(club.visit(2, "01-11 10:00", 1, "10"))
    assert "missing (2, 1, None" in club.expected().less(club.published())
