"""Follow a source: load what is new, build, test, publish, and begin again, until somebody ends it."""

from __future__ import annotations

import math
import signal
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingestion.contract.reading import read_contract, source_names
from ingestion.destination.lock import LockError, build_lock
from ingestion.destination.target import Target
from ingestion.load.extracts import SourceError
from ingestion.load.run import watch_of
from ingestion.load.watching import Asked, Watch
from ingestion.signals import ENDING, end_by_signals
from warehouse.build.build import Request, build
from warehouse.database import Database, open_database
from warehouse.errors import BuildError, PassingError
from warehouse.runs.runs import Run, are_waiting, collect

Say = Callable[[str], None]

# After so many failures in a row somebody has to look, unless it has worked and what fails may pass by itself.
PATIENCE = 5
LONGEST_PAUSE_SECONDS = 60.0
# How often a batch is recorded whole, and how long nothing has to come before records that wait are loaded.
RECORD_SECONDS, QUIET_SECONDS = 60.0, 1.0


@dataclass
class _Followed:
    """What came of it so far.

    ways: seconds from when the newest change of a batch was made until readers had it, of the last batches.
    doing, since: what goes on, since when by the monotonic clock.
    has_worked: whether a batch succeeded. failures: those in a row.
    recorded_at: when the last batch began that was recorded whole.
    """

    source: str
    published: int = 0
    ways: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    doing: str = "starting"
    since: float = field(default_factory=time.monotonic)
    has_worked: bool = False
    failures: int = 0
    recorded_at: float = -math.inf

    def now(self, doing: str) -> None:
        """Say what goes on from here."""
        self.doing, self.since = doing, time.monotonic()

    def line(self) -> str:
        """What goes on, in a line."""
        told = f"following {self.source}: {self.doing} for {time.monotonic() - self.since:.0f} s"
        return f"{told}; {self.published:,} published{f'; {self.spread()}' if self.ways else ''}"

    def spread(self) -> str:
        """How long changes took to readers."""
        ordered = sorted(self.ways)
        p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
        return f"from change to mart {statistics.median(ordered):.1f} s (p50), {p95:.1f} s (p95)"


def follow(
    target: Target, source: str, seconds: float | None, batches: int | None, say: Say, *, by_dbt: bool = False
) -> None:
    """Build one micro-batch after the other.

    A batch takes all that came while the one before was built, so that a source that is faster waits in its own log.

    Args:
        target: the warehouse.
        source: which source is loaded.
        seconds: how long to wait at most after a batch that brought nothing; where None, five, or sixty for a source
            that tells when it has something new.
        batches: how many to publish; until Ctrl-C, or a signal to terminate, where None.
        say: takes a line for each batch.
        by_dbt: dbt makes each batch, see `Request`.

    Raises:
        BuildError: there is no such source; or five batches failed one after the other, and none had succeeded or
            what fails is not the source, a lock or the connection to the warehouse.
    """
    names = source_names(target.project)
    if not source and len(names) == 1:
        [source] = names
    if source not in names:
        raise BuildError(f"there is no source '{source}': SOURCE= says which to follow, of {', '.join(names)}")
    contract, ended, followed = read_contract(source, target.project), _asked_to_end(), _Followed(source)
    with _status(followed, say) as say:
        say(f"following {source}; Ctrl-C ends it after the batch that is being built")
        watch: Watch | None = None
        try:
            while not ended.is_set() and (batches is None or followed.published < batches):
                with suppress(SourceError):  # the load says what is wrong
                    watch = watch or watch_of(contract)
                waiting = watch or Asked()
                waiting.begin()
                if not _batch(target, followed, by_dbt, ended, say):
                    _rest(target, followed, waiting, seconds, ended, say)
        finally:
            _load_records(target, say)
    if followed.ways:
        say(f"{followed.published:,} batches published; {followed.spread()}")


