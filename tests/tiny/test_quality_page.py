"""What the quality page says of a test that found rows: which, as far as they tell of nobody, and how it was before."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from ingestion.destination.target import current_target
from reports.site.failures import MOST_ROWS, failing_rows, history
from reports.site.measures import Measures
from reports.site.project import read_project
from tests.tiny.club import Club
from tests.tiny.conftest import both_engines
from warehouse import dbt
from warehouse.database import open_database
from warehouse.errors import BuildError
from warehouse.reading.query import open_published


@both_engines
def test_failing_rows_and_their_history_are_shown(grown: Club) -> None:
    for number in range(MOST_ROWS + 2):
        grown.visit(60 + number, "01-25 10:00", 3)
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

    with grown.entered():
        target = current_target()
        dbt.parse(target, published=True, artifacts=True)
        artifacts = Path(dbt.target_path(target, published=True))
        project = read_project(artifacts, target.project)
        with open_published(target) as connection:
            measures = Measures(target, connection, cast("Any", None))  # this project has no metrics
            (found,) = failing_rows(measures, project)
            _, runs, tests = history(measures)
            # Where what is kept can't be read, the page says so.
            for rule in project.rules:
                object.__setattr__(rule, "kept", '"nowhere"')
            unread = failing_rows(measures, project)

    title, names, rows = found
    test = title.split()[2].rstrip(",")
    assert title == f"Rows of {test}, {MOST_ROWS} of {len(grown.expected().visits)}" and len(rows) == MOST_ROWS
    shown = [dict(zip(names, row, strict=True)) for row in rows]
    assert {row["member_key"] for row in shown} == {nobody}
    # Nobody has declared what these tell of.
    assert {row["event_at"] for row in shown} | {row["found_key"] for row in shown} == {"not shown"}
    assert {"town", "email"}.isdisjoint(project.shared_columns) and "tier" in project.shared_columns
    assert len(runs) == 3 and tests[0] == [test, f"fail: {len(grown.expected().visits)} rows", "pass"]
    assert len(tests) > 5 and all("fail" not in said for row in tests[1:] for said in row)
    assert [rows for _, _, rows in unread] == [[["kept in the schema test_failures, which the builder reads"]]]
