"""One build, from lock to publish: load, build and test out of readers' sight, publish, sum up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from ingestion.destination import Target
from ingestion.extracts import Loaded
from ingestion.run import load_all
from warehouse import dbt, ledger
from warehouse.database import open_database
from warehouse.demo import demo_if_unconfigured
from warehouse.errors import BuildError
from warehouse.lock import build_lock
from warehouse.publish import prepare_next, publish, publish_held, roll_back
from warehouse.summary import print_summary

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What was asked for. With dbt's own selection, `select`, nothing is published; with `hold`, nothing yet.

    backfill: the first and the last business day whose facts are computed again, whether anything new came or not.
    """

    select: str | None = None
    full: bool = False
    extra_days: int = 0
    ingest: bool = True
    hold: bool = False
    backfill: tuple[date, date] | None = None


def build(target: Target, request: Request, say: Say) -> int:
    """Build the warehouse. Returns the number of the generation that readers now see (0: nothing was published).

    Raises:
        BuildError: something failed; readers still see the generation from before.
    """
    started = time.monotonic()
    with build_lock(target):
        loaded: list[Loaded] = []
        if request.ingest:
            with demo_if_unconfigured(target, say, request.extra_days):
                loaded, failures = load_all(target, say)
            if failures:
                raise BuildError(
                    failures[0] + (f" (and {len(failures) - 1} more, see above)" if len(failures) > 1 else "")
                )
        prepare_next(target)
        manifest = dbt.parse(target)
        models = published_models(manifest, target)
        with open_database(target) as database:
            ledger.begin(database, manifest)
            forced = request.full or request.select or request.backfill
            if not forced and ledger.is_up_to_date(database, list(models)):
                for note in _notes(loaded):
                    say(f"note: {note}")
                say(
                    f"nothing to build: no new records and no changed code since the published generation "
                    f"({time.monotonic() - started:.0f} s). `make build FULL=1` builds it all again"
                )
                return 0
            ledger.begin_generation(database)
        command = ["build"]
        if request.full:
            command.append("--full-refresh")
        if request.select:
            command += ["--select", *request.select.split()]
        if request.backfill:
            first, last = (day.isoformat() for day in request.backfill)
            command += ["--vars", json.dumps({"backfill_from": first, "backfill_to": last})]
            say(f"computing the facts of {first} to {last} again")
        say("building and testing, out of readers' sight")
        outcome = dbt.run(target, command, manifest, say)
        if not outcome.success:
            for failure in outcome.failures:
                say(f"  {failure}")
            raise BuildError(
                f"{outcome.failed} of dbt's nodes failed, the first: {(outcome.failures or ['see above'])[0]}; "
                "nothing was published. Full log: logs/dbt.log"
            )
        number = 0
        if request.select:
            say("SELECT was given, so nothing is published")
        elif request.hold:
            with open_database(target) as database:
                ledger.hold_generation(database)
            say(
                "the next generation is whole and tested, and held back: `make diff` compares it, "
                "`make publish` publishes it"
            )
        else:
            number = publish(target, _schemas(models), say)
        print_summary(target, say, models, outcome, loaded, _notes(loaded), number, time.monotonic() - started)
        return number


def publish_held_build(target: Target, say: Say) -> None:
    """Publish what a build held back. Raises BuildError where nothing is held."""
    with build_lock(target):
        number = publish_held(target, _schemas(published_models(dbt.parse(target), target)), say)
    say(f"generation {number} is published")


def roll_back_build(target: Target, say: Say) -> None:
    """Give readers the generation before. Raises BuildError where that is no longer whole."""
    with build_lock(target):
        gone, present = roll_back(target)
    say(
        f"readers see generation {present} again, instead of {gone}; the next `make build` goes on from what was loaded"
    )


def _schemas(models: dict[str, tuple[str, str]]) -> list[str]:
    return sorted({schema for schema, _ in models.values()})


def _notes(loaded: list[Loaded]) -> list[str]:
    return [note for each in loaded for note in each.notes]


def published_models(manifest: Any, target: Target) -> dict[str, tuple[str, str]]:
    """Every model that is published: name → (schema as readers know it, the first line of its description)."""
    found = {}
    for node in manifest.nodes.values():
        if node.resource_type == "model" and (node.config.meta or {}).get("published"):
            schema = str(node.schema).removeprefix(target.prefix).removesuffix("__next")
            lines = node.description.strip().splitlines()
            found[node.name] = (schema, lines[0] if lines else "")
    return found
