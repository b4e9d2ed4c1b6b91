"""One build, from lock to publish: load, build and test out of readers' sight, publish, sum up."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from ingestion.destination.lock import build_lock
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded
from ingestion.load.run import load_all
from warehouse import ledger
from warehouse.build.demo import demo_if_unconfigured, set_aside
from warehouse.build.inputs import project_fingerprint
from warehouse.build.parsed import is_parsed, parsed
from warehouse.build.redaction import apply_tombstones
from warehouse.build.work import carry_out, excluded_types, note_outcome, plan
from warehouse.build.workers.queue import asked_workers
from warehouse.database import Database, Session, open_database
from warehouse.errors import BuildError, PassingError
from warehouse.publish.access import audited
from warehouse.publish.compaction import compact
from warehouse.publish.publish import exchange, prepare_next, publish_held, roll_back, stamp
from warehouse.publish.schemas import begin_schemas, refuse_to_take_away
from warehouse.publish.withdrawals import note_withdrawable
from warehouse.results import FAILED, PASSED, Outcome
from warehouse.runs.runs import Run, are_prepared, prepare_runs, recorded
from warehouse.runs.summary import count_rows, print_summary, unusual

Say = Callable[[str], None]

# Fewer versions than this are few: the engine's work is then mostly to plan what it does.
FEW_ROWS = 10_000


@dataclass(frozen=True)
class Request:
    """What was asked for. With dbt's own selection, `select`, nothing is published; with `hold`, nothing yet.

    by_dbt: dbt makes everything itself, instead of what it sent before being sent again (build/compiled.py).
    is_batch: one of many. Its record is loaded by who makes them, and has neither what went well nor rows counted.
    by_rows: where only a few versions are new, tests may be asked of the rows that change, and not of all.
    sources: which are loaded; all where empty.
    backfill: the first and the last business day whose facts are computed again, whether anything new came or not.
    """

    select: str | None = None
    full: bool = False
    extra_days: int = 0
    ingest: bool = True
    hold: bool = False
    by_dbt: bool = False
    is_batch: bool = False
    by_rows: bool = False
    sources: tuple[str, ...] = ()
    backfill: tuple[date, date] | None = None


def build(target: Target, request: Request, say: Say, run: Run | None = None) -> int:
    """Build the warehouse. Returns the number of the generation that readers now see (0: nothing was published).

    Args:
        target: the warehouse.
        request: what is to be done.
        say: takes lines of progress.
        run: what becomes the run's record, for a caller who wants to read it, whatever came of it.

    Raises:
        BuildError: something failed; readers still see the generation from before.
        ConfigurationError: WORKERS is no number, or nobody else can reach this warehouse.
    """
    workers = asked_workers(target)
    run = run or Run("backfill" if request.backfill else "build", target.name)
    with build_lock(target), recorded(target, run, say, collects=not request.is_batch):
        return _build(target, request, run, say, workers)


def _build(target: Target, request: Request, run: Run, say: Say, workers: int | None) -> int:
    started = time.monotonic()
    if request.ingest:
        set_aside(target, say)
    refuse_to_take_away(target)
    if request.ingest:
        with run.step("loading"), demo_if_unconfigured(target, say, request.extra_days):
            run.loaded, failures = load_all(target, say, request.sources, run.seconds)
        if failures:
            raise PassingError(
                failures[0] + (f" (and {len(failures) - 1} more, see above)" if len(failures) > 1 else "")
            )
    apply_tombstones(target, say)
    prepare_next(target)
    forced, wanted = bool(request.full or request.select or request.backfill), request.select
    fingerprint = project_fingerprint(target)
    with Session(target) as session:
        database = session.database
        if not forced and (known := ledger.models_parsed(database, fingerprint)) is not None:
            ledger.register_loads(database)
            if ledger.is_up_to_date(database, list(known)):
                return _nothing_to_build(database, run, say, started)
        is_prepared = are_prepared(database)
        if not is_prepared or not is_parsed(fingerprint):
            session.let_go()
        if not is_prepared:
            prepare_runs(target)
        project = parsed(target, fingerprint)
        database = session.database
        ledger.begin(database, project.code)
        ledger.note_parsed(database, fingerprint, project.models)
        if not forced and ledger.is_up_to_date(database, list(project.models)):
            return _nothing_to_build(database, run, say, started)
        excluded = excluded_types(ledger.are_unit_tested(database, project.unit_tested))
        behind = None if forced else ledger.versions_behind(database)
        session.few = behind is not None and behind < FEW_ROWS
        ledger.begin_generation(database)
        begin_schemas(database, project.schemas, project.code)
        note_withdrawable(database, project.withdrawable)
        if request.select and not all(
            database.exists(database.next(schema, name)) for name, (schema, _) in project.models.items()
        ):
            request = replace(request, select=_with_ancestors(request.select))
            say("not everything is built yet: what the selection reads is built with it")
        in_part = not forced and "unit_test" in excluded
        planned = plan(
            database, project, in_part=in_part, by_dbt=request.by_dbt, is_batch=request.is_batch,
            by_rows=request.by_rows and session.few, workers=None if session.few and not request.by_dbt else workers,
        )  # fmt: skip
        asked = {"run": run.run_id, "select": request.select, "full": request.full, "hold": request.hold}
        audited(database, run.command, json.dumps(asked))
        if request.backfill:
            first, last = (day.isoformat() for day in request.backfill)
            say(f"computing the facts of {first} to {last} again")
        say("building and testing, out of readers' sight")
        with run.step("building"):
            outcome = carry_out(session, planned, _command(request), excluded, project, say)
        if run.teller:
            session.let_go()
            run.teller.built(project.manifest, outcome)
        run.results = [each for each in outcome.results if not (request.is_batch and each["status"] in PASSED)]
        if request.select and not outcome.results:
            raise BuildError(
                f"SELECT={wanted} names nothing that is on: look at the name, and whether a domain that is on has "
                "the source on its list (dbt_project.yml, vars: domains:)"
            )
        number = 0
        database = session.database
        note_outcome(database, planned, outcome, project)
        if not outcome.success:
            raise _failed(run, outcome, say)
        if not request.select and any(each["resource_type"] == "unit_test" for each in outcome.results):
            ledger.note_unit_tested(database, project.unit_tested)
        if request.hold and not request.select:
            ledger.hold_generation(database)
        elif not request.select:
            number = stamp(database, project.schemas, ledger.newest_load(database))
        if request.select:
            run.outcome = "selected"
            say("SELECT was given, so nothing is published")
        elif request.hold:
            run.outcome = "held"
            say(
                "the next generation is whole and tested, and held back: `make diff` compares it, "
                "`make publish` publishes it"
            )
        else:
            session.let_go()
            with run.step("publishing"):
                exchange(target, number, project.schemas, project.declared, say)
            run.outcome, run.generation_number = "published", number
        if request.is_batch:
            return number
        database = session.database
        if number:
            run.row_counts = count_rows(database, project.models)
        print_summary(database, say, project.models, outcome, run, _notes(run.loaded), time.monotonic() - started)
    return number


def _nothing_to_build(database: Database, run: Run, say: Say, started: float) -> int:
    run.outcome = "up to date"
    for line in unusual(database):
        say(line)
    for note in _notes(run.loaded):
        say(f"note: {note}")
    say(
        f"nothing to build: no new records and no changed code since the published generation "
        f"({time.monotonic() - started:.0f} s). `make build FULL=1` builds it all again"
    )
    return 0


def _failed(run: Run, outcome: Outcome, say: Say) -> BuildError:
    for failure in outcome.failures:
        say(f"  {failure}")
    # The record says which, and not what a database says of them: that may hold what not everybody may see.
    failed = [each["node_name"] for each in outcome.results if each["status"] in FAILED]
    run.message = f"{outcome.failed} of dbt's nodes failed: {', '.join(failed)}"[:600]
    return BuildError(
        f"{outcome.failed} of dbt's nodes failed, the first: {(outcome.failures or ['see above'])[0]}; "
        "nothing was published. Full log: logs/dbt.log"
    )


def _command(request: Request) -> list[str]:
    command = ["build"]
    if request.full:
        command.append("--full-refresh")
    if request.select:
        # With the lists of keys that it reads, in dbt's words: they have to have seen the same loads.
        lists = [
            f"{each},path:models/intermediate,config.materialized:table"
            for each in _with_ancestors(request.select).split()
        ]
        command += ["--select", *request.select.split(), *lists]
    if request.backfill:
        first, last = (day.isoformat() for day in request.backfill)
        command += ["--vars", json.dumps({"backfill_from": first, "backfill_to": last})]
    return command


def _with_ancestors(select: str) -> str:
    """A selection with all that its relations, those below it and their tests read, in dbt's words."""
    found = []
    for word in select.split():
        match = re.fullmatch(r"(?:\d*\+|@)?([^,+]+?)(\+\d*)?", word)
        found.append(f"{'@' if match[2] or word.startswith('@') else '+'}{match[1]}" if match else word)
    return " ".join(found)


