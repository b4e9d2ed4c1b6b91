"""A build makes what new loads concern and what lies below it, and asks the tests of what has changed."""

from __future__ import annotations

import re

import pytest

from ingestion.destination.target import current_target
from tests.tiny.club import Club, expected
from tests.tiny.conftest import both_engines
from warehouse.build.build import Request, _with_ancestors
from warehouse.database import open_database
from warehouse.errors import BuildError


def made(lines: list[str]) -> set[str]:
    """The relations that a build said it made, but for what tells of loads and runs, which each load concerns."""
    found = {match[1] for line in lines if (match := re.match(r"  \[ *\d+/\d+\] \w+ (\w+)  ", line))}
    return {name for name in found if not name.startswith(("ops_", "stg_runs", "dim_sources"))}


@both_engines
def test_what_a_load_concerns_is_built_in_either_generation(grown: Club) -> None:
    views = {"stg_club__visits", "stg_club__members"} if grown.engine else set()
    # Visits concern the dimension too, for it has members of whom nothing else is known. History all generations share.
    visits = {"int_visits__touched", "int_members__inferred", "fct_visits", "agg_visits__daily", "dim_members"}

    for number in (21, 22):
        grown.visit(number, "01-25 10:00", 3)
        grown.deliver()
        assert made(grown.build()) - views == visits
    # Once it is known what both generations' is made of, it is made for a new member alone, in either.
    known = visits - {"dim_members"}
    for number, member, wanted in (
        (23, 1, None), (24, 1, None), (25, 1, known), (26, 1, known),
        (27, 99, visits), (28, 1, visits), (29, 1, known), (30, 1, known),
    ):  # fmt: skip
        grown.visit(number, "01-25 10:00", member)
        grown.deliver()
        found = made(grown.build()) - views
        assert wanted is None or found == wanted, number
    assert grown.published() == grown.expected()
    grown.member(2, "01-20", tier="gold")
    grown.deliver()
    assert made(grown.build()) - views == visits | {"snap_club__members"}
    assert grown.published() == grown.expected()
    assert "nothing to build" in grown.build()[-1]


def test_a_part_is_built_with_what_it_reads_where_nothing_is_built_yet(club: Club) -> None:
    club.member(1, "01-01")
    club.visit(1, "01-10 10:00", 3)
    club.deliver()
    lines = club.build(Request(select="source:club+"), tested=True)
    assert "not everything is built yet: what the selection reads is built with it" in lines
    assert any(line.startswith("tests: ") and line.split(",")[2].startswith(" 0 failed") for line in lines)
    assert {"fct_visits", "dim_members", "agg_visits__daily"} <= made(lines)


@pytest.mark.parametrize(
    ("select", "wider"),
    [("source:erp+", "@source:erp"), ("fct_a +fct_b", "+fct_a +fct_b"), ("1+fct_a+2", "@fct_a"), ("@a", "@a"),
     ("tag:x,config.y:z+", "tag:x,config.y:z+")],
)  # fmt: skip
def test_a_selection_is_widened(select: str, wider: str) -> None:
    assert _with_ancestors(select) == wider


@both_engines
def test_a_test_is_asked_again_once_what_it_reads_has_changed(grown: Club) -> None:
    def asked(lines: list[str]) -> tuple[int, int]:
        [line] = [line for line in lines if line.startswith("tests: ")]
        passed, unasked = re.search(r"(\d+) passed", line), re.search(r"(\d+) not asked", line)
        assert passed
        return int(passed[1]), int(unasked[1]) if unasked else 0

    counts = []
    for number in range(4):
        grown.visit(30 + number, "01-25 10:00", 3)
        grown.deliver()
        counts.append(asked(grown.build(tested=True)))
    whole, rest = counts[0][0], counts[2:]
    assert counts[0][1] == counts[1][1] == 0, "each generation is tested whole first"
    assert all(passed + unasked == whole and unasked > 0 for passed, unasked in rest)

    # Behind dbt's back: the visit is of nobody whom the dimension knows.
    with grown.entered(), open_database(current_target()) as database:
        nobody = "00000000-0000-0000-0000-000000000001"
        database.run(f"update {database.next('tiny', 'fct_visits')} set member_key = '{nobody}' where visit_id = 5")
    grown.visit(40, "01-26 10:00", 3)
    grown.deliver()
    with pytest.raises(BuildError, match="look: select") as refused:
        grown.build(tested=True)
    kept = re.search(r"look: (select \* from \S+?);", str(refused.value))
    assert kept
    with grown.entered(), open_database(current_target()) as database:
        assert len(database.run(kept[1])) == 1, "the rows that failed are kept"
    grown.visit(41, "01-26 11:00", 3)
    grown.deliver()
    with pytest.raises(BuildError):
        grown.build(tested=True)


def told(club: Club, number: int, request: Request) -> None:
    """Somebody came, and it is built and tested."""
    club.visit(number, "01-26 10:00", 3)
    club.deliver()
    club.build(request, tested=True)


BATCH = Request(is_batch=True, by_rows=True)


@both_engines
def test_a_batch_is_tested_where_rows_changed_and_a_build_everywhere(grown: Club) -> None:
    for number in range(50, 54):
        told(grown, number, BATCH)
    # Behind dbt's back: the visit, which nothing touches, is of nobody whom the dimension knows.
    with grown.entered(), open_database(current_target()) as database:
        nobody = "00000000-0000-0000-0000-000000000001"
        database.run(f"update {database.next('tiny', 'fct_visits')} set member_key = '{nobody}' where visit_id = 5")
    told(grown, 54, BATCH)
    told(grown, 55, BATCH)
    with pytest.raises(BuildError, match="test version_holds_at"):
        told(grown, 56, Request())


@both_engines
def test_a_batch_is_refused_where_changed_rows_are_wrong(grown: Club) -> None:
    for number in range(50, 54):
        told(grown, number, BATCH)
    # Behind dbt's back: what is sent makes wrong rows of what is touched.
    with grown.entered(), open_database(current_target()) as database:
        sent, right = database.granary("compiled"), "cast(visits.visit_amount as "
        where = f"where unique_id = 'model.granary.fct_visits' and statement like '%{right}%'"
        assert database.run(f"select count(*) from {sent} {where}") == [(1,)]
        wrong = f"replace(statement, '{right}', 'cast(1 + visits.visit_amount as ')"
        database.run(f"update {sent} set statement = {wrong} {where}")
    with pytest.raises(BuildError, match="test every_record_is_there_fct_visits"):
        told(grown, 54, BATCH)
    assert grown.published() == expected(grown.told[:-1])
    with grown.entered(), open_database(current_target()) as database:
        assert database.run(f"select count(*) from {database.granary('touched__fct_visits')}") == [(2,)]
