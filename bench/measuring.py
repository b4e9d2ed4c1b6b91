"""How things are timed, and what a measurement is."""

from __future__ import annotations

import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

RUNS = 2


@dataclass(frozen=True)
class Settings:
    """What was asked for: engines, share of the full sizes, and the folder for everything that is made."""

    engines: tuple[str, ...]
    scale: float
    folder: Path
    runs: int = RUNS

    def size(self, rows: int) -> int:
        """A full size at this run's scale."""
        return max(1, round(rows * self.scale))


@dataclass(frozen=True)
class Measurement:
    """One line of the results.

    seconds: what Granary took, the median of the runs; None where it could not be measured (`note` says why).
    reference: what it is compared with took, in seconds; `against` says what that is.
    ratio: as the part defines it; `at_least` or `at_most` is the target, if it has one.
    """

    part: str
    engine: str
    what: str
    seconds: float | None
    against: str = ""
    reference: float | None = None
    ratio: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok` or `MISSED`; nothing where there is no target. What could not be measured has missed its target."""
        if self.at_least is None and self.at_most is None:
            return ""
        if self.ratio is None:
            return "MISSED"
        least, most = self.at_least or 0, math.inf if self.at_most is None else self.at_most
        return "ok" if least <= self.ratio <= most else "MISSED"

    def document(self) -> dict[str, Any]:
        """The measurement as JSON has it."""
        return asdict(self) | {"verdict": self.verdict}


def say(line: str) -> None:
    """One line of progress."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


def timed(work: Callable[[], object]) -> float:
    """The seconds that one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_seconds(
    name: str, runs: int, work: Callable[[], object], prepare: Callable[[], object] = lambda: None
) -> float:
    """The median of the seconds of several runs; `prepare` goes before each, untimed."""
    seconds = []
    for _ in range(runs):
        prepare()
        seconds.append(timed(work))
    say(f"  {name}: {', '.join(f'{each:.2f}' for each in seconds)} s")
    return statistics.median(seconds)


def percentile(values: list[float], share: float) -> float:
    """The value that at least this share of the values doesn't exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]


def machine(postgres: str, load: float) -> dict[str, str]:
    """The machine and the versions that the figures belong to; `load` is the load average before the first of them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GB",
        "load before": f"{load:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "DuckDB": duckdb.__version__,
        "PostgreSQL": postgres or "not measured",
    }