def build_both_generations(target: Target, say: Say) -> None:
    """Build everything from what raw holds, once for each generation, so that neither has anything from before.

    A lake is built once: what is published is a snapshot of what is built next, and others are let go.

    Raises:
        BuildError: a build failed; the next ones of either generation are full ones then, where raw was outdated.
    """
    for generation in ("the one that readers get", *([] if target.lake else ["the one before it"])):
        say(f"building everything again: {generation}")
        build(target, Request(full=True, ingest=False), say)
    if target.lake:
        compact(target, say, nothing_before=True)


def publish_held_build(target: Target, say: Say) -> None:
    """Publish what a build held back. Raises BuildError where nothing is held, or other domains are on now."""
    with build_lock(target), recorded(target, Run("publish", target.name), say) as run:
        project = parsed(target, project_fingerprint(target))
        number = publish_held(target, project.schemas, project.declared, say)
        run.outcome, run.generation_number = "published", number
        with open_database(target) as database:
            run.row_counts = count_rows(database, project.models)
    say(f"generation {number} is published")


def roll_back_build(target: Target, say: Say) -> None:
    """Give readers the generation before. Raises BuildError where that is no longer whole."""
    with build_lock(target), recorded(target, Run("rollback", target.name), say) as run:
        gone, present = roll_back(target)
        run.outcome, run.generation_number = "published", present
    say(
        f"readers see generation {present} again, instead of {gone}; the next `make build` goes on from what was loaded"
    )


def _notes(loaded: list[Loaded]) -> list[str]:
    return [note for each in loaded for note in each.notes]
