"""What dbt sends to the database for a relation, kept, and sent again without dbt.

A batch of a few records takes the engine some tenths of a second, and dbt seconds: it compiles, looks into the
catalogue and reports each node for itself. So while dbt makes a relation from what is new, in a build in which no code
changed, the statements that it sends are written down with a fingerprint of the whole project. While that is the same,
the next batch sends them again, in the order of the graph: transactions, ledger and all. They are the same for every
batch, because what is new is the ledger's business and not written into them.

dbt remains the only author. Where a relation was never made so, where code changed or a relation is not there, and
where a statement fails, dbt makes it (warehouse/build/work.py). So does it where a macro asked something of the data
before: what it made of the answer may be wrong for the next batch.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import duckdb
import psycopg2

from warehouse.build.changes import Changes
from warehouse.database import Database, Session

# A relation is as it was, or a test would find what it found, since nothing changed of what it reads.
UNCHANGED = "unchanged"

ENGINE_ERRORS = (duckdb.Error, psycopg2.Error)

Statements = Mapping[str, Sequence[str]]

_COMMENT = re.compile(r"/\* \{\"app\": \"dbt\".*?\*/", re.DOTALL)
# What only asks,
_QUESTION = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select|with|describe|show)\b", re.DOTALL | re.IGNORECASE)
# and of that what doesn't ask the data: the catalogue, a select's columns, the ledger (macros/history/ledger.sql).
_OF_NO_DATA = re.compile(
    r"information_schema|\bpg_\w+|duckdb_\w+\(|\bversion\(\)|\bdescribe\b|where false\s+limit 0|/\* ledger \*/",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Answer:
    """What came of a node that was asked or made without dbt, as dbt tells what came of its own; or UNCHANGED.

    is_part: a test was asked of changed rows alone.
    """

    node: Any
    execution_time: float
    status: str
    failures: int | None = None
    message: str = ""
    is_part: bool = False


def kept(database: Database, project: str) -> dict[str, list[str]]:
    """The statements of this project's nodes, by unique id: of a relation all, of a test its select."""
    found: dict[str, list[str]] = {}
    for unique_id, statement in database.run(
        f"select unique_id, statement from {database.granary('compiled')} where project = %s "
        "order by unique_id, position", [project],
    ):  # fmt: skip
        found.setdefault(str(unique_id), []).append(str(statement))
    return found


def keep(database: Database, project: str, statements: Statements) -> None:
    """Keep the statements of these nodes, instead of those that they had, and nothing of another project."""
    if not statements:
        return
    table = database.granary("compiled")
    listed = ", ".join(f"'{each}'" for each in statements)
    database.run("begin")
    database.run(f"delete from {table} where project <> %s", [project])
    database.run(f"delete from {table} where unique_id in ({listed})")
    rows = [
        (unique_id, project, position, statement)
        for unique_id, each in sorted(statements.items())
        for position, statement in enumerate(each)
    ]
    marks = ", ".join(["(%s, %s, %s, %s)"] * len(rows))
    database.run(f"insert into {table} values {marks}", [value for row in rows for value in row])
    database.run("commit")


@contextmanager
def recorded(relations: Collection[str]) -> Iterator[dict[str, list[str]]]:
    """Write down what dbt sends for these relations, by unique id. Complete when the context ends."""
    from warehouse.events import Events

    found: dict[str, list[str]] = {}
    asking: set[str] = set()

    def note(unique_id: str, statement: str) -> None:
        statement = _COMMENT.sub("", statement, count=1).strip()
        if unique_id not in relations:
            return
        if not _QUESTION.match(statement):
            found.setdefault(unique_id, []).append(statement)
        elif not _OF_NO_DATA.search(statement):
            asking.add(unique_id)

    Events.sent = note
    try:
        yield found
    finally:
        Events.sent = None
        for each in asking:
            found.pop(each, None)


def threads(most: int) -> int:
    """How many sessions work at the same time: as many as dbt's threads, and no more than there is work for."""
    return max(1, min(int(os.environ.get("DBT_THREADS", "2")), most))


