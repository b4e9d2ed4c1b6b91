"""dbt's tests, asked again without dbt: what it compiled once of a project is a select that stays the same.

dbt compiles, begins, asks, commits and reports each test for itself, which costs a hundred times what DuckDB takes to
answer. So the compiled select of each test is kept, with a fingerprint of the whole project; while that is the same,
the select is asked directly. Only "no rows" is taken from here: a test that finds some, or can't be asked, is dbt's
again, which says what it always said and keeps the rows that failed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import duckdb
import psycopg2

from ingestion.destination.target import Target
from warehouse.build.lineage import Lineage, is_booked
from warehouse.database import Database, open_database


@dataclass(frozen=True)
class Passed:
    """The answer of a test that found nothing, as dbt gives its own."""

    node: Any
    execution_time: float
    status: str = "pass"
    failures: int = 0
    message: str = ""


def tests(manifest: Any) -> dict[str, Any]:
    """The nodes that are data tests, by unique id."""
    return {unique_id: node for unique_id, node in manifest.nodes.items() if node.resource_type == "test"}


def fingerprints(database: Database, manifest: Any, lineage: Lineage, project: str) -> dict[str, str]:
    """For each test the project that it is of, and how many loads wrote to the tables that it comes from.

    The ledger's loads only ever become more, so that their number says whether there are others; where raw itself was
    changed, `granary.outdated` has one more row. What reads the books of loads, or of runs, is asked each time: those
    are written by loads too that the ledger doesn't count.
    """
    counts: dict[tuple[str, str], int] = {}
    for (source,) in database.run(f"select distinct source_name from {database.granary('loads')}"):
        for name, count in database.run(f"""
            select l.resource, count(*) from {database.raw(source, "loads")} as l
            join {database.granary("loads")} as known on known.load_id = l._load_id
            where l.loaded_count + coalesce(l.deleted_count, 0) > 0
            group by l.resource"""):
            counts[str(source), str(name)] = int(count)
    times = int(database.run(f"select count(*) from {database.granary('outdated')}")[0][0])
    found = {}
    for unique_id in tests(manifest):
        above = lineage.raw_above(unique_id)
        if not any(is_booked(table) for table in above):
            found[unique_id] = f"{project} {times} {sum(counts.get(table, 0) for table in above)}"
    return found


def due(database: Database, manifest: Any, lineage: Lineage, built: set[str], now: dict[str, str]) -> set[str]:
    """The tests to ask: what they read has changed since they passed in this generation, or is about to."""
    passed = {str(row[0]): str(row[1]) for row in database.run(f"select * from {database.next('ops', 'tested')}")}
    return {
        unique_id
        for unique_id in tests(manifest)
        if now.get(unique_id) is None
        or passed.get(unique_id) != now[unique_id]
        or not built.isdisjoint(lineage.above(unique_id))
    }


def begin(database: Database, unique_ids: Iterable[str] | None = None) -> None:
    """From here on these tests, all where none are given, count as not passed in the generation that is being built."""
    _delete(database, database.next("ops", "tested"), unique_ids)


def note_passed(database: Database, results: Iterable[tuple[str, str]], now: dict[str, str]) -> None:
    """Of these tests, by id and status, those that passed did so with what they read now."""
    passed = {unique_id: now[unique_id] for unique_id, status in results if status == "pass" and unique_id in now}
    begin(database, passed)
    _insert(database, f"{database.next('ops', 'tested')} (test_id, fingerprint)", sorted(passed.items()))


def compiled(database: Database, project: str) -> dict[str, str]:
    """The selects of tests that dbt compiled of this project, by the test's id."""
    rows = database.run(
        f"select test_id, statement from {database.granary('compiled_tests')} where project = %s", [project]
    )
    return {str(test_id): str(statement) for test_id, statement in rows}


def keep_compiled(database: Database, project: str, nodes: Iterable[Any]) -> None:
    """Keep what dbt just compiled of these tests, and nothing of another project."""
    table = database.granary("compiled_tests")
    database.run(f"delete from {table} where project <> %s", [project])
    found = {node.unique_id: node.compiled_code for node in nodes if _is_plain(node) and node.compiled_code}
    _delete(database, table, found)
    _insert(
        database, f"{table} (test_id, project, statement)", [(each, project, found[each]) for each in sorted(found)]
    )


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


def ask(target: Target, statements: dict[str, str], manifest: Any) -> list[Passed]:
    """Ask these tests, by id. Returns those that found nothing; the others are for dbt to ask."""
    if not statements:
        return []
    count = min(int(os.environ.get("DBT_THREADS", "2")), len(statements))
    ordered = sorted(statements)
    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        if target.engine == "duckdb":
            first = stack.enter_context(open_database(target)).connection
            connections = [first, *(first.cursor() for _ in range(count - 1))]
        else:
            connections = [stack.enter_context(open_database(target)).connection for _ in range(count)]
        parts = [ordered[number::count] for number in range(count)]
        databases = [Database(target, connection) for connection in connections]
        answers = pool.map(lambda database, part: _asked(database, part, statements), databases, parts)
        return [Passed(manifest.nodes[unique_id], seconds) for part in answers for unique_id, seconds in part]


def _asked(database: Database, unique_ids: list[str], statements: dict[str, str]) -> list[tuple[str, float]]:
    passed = []
    # As dbt's own connections have it (profiles.yml).
    if database.target.engine == "duckdb":
        database.connection.execute("set timezone = 'UTC'")
    for unique_id in unique_ids:
        started = time.monotonic()
        try:
            found = _count(database, f"select count(*) from (\n{statements[unique_id]}\n) as failing")
        except (duckdb.Error, psycopg2.Error):
            continue
        if found == 0:
            passed.append((unique_id, time.monotonic() - started))
    return passed


def _count(database: Database, statement: str) -> int:
    """The answer to a select as it stands: dbt's SQL may have per cents that stand for no parameter."""
    if database.target.engine == "duckdb":
        return int(database.connection.execute(statement).fetchone()[0])
    with database.connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])
