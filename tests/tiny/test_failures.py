"""What a person sees when a build fails: one clear line, the last good generation, nothing lost once mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from ingestion.__main__ import main as load_by_hand
from ingestion.destination.lock import LockError, build_lock
from ingestion.destination.target import current_target
from reports.site.failures import MOST_ROWS, failing_rows, history
from reports.site.measures import Measures
from reports.site.project import read_project
from tests.domains.clones import edit
from tests.tiny.club import Club
from tests.tiny.conftest import everywhere
from tests.warehouses import build_from
from warehouse import dbt
from warehouse.build.build import Request
from warehouse.database import open_database
from warehouse.errors import BuildError
from warehouse.reading.query import open_published


@everywhere
def test_a_failing_test_publishes_nothing(grown: Club) -> None:
    """Counts that don't add up (here: a row of raw taken away by hand) stop the build before anyone sees it."""
    before = grown.published()
    with grown.entered(), open_database(current_target()) as database:
        raw = database.raw("club", "visits")
        database.run(f"delete from {raw} where id = (select min(id) from {raw})")
    grown.visit(60, "02-02 10:00", 4)
    grown.deliver()
    with pytest.raises(BuildError, match="loads__every_record_is_accounted_for"):
        grown.build(tested=True)
    assert grown.published() == before


def test_a_failing_unit_test_publishes_nothing(grown: Club, project: Callable[[Club], Path]) -> None:
    before = grown.published()
    file = project(grown) / "models" / "marts" / "tiny" / "_tiny__models.yml"
    edit(file, "visits_amount: 3.5", "visits_amount: 4.5")
    with pytest.raises(BuildError, match="the first: unit_test agg_visits__daily__adds_up_a_day"):
        build_from(grown.warehouse, grown.environment, Request(full=True), unit_tested=True)
    assert grown.published() == before


@everywhere
def test_a_source_that_can_not_be_read_leaves_the_last_generation(grown: Club) -> None:
    before = grown.published()
    grown.visit(61, "02-02 10:00", 4)
    grown.deliver()
    elsewhere = grown.delivered.rename(grown.delivered.with_name("elsewhere"))
    with pytest.raises(BuildError, match="club: there is no folder"):
        grown.build()
    assert grown.published() == before
    elsewhere.rename(grown.delivered)
    grown.build()
    assert grown.published() == grown.expected() != before


def test_two_at_once_refuse(grown: Club, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A build beside another one, and a load by hand beside it."""
    running_elsewhere = "another build of this warehouse is running"
    with grown.entered():
        target = current_target()
    with build_lock(target):
        with pytest.raises(LockError, match=running_elsewhere):
            grown.build()
        monkeypatch.setattr("sys.argv", ["ingestion"])
        with grown.entered():
            assert load_by_hand() == 1
    assert running_elsewhere in capsys.readouterr().err


@everywhere
def test_a_record_that_breaks_its_contract_is_a_reject_until_it_is_mended(grown: Club) -> None:
    visit = grown.visit(70, "02-03 10:00", 5, amount="a lot")
    grown.deliver()
    grown.build()
    rejects = "select resource_name, record_key, reasons, is_resolved from {table}"

    def found() -> list[tuple[object, ...]]:
        return grown.ask(lambda d: rejects.format(table=d.published("ops", "ops_rejects")))

    assert found() == [("visits", '["70"]', '["type:amount"]', False)]
    grown.told.remove(visit)
    assert grown.published() == grown.expected()
    grown.corrected(visit, "02-04", amount="12")
    grown.deliver()
    grown.build()
    assert found() == [("visits", '["70"]', '["type:amount"]', True)]
    assert grown.published() == grown.expected()


@everywhere
def test_the_quality_page_shows_failing_rows_and_the_runs_before(grown: Club) -> None:
    grown.visit(70, "01-25 10:00", 3)
    grown.deliver()
    grown.build(tested=True)
    # Behind dbt's back: these visits are of nobody whom the dimension knows.
    with grown.entered(), open_database(current_target()) as database:
        nobody = "00000000-0000-0000-0000-000000000001"
        database.run(f"update {database.next('tiny', 'fct_visits')} set member_key = '{nobody}'")
    grown.visit(80, "01-26 10:00", 3)
    grown.deliver()
    with pytest.raises(BuildError):
        grown.build(tested=True)
    ((count,),) = grown.ask(
        lambda database: (
            f"""
        select count(*) from {database.next("tiny", "fct_visits")} where member_key = '{nobody}'"""
        )
    )

    with grown.entered():
        target = current_target()
        dbt.parse(target, published=True, artifacts=True)
        artifacts = Path(dbt.target_path(target, published=True))
        project = read_project(artifacts, target.project)
        with open_published(target) as connection:
            measures = Measures(target, connection, cast("Any", None))  # this project has no metrics
            (found,) = failing_rows(measures, project)
            (_, runs, failed), (_, _, tests) = history(measures)
            # Where what is kept can't be read, the page says so.
            for rule in project.rules:
                object.__setattr__(rule, "kept", '"nowhere"')
            unread = failing_rows(measures, project)

    title, names, rows = found
    test = title.split()[2].rstrip(",")
    assert title == f"Rows of {test}, {MOST_ROWS} of {count}" and len(rows) == MOST_ROWS
    shown = [dict(zip(names, row, strict=True)) for row in rows]
    assert {row["member_key"] for row in shown} == {nobody}
    # Nobody has declared what these tell of.
    assert {row["event_at"] for row in shown} | {row["found_key"] for row in shown} == {"not shown"}
    assert {"town", "email"}.isdisjoint(project.shared_columns) and "tier" in project.shared_columns
    assert len(runs) == 3 and failed == [[test, f"fail: {count} rows", "passed"]]
    assert len(tests) > 5 and all({"passed", "not asked"}.issuperset(row[1:]) for row in tests if row[0] != test)
    assert [rows for _, _, rows in unread] == [[["kept in the schema test_failures, which the builder reads"]]]
