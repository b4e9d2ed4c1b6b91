"""Generations: held back, compared, published, rolled back; on both engines by the same steps."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ingestion.destination.target import current_target
from tests.tiny.club import Club
from tests.tiny.conftest import ENGINES
from warehouse.build.build import Request, publish_held_build, roll_back_build
from warehouse.build.diff import show_difference
from warehouse.database import open_database
from warehouse.errors import BuildError


def published(club: Club) -> tuple[int, int, int]:
    """What readers see: the generation's number, its loads, the visits."""
    [row] = club.ask(
        lambda d: (
            f"select (select max(generation_number) from {d.published('ops', 'generation')}), "
            f"(select count(*) from {d.published('ops', 'generation_loads')}), "
            f"(select count(*) from {d.published('tiny', 'fct_visits')})"
        )
    )
    return row[0], row[1], row[2]


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_a_generation_is_held_back_compared_published_and_rolled_back(club: Club) -> None:
    lines: list[str] = []
    club.member(1, "01-01")
    visit = club.visit(1, "01-02 10:00")
    club.deliver()
    club.build()
    with club.entered(), pytest.raises(BuildError, match="no generation before"):
        roll_back_build(current_target(), lines.append)
    assert published(club) == (1, 1, 1)

    club.corrected(visit, "01-03", amount="11")
    club.visit(2, "01-02 11:00")
    club.deliver()
    club.build(Request(hold=True))
    assert published(club) == (1, 1, 1), "readers see nothing of a generation that is held back"
    lines.clear()
    with club.entered():
        found = {each.table: each for each in show_difference(current_target(), lines.append)}
    assert "held back, compared with generation 1" in lines[0]
    day, facts = found["tiny.agg_visits__daily"], found["tiny.fct_visits"]
    assert (facts.added, facts.removed, facts.changed, facts.columns) == (1, 0, 1, {"visit_amount": 1})
    assert (day.added, day.removed) == (1, 1), "without a tested key whole rows are compared"

    with club.entered():
        publish_held_build(current_target(), lines.append)
        with pytest.raises(BuildError, match="no generation is held back"):
            publish_held_build(current_target(), lines.append)
    assert published(club) == (2, 2, 2)

    with club.entered():
        roll_back_build(current_target(), lines.append)
        assert published(club) == (1, 1, 1)
        with pytest.raises(BuildError, match="rolled back to already"):
            roll_back_build(current_target(), lines.append)

    # The build after a rollback goes on from what was loaded, under a number that was never used.
    club.build()
    assert published(club) == (3, 2, 2)
    assert club.published() == club.expected()
    club.visit(3, "01-04 10:00")
    club.deliver()
    club.build(Request(select="stg_club__visits"))
    with club.entered(), pytest.raises(BuildError, match="a later build has begun"):
        roll_back_build(current_target(), lines.append)
    assert published(club) == (3, 2, 2)


def test_the_second_build_on_duckdb_goes_on_from_a_copy_of_the_first(club: Club) -> None:
    """What it isn't asked to build is there, in full."""
    club.member(1, "01-01")
    club.visit(1, "01-02 10:00")
    club.deliver()
    club.build()
    assert not (club.warehouse / "warehouse__next.duckdb").exists()
    club.build(Request(select="dim_members+"))
    with club.entered(), open_database(current_target()) as database:
        for table in ("agg_visits__daily", "fct_visits"):
            rows = [
                database.run(f"select count(*) from {name}")[0][0]
                for name in (database.next("tiny", table), database.published("tiny", table))
            ]
            assert rows == [1, 1]


READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for _ in sys.stdin:
    print(connection.execute("select generation_number from ops.generation").fetchone()[0], flush=True)
"""


def test_who_reads_on_duckdb_is_in_nobodys_way(grown: Club) -> None:
    """A process that has the published file open keeps what it opened, through a rollback, a build and a publish."""
    command = [sys.executable, "-c", READER, str(grown.warehouse / "warehouse.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin and reader.stdout

        def read() -> int:
            assert reader.stdin and reader.stdout
            print(file=reader.stdin, flush=True)
            return int(reader.stdout.readline())

        before = read()
        with grown.entered():
            roll_back_build(current_target(), lambda line: None)
            # To write into what went, as a build does once it has published.
            with open_database(current_target()) as database:
                assert database.run(f"select generation_number from {database.next('ops', 'generation')}") == [
                    (before,)
                ]
        grown.visit(90, "01-26 10:00", 3)
        grown.deliver()
        grown.build(Request(hold=True))
        with grown.entered():
            publish_held_build(current_target(), lambda line: None)
        assert read() == before
        reader.stdin.close()
    assert published(grown)[0] > before and grown.published() == grown.expected()