def run(
    session: Session, relations: frozenset[str], tests: frozenset[str], statements: Statements, changes: Changes,
    say: Callable[[str], None],
) -> list[Answer]:  # fmt: skip
    """Make relations by sending their statements, and ask tests, each after the relations that it reads.

    Returns:
        What was made and what tests found. Where a statement of a relation fails, what is at work ends and no more is
        begun: the rest is dbt's, as is a test that can't be asked like this.
    """
    nodes, manifest, lineage = relations | tests, changes.manifest, changes.lineage
    if not nodes:
        return []
    order = TopologicalSorter({each: lineage.above(each) & relations for each in nodes})
    order.prepare()
    answers: list[Answer] = []
    # A lake's catalog loses sight of a schema where several threads of a process change it (profiles.yml).
    free = session.databases(1 if session.target.lake else threads(len(nodes)))
    with ThreadPoolExecutor(len(free)) as pool:
        at_work: dict[Future[Answer | None], tuple[str, Database]] = {}
        ready: list[str] = []
        made, failed = 0, False
        while True:
            # Relations first: others wait for them.
            ready = sorted([*ready, *order.get_ready()], key=lambda each: (each in tests, each))
            while ready and free and not failed:
                unique_id, database = ready.pop(0), free.pop()
                work = _asked if unique_id in tests else _made
                node = manifest.nodes[unique_id]
                at_work[pool.submit(work, database, statements[unique_id], node, changes)] = unique_id, database
            if not at_work:
                return answers
            for done in _waited(at_work):
                unique_id, database = at_work.pop(done)
                free.append(database)
                answer = done.result()
                if answer is None and unique_id in relations:
                    failed = True
                    continue
                order.done(unique_id)
                if answer is None:
                    continue
                answers.append(answer)
                if unique_id in relations and answer.status != UNCHANGED:
                    made += 1
                    told = f"{answer.node.resource_type} {answer.node.name}  OK  {answer.execution_time:.1f}s"
                    say(f"  [{made:>3}/{len(relations)}] {told}")


def _waited(at_work: dict[Future[Answer | None], tuple[str, Database]]) -> set[Future[Answer | None]]:
    """The first to be done. A signal ends them all: each leaves nothing half-made."""
    try:
        return wait(at_work, return_when=FIRST_COMPLETED).done
    except BaseException:
        for _, database in at_work.values():
            database.interrupt()
        raise


def _made(database: Database, statements: Sequence[str], node: Any, changes: Changes) -> Answer | None:
    """Send a relation's statements. None where one failed: nothing of it is left then."""
    started = time.monotonic()
    try:
        if not changes.needs_making(node.unique_id):
            changes.note_unchanged(database, node.unique_id)
            return Answer(node, time.monotonic() - started, UNCHANGED)
        for statement in statements:
            execute(database, statement)
        changes.note_made(database, node.unique_id)
    except ENGINE_ERRORS:
        with suppress(*ENGINE_ERRORS):
            execute(database, "rollback")
        return None
    return Answer(node, time.monotonic() - started, "success")


def _asked(database: Database, statements: Sequence[str], node: Any, changes: Changes) -> Answer | None:
    """What came of a test, as dbt says it; None where it can't be asked like this."""
    started = time.monotonic()
    [select] = statements
    try:
        question = changes.question(database, node.unique_id, select)
        if question is None:
            return Answer(node, time.monotonic() - started, UNCHANGED)
        [(found,)] = execute(database, f"select count(*) from (\n{question}\n) as failing")
    except ENGINE_ERRORS:
        return None
    seconds = time.monotonic() - started
    if not found:
        return Answer(node, seconds, "pass", 0, is_part=question != select)
    status = "warn" if str(node.config.severity).lower() == "warn" else "fail"
    return Answer(
        node, seconds, status, found, f"Got {found} result{'s' * (found > 1)}, configured to {status} if != 0"
    )


def execute(database: Database, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as it stands: dbt's SQL may have per cents that stand for no parameter. Returns its rows."""
    if database.target.engine == "duckdb":
        return list(database.connection.execute(statement).fetchall())
    with database.connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []
