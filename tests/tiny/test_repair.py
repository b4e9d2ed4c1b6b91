"""What was damaged by hand is computed again from raw: a range of days, or all history; on both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from ingestion.destination.target import current_target
from tests.tiny.club import Club
from tests.tiny.conftest import everywhere
from warehouse.build.build import Request
from warehouse.build.history import rebuild_history
from warehouse.database import Database, open_database

pytestmark = everywhere


def change(club: Club, statement: Callable[[Database], str]) -> None:
    """Change something behind the build's back."""
    with club.entered(), open_database(current_target()) as database:
        database.run(statement(database))


def test_a_backfill_computes_the_facts_of_its_days_again(grown: Club) -> None:
    change(grown, lambda d: f"update {d.next('tiny', 'fct_visits')} set visit_amount = visit_amount + 1 "
                            "where visited_date between '2025-01-04' and '2025-01-06'")  # fmt: skip
    grown.build(Request(backfill=(date(2025, 1, 4), date(2025, 1, 6))))
    assert grown.published() == grown.expected()


def test_history_is_rebuilt_from_raw(grown: Club) -> None:
    def rebuilt() -> dict[str, tuple[int, int]]:
        with grown.entered():
            return {each.name: (each.gone, each.new) for each in rebuild_history(current_target(), lambda line: None)}

    assert rebuilt() == {"snap_club__members": (0, 0)}, "what day by day made is what raw says"
    change(grown, lambda d: f"update {d.target.schema('snapshots')}.snap_club__members set tier = 'bronze' "
                            "where is_current and member_id < 4")  # fmt: skip
    assert rebuilt() == {"snap_club__members": (3, 3)}
    # Both generations follow, one after the other.
    for day in (25, 26):
        grown.build()
        assert grown.published() == grown.expected()
        grown.visit(day, f"01-{day} 10:00")
        grown.deliver()
