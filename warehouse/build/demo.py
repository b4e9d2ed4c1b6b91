"""The simulated companies, run as other processes: the default build has no other sources.

Each domain that is on has one where `ingestion/demo/<domain>/` simulates it. Only the command is used
(`python -m ingestion.demo`); its answer is the environment that a person would set to point the sources at real
systems.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ingestion.destination.lake import BUILD
from ingestion.destination.target import Target
from ingestion.domains import domains
from ingestion.environment import variables
from ingestion.load.run import configured_sources
from ingestion.project import PROJECT_ROOT
from warehouse.errors import BuildError

DAYS, SCALE, SEED = "730", "1.0", "7"
MARKER = "holds-demo-data"
OBSERVED_AT = "GRANARY_OBSERVED_AT"


def _folder(target: Target, domain: str) -> Path:
    return target.folder / "demo" / domain


def _simulated(target: Target) -> list[str]:
    return [each.name for each in domains(target.project) if (PROJECT_ROOT / "ingestion/demo" / each.name).is_dir()]


def holds_demo(target: Target) -> bool:
    """Whether what a warehouse holds is the demo's."""
    return not target.in_postgres and (target.folder / MARKER).exists()


def set_aside(target: Target, say: Callable[[str], None]) -> None:
    """Where real sources are configured and the warehouse still holds the demo's data: put that aside, whole.

    Raises:
        BuildError: it is a lake, whose files don't move.
    """
    if not holds_demo(target) or not configured_sources(target.project):
        return
    if target.lake:
        raise BuildError(
            "this lake holds the demo's data, and a source is configured now: name another place for it, by "
            "WAREHOUSE_DIR and, where it is set, LAKE_URL"
        )
    aside = target.folder / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    aside.mkdir()
    for name in ("build.duckdb", "warehouse.duckdb", "warehouse__next.duckdb", "pipelines", "demo", "matches", MARKER):
        if (target.folder / name).exists():
            shutil.move(target.folder / name, aside / name)
    say(f"this warehouse held the demo's data; a source is configured now, so that was put aside in {aside}")


@contextmanager
def demo_if_unconfigured(target: Target, say: Callable[[str], None], extra_days: int = 0) -> Iterator[bool]:
    """Run the simulated companies where they are wanted: files of one user's, no source configured, no real data.

    Args:
        target: the warehouse.
        say: takes lines of progress.
        extra_days: days to simulate on top of what is there.

    Yields:
        Whether the demo is the source.

    Raises:
        BuildError: the demo fails.
    """
    if configured_sources(target.project):
        yield False
        return
    marker = target.folder / MARKER
    is_new = not (target.lake.has(BUILD) if target.lake else target.build_file.exists())
    # It is nothing for what others share.
    if target.in_postgres or not (is_new or marker.exists()):
        say("no source is configured: nothing to load (see README.md, your own systems)")
        yield False
        return
    target.folder.mkdir(parents=True, exist_ok=True)
    marker.touch()
    companies = _simulated(target)
    if not companies:
        say("no source is configured, and no domain that is on has a simulated company: nothing to load")
    for domain in companies:
        _simulate(target, domain, say, extra_days)
    with ExitStack() as stack:
        settings: dict[str, str] = {}
        for domain in companies:
            served = stack.enter_context(_served(target, domain))
            # Their days are the same but where one was simulated later: by the latest, all had happened.
            observed = max(each.get(OBSERVED_AT, "") for each in (settings, served))
            settings |= served | {OBSERVED_AT: observed}
        # What somebody set stays set.
        stack.enter_context(variables({name: os.environ.get(name, value) for name, value in settings.items()}))
        yield bool(companies)


def _simulate(target: Target, domain: str, say: Callable[[str], None], extra_days: int) -> None:
    ready = _folder(target, domain) / "ready"
    if not ready.exists() or "DAYS" in os.environ:
        days = os.environ.get("DAYS", DAYS)
        say(f"demo: simulating {domain} over {days} days")
        scale = os.environ.get("SCALE", SCALE)
        _command(target, domain, "simulate", "--days", days, "--scale", scale, "--seed", SEED)
        ready.touch()
    if extra_days:
        say(f"demo: simulating {extra_days} more day{'s' if extra_days > 1 else ''} of {domain}")
        _command(target, domain, "next-day", "--days", str(extra_days))


@contextmanager
def _served(target: Target, domain: str) -> Iterator[dict[str, str]]:
    """Serve a company's systems. Yields the environment variables that name them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ingestion.demo", *_words(target, domain, "serve")],
        cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            command = " ".join(_words(target, domain, "serve"))
            raise BuildError(f"the demo's systems did not start: run `python -m ingestion.demo {command}`")
        settings: dict[str, str] = json.loads(line)
        yield settings
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)


def _words(target: Target, domain: str, command: str) -> list[str]:
    return [command, "--domain", domain, "--folder", str(_folder(target, domain))]


def _command(target: Target, domain: str, command: str, *words: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ingestion.demo", *_words(target, domain, command), *words],
        cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise BuildError(f"the demo failed: {last}")
