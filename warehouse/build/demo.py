"""The simulated company, run as another process: the default build has no other source.

Only its command is used (`python -m ingestion.demo`); its answer is the environment that a person would set to
point the sources at real systems.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ingestion.destination.target import Target
from ingestion.environment import variables
from ingestion.load.run import configured_sources
from ingestion.project import PROJECT_ROOT
from warehouse.errors import BuildError

DAYS, SCALE, SEED = "730", "1.0", "7"
MARKER = "holds-demo-data"


def _folder(target: Target) -> Path:
    return target.folder / "demo"


def set_aside(target: Target, say: Callable[[str], None]) -> None:
    """Where real sources are configured and the warehouse still holds the demo's data: put that aside, whole."""
    marker = target.folder / MARKER
    if target.name != "dev" or not marker.exists():
        return
    aside = target.folder / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    aside.mkdir()
    for name in ("build.duckdb", "warehouse.duckdb", "warehouse__next.duckdb", "pipelines", "demo", MARKER):
        if (target.folder / name).exists():
            shutil.move(target.folder / name, aside / name)
    say(f"this warehouse held the demo's data; a source is configured now, so that was put aside in {aside}")


@contextmanager
def demo_if_unconfigured(target: Target, say: Callable[[str], None], extra_days: int = 0) -> Iterator[bool]:
    """Run the simulated company where it is wanted: target dev, no source configured, no real data in raw.

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
        set_aside(target, say)
        yield False
        return
    marker = target.folder / MARKER
    if target.name != "dev" or (target.build_file.exists() and not marker.exists()):
        say("no source is configured: nothing to load (see README.md, your own systems)")
        yield False
        return
    target.folder.mkdir(parents=True, exist_ok=True)
    marker.touch()
    ready = _folder(target) / "ready"
    if not ready.exists() or "DAYS" in os.environ:
        days = os.environ.get("DAYS", DAYS)
        say(f"demo: simulating a company over {days} days")
        _command(target, "simulate", "--days", days, "--scale", os.environ.get("SCALE", SCALE), "--seed", SEED)
        ready.touch()
    if extra_days:
        say(f"demo: simulating {extra_days} more day{'s' if extra_days > 1 else ''}")
        _command(target, "next-day", "--days", str(extra_days))
    process = subprocess.Popen(
        [sys.executable, "-m", "ingestion.demo", "serve", "--folder", str(_folder(target))],
        cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BuildError(
                "the demo's systems did not start: run `python -m ingestion.demo serve --folder data/demo`"
            )
        settings = json.loads(line)
        # What somebody set stays set.
        with variables({name: os.environ.get(name, value) for name, value in settings.items()}):
            yield True
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)


def _command(target: Target, *words: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ingestion.demo", words[0], "--folder", str(_folder(target)), *words[1:]],
        cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise BuildError(f"the demo failed: {last}")