def _batch(target: Target, followed: _Followed, by_dbt: bool, ended: threading.Event, say: Say) -> bool:
    """One batch. Returns whether there was anything to do, or it failed and the pause after it is over."""
    run = Run("build", target.name)
    started = time.monotonic()
    is_whole = started - followed.recorded_at >= RECORD_SECONDS
    followed.now("loading and building")
    try:
        request = Request(sources=(followed.source,), by_dbt=by_dbt, is_batch=not is_whole, by_rows=True)
        number = build(target, request, lambda line: None, run)
    except (BuildError, LockError) as error:
        followed.failures += 1
        may_pass = followed.has_worked and isinstance(error, PassingError | LockError)
        if followed.failures >= PATIENCE and not may_pass:
            raise BuildError(f"{followed.failures} batches failed one after the other, the last: {error}") from error
        pause = min(LONGEST_PAUSE_SECONDS, 2.0**followed.failures if followed.has_worked else followed.failures)
        say(f"a batch failed: {error}; trying again in {pause:.0f} s")
        followed.now("waiting after a failure")
        ended.wait(pause)
        return True
    finally:
        followed.recorded_at = started if is_whole else followed.recorded_at
    followed.failures, followed.has_worked = 0, True
    loaded = sum(each.loaded + each.deleted for each in run.loaded)
    if number:
        followed.published += 1
        took = time.monotonic() - started
        say(f"generation {number}: {loaded:,} versions in {took:.1f} s{_lag(target, followed)}")
    return bool(number or loaded)


def _rest(
    target: Target, followed: _Followed, watch: Watch, seconds: float | None, ended: threading.Event, say: Say
) -> None:
    """Wait for something new. What waits to be recorded is, once nothing comes for a moment."""
    followed.now("waiting")
    left = watch.longest_seconds if seconds is None else seconds
    for part in (min(QUIET_SECONDS, left), left - QUIET_SECONDS):
        if part > 0 and watch.wait(part, ended):
            return
        _load_records(target, say)


def _load_records(target: Target, say: Say) -> None:
    """Load what waits; while another has the warehouse it waits for that one's end, which loads it too."""
    if are_waiting(target):
        with suppress(LockError), build_lock(target):
            collect(target, say)


def _asked_to_end() -> threading.Event:
    """An event that a signal sets; a second one ends the batch where it is, as it ends any build."""
    ended = threading.Event()

    def ask(number: int, frame: object) -> None:
        ended.set()
        end_by_signals()

    for number in ENDING:
        signal.signal(number, ask)
    return ended


@contextmanager
def _status(followed: _Followed, say: Say) -> Iterator[Say]:
    """On a terminal, say each second in its last line what goes on. Yields what says other lines."""
    if not sys.stdout.isatty():
        yield say
        return
    over = threading.Event()

    def tell() -> None:
        while not over.wait(1.0):
            print(f"\r\x1b[K{followed.line()}", end="", flush=True)

    def say_above(line: str) -> None:
        print("\r\x1b[K", end="")
        say(line)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield say_above
    finally:
        over.set()
        thread.join()
        print("\r\x1b[K", end="", flush=True)


def _lag(target: Target, followed: _Followed) -> str:
    """How long the newest load's changes took to the mart, from the last to the first; empty where there are none."""
    with open_database(target) as database:
        first, last = _times(database, followed.source)
    now = datetime.now(UTC).replace(tzinfo=None)
    if first is None or last is None:
        return ""
    followed.ways.append((now - last).total_seconds())
    return f"; {(now - last).total_seconds():.1f} to {(now - first).total_seconds():.1f} s after they were made"


def _times(database: Database, source: str) -> tuple[datetime | None, datetime | None]:
    loads = database.raw(source, "_dlt_loads")
    latest = f"(select load_id from {loads} where status = 0 order by inserted_at desc limit 1)"
    tables = " union all ".join(
        f"select _effective_at from {database.raw(source, table.name)} where _load_id = {latest}"
        for table in read_contract(source, database.target.project).tables
    )
    [(first, last)] = database.run(f"select min(_effective_at), max(_effective_at) from ({tables}) as loaded")
    return first, last
