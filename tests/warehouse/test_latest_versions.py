"""The latest version of a record, whatever the order in which its versions were loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouse.made_up_history import MadeUpHistory

COLUMNS = "shop, item, valid_at, source_revision, label, is_deleted, observed_at"
# Records with two contents at one time and revision. By bytes a small letter is greater than a large one.
TIED = range(1, 13)


def version(item: int, at: str, revision: int, label: str, is_deleted: bool = False, seen: str = "06-09") -> str:
    return f"'s', {item}, timestamp '2025-{at}', {revision}, '{label}', {is_deleted}, timestamp '2025-{seen}'"


VERSIONS = [
    *(version(item, "06-01", 0, label) for item in TIED for label in ("a", "B")),
    version(20, "06-01", 2, "revision 2"),
    version(20, "06-01", 1, "revision 1"),
    version(21, "06-02", 1, "later"),
    version(21, "06-01", 2, "earlier"),
    version(22, "06-01", 1, "deleted", is_deleted=True),
    version(23, "06-01", 1, "seen last", seen="06-03"),
    version(23, "06-01", 1, "seen second", seen="06-02 00:00:00.000001"),
    version(23, "06-01", 1, "the greatest", seen="06-02"),
    version(22, "05-01", 2, "before the delete"),
]


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_the_order_of_loading_decides_nothing(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    postgres = None if engine == "duckdb" else request.getfixturevalue("new_postgres_database")()
    log = MadeUpHistory(tmp_path, postgres)
    log.load("one", COLUMNS, VERSIONS)
    as_written = log.latest_labels()
    log.run("delete from log")
    log.load("two", COLUMNS, reversed(VERSIONS))
    assert log.latest_labels() == as_written
    assert {as_written[item] for item in TIED} == {"a"}
    others = {item: label for item, label in as_written.items() if item not in TIED}
    assert others == {20: "revision 2", 21: "later", 23: "seen last"}
