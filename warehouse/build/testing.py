"""dbt's tests, asked again without dbt: what it compiled once of a project is a select that stays the same.

dbt compiles, begins, asks, commits and reports each test for itself, which costs a hundred times what DuckDB takes to
answer. So the compiled select of each test is kept, with a fingerprint of the whole project; while that is the same,
the select is asked directly. Only "no rows" is taken from here: a test that finds some, or can't be asked, is dbt's
again, which says what it always said and keeps the rows that failed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from warehouse.build.lineage import Lineage, RawTable, is_booked
from warehouse.database import Database

# After the fingerprint of a test that was last asked of changed rows alone: whoever asks whole tests asks it again.
PARTLY = " partly"


def tests(manifest: Any) -> dict[str, Any]:
    """The nodes that are data tests, by unique id."""
    return {unique_id: node for unique_id, node in manifest.nodes.items() if node.resource_type == "test"}


def fingerprints(
    database: Database, manifest: Any, lineage: Lineage, project: str, written: Mapping[RawTable, int]
) -> dict[str, str]:
    """For each test the project that it is of, and the last load that wrote to the tables that it comes from.

    Where raw itself was changed, `granary.outdated` has one more row. What reads the books of loads, or of runs, is
    asked each time: those are written by loads too that the ledger doesn't count.
    """
    times = int(database.run(f"select count(*) from {database.granary('outdated')}")[0][0])
    found = {}
    for unique_id in tests(manifest):
        above = lineage.raw_above(unique_id)
        if not any(is_booked(table) for table in above):
            found[unique_id] = f"{project} {times} {max((written.get(table, 0) for table in above), default=0)}"
    return found


def passed_before(database: Database) -> dict[str, str]:
    """With what tests passed in the generation that is being built, by unique id: as `fingerprints` has it."""
    return {str(row[0]): str(row[1]) for row in database.run(f"select * from {database.next('ops', 'tested')}")}


def due(manifest: Any, lineage: Lineage, built: set[str], now: dict[str, str], passed: Mapping[str, str]) -> set[str]:
    """The tests to ask: what they read has changed since they passed in this generation, or is about to."""
    return {
        unique_id
        for unique_id in tests(manifest)
        if now.get(unique_id) is None
        or passed.get(unique_id) != now[unique_id]
        or not built.isdisjoint(lineage.above(unique_id))
    }


def seen_before(now: Mapping[str, str], passed: Mapping[str, str]) -> dict[str, int]:
    """The last load that tests saw when they passed, whole or partly, where they did so in this project."""
    found = {}
    for unique_id, each in now.items():
        (*same, _), (*as_before, seen) = each.split(), passed.get(unique_id, "-").removesuffix(PARTLY).split()
        if same == as_before:
            found[unique_id] = int(seen)
    return found


def begin(database: Database, unique_ids: Iterable[str] | None = None) -> None:
    """From here on these tests, all where none are given, count as not passed in the generation that is being built."""
    _delete(database, database.next("ops", "tested"), unique_ids)


def note_passed(database: Database, unique_ids: Iterable[str], now: Mapping[str, str], partly: Collection[str]) -> None:
    """These tests passed with what they read now; `partly`, with those of its rows that had changed."""
    passed = {each: now[each] + (PARTLY if each in partly else "") for each in unique_ids if each in now}
    begin(database, passed)
    _insert(database, f"{database.next('ops', 'tested')} (test_id, fingerprint)", sorted(passed.items()))


def selects(nodes: Iterable[Any]) -> dict[str, list[str]]:
    """What dbt just compiled of these nodes, of those that are tests which can be asked by it, by unique id."""
    return {node.unique_id: [node.compiled_code] for node in nodes if _is_plain(node) and node.compiled_code}


def _is_plain(node: Any) -> bool:
    """Whether a test passes where its select finds no rows, and nothing else decides."""
    config = node.config
    return (
        node.resource_type == "test"
        and config.fail_calc == "count(*)"
        and not config.limit
        and config.warn_if == config.error_if == "!= 0"
    )


def _delete(database: Database, table: str, unique_ids: Iterable[str] | None) -> None:
    if unique_ids is None:
        database.run(f"delete from {table}")
        return
    listed = ", ".join(f"'{each}'" for each in sorted(unique_ids))
    if listed:
        database.run(f"delete from {table} where test_id in ({listed})")


def _insert(database: Database, table: str, rows: list[tuple[str, ...]]) -> None:
    if rows:
        marks = ", ".join(f"({', '.join(['%s'] * len(row))})" for row in rows)
        database.run(f"insert into {table} values {marks}", [value for row in rows for value in row])
