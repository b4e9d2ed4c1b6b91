"""What dbt is asked to do in a build: everything, or what has anything to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ingestion.destination.target import Target
from warehouse import dbt
from warehouse.build import compiled, selection, testing
from warehouse.build.changes import Changes
from warehouse.build.parsed import Parsed
from warehouse.database import Database, Session
from warehouse.ledger import last_entries, last_written
from warehouse.results import FOUND_ROWS, Outcome

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a build does. Where `built` is None, dbt decides: all, or what a person selected.

    now: what each test reads now, see `testing.fingerprints`.
    built, due: the unique ids of the relations to make and of the tests to ask.
    is_steady: the relations are made for what is new alone, not for changed code.
    by_dbt: they are dbt's to make, whatever it sent before.
    is_batch: it is one of many, of which what only warns keeps no rows: there would be the same ones every second. Nor
        is what reads the record of all runs tested, which grows and of which a batch loads nothing.
    statements: those of relations and tests that needn't be compiled, by unique id.
    changes: what changed of what they read.
    workers: how many of this machine build what dbt hands out, beside those of others; None where it hands out nothing.
    """

    now: dict[str, str]
    built: frozenset[str] | None
    due: frozenset[str]
    is_steady: bool
    by_dbt: bool
    is_batch: bool
    statements: compiled.Statements
    changes: Changes
    workers: int | None


def excluded_types(are_unit_tested: bool) -> set[str]:
    """The kinds of nodes that are left out: what the environment names, and unit tests of code that passed them."""
    return {*os.environ.get("DBT_EXCLUDE_RESOURCE_TYPES", "").split(), *(["unit_test"] if are_unit_tested else [])}


def plan(
    database: Database, project: Parsed, *, in_part: bool, by_dbt: bool, is_batch: bool, by_rows: bool,
    workers: int | None,
) -> Plan:  # fmt: skip
    """Decide what is to be done, and take back in the ledger what will not hold while it is done.

    Args:
        database: the warehouse, whose ledger has begun this build.
        project: the one that is built.
        in_part: only what has anything to do, instead of everything.
        by_dbt: as the plan has it.
        is_batch: as the plan has it.
        by_rows: tests may be asked of changed rows alone.
        workers: as the plan has it.
    """
    manifest, lineage = project.manifest, project.lineage
    written, entries = last_written(database), last_entries(database, database.next("ops", "seen"))
    now = testing.fingerprints(database, manifest, lineage, project.fingerprint, written)
    passed = testing.passed_before(database)
    built = due = None
    is_steady = False
    statements: compiled.Statements = {}
    if in_part:
        built, is_steady = selection.to_build(database, manifest, lineage, written, entries)
        due = testing.due(manifest, lineage, built, now, passed)
        if is_batch:
            due = {each for each in due if not lineage.reads_runs(each)}
        statements = compiled.kept(database, project.fingerprint)
    selection.forget_listed(database, manifest, built)
    testing.begin(database, due)
    frozen = None if built is None else frozenset(built)
    changes = Changes(
        manifest, lineage, frozen or (), testing.seen_before(now, passed),
        {each for each, seen in passed.items() if seen.endswith(testing.PARTLY)}, by_rows,
        database.granary("loads"), written, entries,
    )  # fmt: skip
    return Plan(now, frozen, frozenset(due or ()), is_steady, by_dbt, is_batch, statements, changes, workers)


def carry_out(
    session: Session, asked: Plan, command: list[str], excluded: set[str], project: Parsed, say: Say
) -> Outcome:
    """Build and test as planned.

    Raises:
        BuildError: dbt itself fell over.
    """
    excluding = ["--exclude-resource-types", *sorted(excluded)] if excluded else []
    if asked.built is not None:
        return _in_part(session, asked, [*command, *excluding], excluded, project, say)
    return _by_dbt(session, asked, [*command, *excluding], project, say)


def _by_dbt(session: Session, asked: Plan, command: list[str], project: Parsed, say: Say) -> Outcome:
    """Have dbt build, in this process or by workers."""
    session.let_go()
    target, manifest = session.target, project.manifest
    if asked.workers is None:
        with compiled.recorded(asked.built or ()) as statements:
            outcome = dbt.run(target, command, manifest, say)
    else:
        from warehouse.build.workers.office import Office
        from warehouse.build.workers.tasks import handing_out

        with Office(target, project.fingerprint, command, asked.workers, say) as office:
            outcome = dbt.run(target, command, manifest, say, task=handing_out(office.built, office.give_up))
        statements = {each: office.statements[each] for each in office.statements.keys() & (asked.built or set())}
        office.sum_up(outcome)
    if asked.is_steady and outcome.success:
        outcome.statements = statements
    _keep_failing_rows(target, outcome, manifest)
    return outcome


