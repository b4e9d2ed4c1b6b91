"""What dbt is asked to do in a build: everything, or what has anything to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ingestion.destination.target import Target
from warehouse import dbt
from warehouse.build import selection, testing
from warehouse.build.lineage import Lineage
from warehouse.database import Database
from warehouse.results import FOUND_ROWS, Outcome

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a build does. Where `built` is None, dbt decides: all, or what a person selected.

    project: the fingerprint of the whole project.
    now: what each test reads now, see `testing.fingerprints`.
    built, due: the unique ids of the relations to make and of the tests to ask.
    statements: the selects of tests that needn't be compiled, by id.
    """

    project: str
    now: dict[str, str]
    built: frozenset[str] | None
    due: frozenset[str]
    statements: dict[str, str]
    lineage: Lineage


def excluded_types(are_unit_tested: bool) -> set[str]:
    """The kinds of nodes that are left out: what the environment names, and unit tests of code that passed them."""
    return {*os.environ.get("DBT_EXCLUDE_RESOURCE_TYPES", "").split(), *(["unit_test"] if are_unit_tested else [])}


def plan(database: Database, manifest: Any, project: str, *, in_part: bool) -> Plan:
    """Decide what is to be done, and take back in the ledger what will not hold while it is done.

    Args:
        database: the warehouse, whose ledger has begun this build.
        manifest: dbt's.
        project: the fingerprint of the whole project.
        in_part: only what has anything to do, instead of everything.
    """
    lineage = Lineage(manifest)
    now = testing.fingerprints(database, manifest, lineage, project)
    built = due = None
    statements: dict[str, str] = {}
    if in_part:
        built = selection.to_build(database, manifest, lineage)
        due = testing.due(database, manifest, lineage, built, now)
        statements = testing.compiled(database, project)
    selection.forget_listed(database, manifest, built)
    testing.begin(database, due)
    return Plan(project, now, None if built is None else frozenset(built), frozenset(due or ()), statements, lineage)


def carry_out(target: Target, asked: Plan, command: list[str], excluded: set[str], manifest: Any, say: Say) -> Outcome:
    """Build and test as planned.

    Raises:
        BuildError: dbt itself fell over.
    """
    excluding = ["--exclude-resource-types", *sorted(excluded)] if excluded else []
    if asked.built is not None:
        return _in_part(target, asked, [*command, *excluding], excluded, manifest, say)
    outcome = dbt.run(target, [*command, *excluding], manifest, say)
    _keep_failing_rows(target, outcome, manifest)
    return outcome


def note_outcome(database: Database, asked: Plan, outcome: Outcome, manifest: Any) -> None:
    """Write down in the ledger what came of it: which tests passed, which views and seeds are made."""
    statuses = [(str(node.unique_id), status) for node, status in outcome.nodes]
    compiled = [
        node
        for node, status in outcome.nodes
        if status in ("pass", *FOUND_ROWS) and node.unique_id not in asked.statements
    ]
    testing.keep_compiled(database, asked.project, compiled)
    testing.note_passed(database, statuses, asked.now)
    selection.note_listed(database, manifest, {unique_id for unique_id, status in statuses if status == "success"})


def _in_part(target: Target, asked: Plan, command: list[str], excluded: set[str], manifest: Any, say: Say) -> Outcome:
    """First the tests of what stays as it is, so that nothing is built of what is unsound; then the rest."""
    assert asked.built is not None
    due = frozenset[str]() if "test" in excluded else asked.due
    known = due & asked.statements.keys()
    early = {each for each in known if asked.built.isdisjoint(asked.lineage.above(each))}
    outcome = Outcome(success=True)
    if "test" not in excluded:
        outcome.unasked = len(testing.tests(manifest)) - len(due)
    _ask(target, asked, early, manifest, say, outcome)
    wanted = asked.built | (due - known)
    if outcome.success and wanted:
        by_dbt = dbt.run(target, [*command, *_exactly(wanted, manifest)], manifest, say)
        _keep_failing_rows(target, by_dbt, manifest)
        outcome.add(by_dbt)
    if outcome.success:
        _ask(target, asked, known - early, manifest, say, outcome)
    return outcome


def _exactly(unique_ids: Collection[str], manifest: Any) -> list[str]:
    """How dbt is told of these nodes and no others."""
    names = sorted({str(manifest.nodes[each].name) for each in unique_ids})
    return ["--indirect-selection", "empty", "--select", *names]


def _ask(target: Target, asked: Plan, unique_ids: Collection[str], manifest: Any, say: Say, outcome: Outcome) -> None:
    """Ask tests directly, and those that found something by dbt."""
    passed = testing.ask(target, {each: asked.statements[each] for each in unique_ids}, manifest)
    for each in passed:
        outcome.take(each, manifest)
    others = set(unique_ids) - {str(each.node.unique_id) for each in passed}
    if others:
        outcome.add(dbt.run(target, ["test", "--store-failures", *_exactly(others, manifest)], manifest, say))


def _keep_failing_rows(target: Target, outcome: Outcome, manifest: Any) -> None:
    """Have dbt keep the rows that tests found: to do so for tests that find none takes as long as those do.

    A unit test has said what it found, and keeps no rows.
    """
    found = {str(node.unique_id) for node, status in outcome.nodes if status in FOUND_ROWS} & set(manifest.nodes)
    if found:
        dbt.run(target, ["test", "--store-failures", *_exactly(found, manifest)], manifest)
