"""How things are timed, and what a measurement is."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

RUNS = 5


@dataclass(frozen=True)
class Settings:
    """What was asked for: engines, share of the full sizes, and the folder for everything that is made.

    before: a commit whose full build a day is compared with, too; none where empty.
    """

    engines: tuple[str, ...]
    scale: float
    folder: Path
    runs: int = RUNS
    before: str = ""

    def size(self, rows: int) -> int:
        """A full size at this run's scale."""
        return max(1, round(rows * self.scale))


@dataclass(frozen=True)
class Took:
    """What some work took: seconds by the clock, of processors, and the most memory that the process held, in bytes.

    cpu: of this process, of those that it waited for, and of the servers in SERVERS, in seconds.
    """

    seconds: float
    cpu: float
    memory: int = 0

    def less(self, other: Took) -> Took:
        """Without what something else took."""
        return Took(self.seconds - other.seconds, self.cpu - other.cpu, self.memory)


@dataclass(frozen=True)
class Measurement:
    """One line of the results.

    seconds: what Granary took, the median of the runs; None where it could not be measured (`note` says why).
    cpu: seconds of processors of the same run; None where nobody counted them.
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
    cpu: float | None = field(default=None, kw_only=True)

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


# What tells the seconds of processors that a server has used: its work is not this process's.
SERVERS: list[Callable[[], float]] = []


def cpu() -> float:
    """The seconds of processors that were used until now, as `Took` counts them."""
    return sum(os.times()[:4]) + sum(each() for each in SERVERS)


def cpu_of_server(pid: int) -> float:
    """The seconds of processors that a server has used since it began, its sessions' and ended ones' among them.

    Args:
        pid: its first process, whose children are its sessions.
    """
    ticks = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = status.read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
            # After the name, by proc(5): state, parent, and from the 12th user and system time, its own and children's.
            if int(status.parent.name) == pid:
                ticks += sum(int(each) for each in fields[11:15])
            elif int(fields[1]) == pid:
                ticks += sum(int(each) for each in fields[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(work: Callable[[], object]) -> Took:
    """What one call takes."""
    begin_peak()
    used, started = cpu(), time.perf_counter()
    work()
    return Took(time.perf_counter() - started, cpu() - used, peak())


def begin_peak(process: int | str = "self") -> None:
    """Have a process's peak of memory begin anew; Linux alone does."""
    with suppress(OSError):
        Path(f"/proc/{process}/clear_refs").write_text("5", encoding="ascii")


def peak(process: int | str = "self") -> int:
    """The most memory that a process has held since its peak began anew, in bytes; 0 where nobody tells."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def middle(runs: Sequence[Took]) -> Took:
    """The run of the median of seconds; of an even number the slower one of the two."""
    return sorted(runs, key=lambda each: each.seconds)[len(runs) // 2]


def median_of(name: str, runs: int, work: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> Took:
    """What the median of several runs takes; `prepare` goes before each, untimed."""
    found = []
    for _ in range(runs):
        prepare()
        found.append(timed(work))
    say(f"  {name}: {', '.join(f'{each.seconds:.2f}' for each in found)} s; CPU {middle(found).cpu:.2f} s")
    return middle(found)


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