def note_outcome(database: Database, asked: Plan, outcome: Outcome, project: Parsed) -> None:
    """Write down in the ledger what came of it: which tests passed, which views and seeds are made."""
    statuses = [(str(node.unique_id), status) for node, status in outcome.nodes]
    tests = [
        node
        for node, status in outcome.nodes
        if status in ("pass", *FOUND_ROWS) and node.unique_id not in asked.statements
    ]
    compiled.keep(database, project.fingerprint, {**testing.selects(tests), **outcome.statements})
    passed = {unique_id for unique_id, status in statuses if status == "pass"} | outcome.unchanged
    partly = outcome.partly | outcome.unchanged.intersection(asked.changes.partly)
    testing.note_passed(database, passed, asked.now, partly)
    made = {unique_id for unique_id, status in statuses if status == "success"}
    selection.note_listed(database, project.manifest, made)


def _in_part(
    session: Session, asked: Plan, command: list[str], excluded: set[str], project: Parsed, say: Say
) -> Outcome:
    """Without dbt where it has sent all of it before.

    Else first the tests of what stays as it is, so that dbt builds nothing of what is unsound; then the rest.
    """
    assert asked.built is not None
    manifest, lineage = project.manifest, project.lineage
    due = frozenset[str]() if "test" in excluded else asked.due
    known = due & asked.statements.keys()
    wanted = asked.built | (due - known)
    outcome = Outcome(success=True)
    if "test" not in excluded:
        outcome.unasked = len(testing.tests(manifest)) - len(due)
    if asked.is_steady and not asked.by_dbt and asked.statements.keys() >= wanted:
        done = _without_dbt(session, asked, asked.built, known, project, say, outcome)
        wanted, known = wanted - done, known - done
    else:
        early = frozenset(each for each in known if asked.built.isdisjoint(lineage.above(each)))
        _ask(session, asked, early, project, say, outcome)
        known -= early
    if outcome.success and wanted:
        outcome.add(_by_dbt(session, asked, [*command, *_exactly(wanted, manifest)], project, say))
    if outcome.success:
        _ask(session, asked, known, project, say, outcome)
    return outcome


def _exactly(unique_ids: Collection[str], manifest: Any) -> list[str]:
    """How dbt is told of these nodes and no others."""
    names = sorted({str(manifest.nodes[each].name) for each in unique_ids})
    return ["--indirect-selection", "empty", "--select", *names]


def _without_dbt(
    session: Session, asked: Plan, relations: frozenset[str], tests: frozenset[str], project: Parsed, say: Say,
    outcome: Outcome,
) -> frozenset[str]:  # fmt: skip
    """Make and ask as much as goes without dbt. Returns what needs no dbt any more."""
    told = ("success", "pass", *(["warn"] if asked.is_batch else []))
    answers = compiled.run(session, relations, tests, asked.statements, asked.changes, say)
    taken = [each for each in answers if each.status in told]
    for each in taken:
        outcome.take(each, project.manifest)
    unchanged = {str(each.node.unique_id) for each in answers if each.status == compiled.UNCHANGED}
    outcome.unchanged |= unchanged
    outcome.unasked += len(unchanged & tests)
    outcome.partly |= {str(each.node.unique_id) for each in taken if each.is_part}
    return frozenset(unchanged | {str(each.node.unique_id) for each in taken})


def _ask(session: Session, asked: Plan, tests: frozenset[str], project: Parsed, say: Say, outcome: Outcome) -> None:
    """Ask tests directly, and those that found something by dbt."""
    others = tests - _without_dbt(session, asked, frozenset(), tests, project, say, outcome)
    if others:
        session.let_go()
        command = ["test", "--store-failures", *_exactly(others, project.manifest)]
        outcome.add(dbt.run(session.target, command, project.manifest, say))


def _keep_failing_rows(target: Target, outcome: Outcome, manifest: Any) -> None:
    """Have dbt keep the rows that tests found: to do so for tests that find none takes as long as those do.

    A unit test has said what it found, and keeps no rows.
    """
    found = {str(node.unique_id) for node, status in outcome.nodes if status in FOUND_ROWS} & set(manifest.nodes)
    if found:
        dbt.run(target, ["test", "--store-failures", *_exactly(found, manifest)], manifest)
