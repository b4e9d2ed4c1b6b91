"""Follow a source: load what is new, build, test, publish, and begin again, until somebody ends it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from ingestion.contract.reading import read_contract, source_names
from ingestion.destination.lock import LockError
from ingestion.destination.target import Target
from ingestion.signals import ENDING, end_by_signals
from warehouse.build.build import Request, build
from warehouse.database import Database, open_database
from warehouse.errors import BuildError
from warehouse.runs.runs import Run

Say = Callable[[str], None]

# After so many failures in a row somebody has to look.
PATIENCE = 5


def follow(target: Target, source: str, seconds: float, batches: int | None, say: Say) -> None:
    """Build one micro-batch after the other.

    Args:
        target: the warehouse.
        source: which source is loaded.
        seconds: how long to wait after a batch that brought nothing.
        batches: how many to publish; until Ctrl-C, or a signal to terminate, where None.
        say: takes a line for each batch.

    Raises:
        BuildError: there is no such source, or five batches failed one after the other.
    """
    names = source_names(target.project)
    if not source and len(names) == 1:
        [source] = names
    if source not in names:
        raise BuildError(f"there is no source '{source}': SOURCE= says which to follow, of {', '.join(names)}")
    ended = _asked_to_end()
    failures = published = 0
    say(f"following {source}; Ctrl-C ends it after the batch that is being built")
    while not ended.is_set() and (batches is None or published < batches):
        run = Run("build", target.name)
        started = time.monotonic()
        try:
            number = build(target, Request(sources=(source,)), lambda line: None, run)
        except (BuildError, LockError) as error:
            failures += 1
            if failures == PATIENCE:
                raise BuildError(f"{failures} batches failed one after the other, the last: {error}") from error
            say(f"a batch failed: {error}; trying again")
            ended.wait(seconds * 2**failures)
            continue
        failures = 0
        loaded = sum(each.loaded + each.deleted for each in run.loaded)
        if number:
            published += 1
            say(f"generation {number}: {loaded:,} versions in {time.monotonic() - started:.0f} s{_lag(target, source)}")
        elif not loaded:
            ended.wait(seconds)


def _asked_to_end() -> threading.Event:
    """An event that a signal sets; a second one ends the batch where it is, as it ends any build."""
    ended = threading.Event()

    def ask(number: int, frame: object) -> None:
        ended.set()
        end_by_signals()

    for number in ENDING:
        signal.signal(number, ask)
    return ended


def _lag(target: Target, source: str) -> str:
    """How long the newest load's changes took to the mart, from the last to the first; empty where there are none."""
    with open_database(target) as database:
        first, last = _times(database, source)
    now = datetime.now(UTC).replace(tzinfo=None)
    if first is None or last is None:
        return ""
    return f"; {(now - last).total_seconds():.0f} to {(now - first).total_seconds():.0f} s after they were made"


def _times(database: Database, source: str) -> tuple[datetime | None, datetime | None]:
    loads = database.raw(source, "_dlt_loads")
    latest = f"(select load_id from {loads} where status = 0 order by inserted_at desc limit 1)"
    tables = " union all ".join(
        f"select _effective_at from {database.raw(source, table.name)} where _load_id = {latest}"
        for table in read_contract(source, database.target.project).tables
    )
    [(first, last)] = database.run(f"select min(_effective_at), max(_effective_at) from ({tables}) as loaded")
    return first, last
