"""The metrics as Prometheus reads them: over HTTP on the loopback, or as a file for node_exporter.

Over HTTP everybody gets what was read last, at once: a warehouse that is slow, or away, holds no scrape up. What costs
more, and holds for as long as a generation is published, a process of its own computes (`published.py`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from infra.monitoring.pipeline import pipeline
from infra.monitoring.published import is_current, look, published
from ingestion.destination.lock import LockError
from ingestion.destination.target import Target
from ingestion.environment import ConfigurationError
from warehouse.errors import BuildError
from warehouse.ports import require_free

# After so many intervals without an answer, and no fewer seconds, what was read last is no longer given out.
PATIENCE, PATIENCE_SECONDS = 3, 30
# After how long what is published is looked at again where that failed: each time takes many seconds of a core.
RETRY_SECONDS = 900
# What libpq waits for a server that doesn't answer.
CONNECT_SECONDS = 5


class Collected(Collector):
    """What was read last of a warehouse.

    interval: after how many seconds it is read again.
    """

    def __init__(self, target: Target, interval: float, say: Callable[[str], None]):
        self.target, self.interval, self.say = target, interval, say
        self.metrics: list[Metric] = []
        self.read_at = -float("inf")
        self.reason = ""

    def read(self) -> None:
        """Read the warehouse. What is wrong with it is said once."""
        metrics, reason = [], ""
        try:
            now = datetime.now(UTC).replace(tzinfo=None)
            metrics = [*pipeline(self.target, now), *published(self.target)]
        except (BuildError, LockError, ConfigurationError) as error:
            reason = str(error).splitlines()[0]
        if reason != self.reason:
            self.say(f"granary_up 0: {reason}" if reason else "granary_up 1: the warehouse answers again")
        self.metrics, self.reason, self.read_at = metrics, reason, time.monotonic()

    def describe(self) -> Iterable[Metric]:
        """None before they are read: there is nothing to look up their names by."""
        return []

    def collect(self) -> Iterable[Metric]:
        """What was read last, where that isn't too long ago."""
        patience = max(PATIENCE * self.interval, PATIENCE_SECONDS)
        metrics = self.metrics if time.monotonic() - self.read_at <= patience else []
        up = "Whether the warehouse answers, and what it says is here: 1 or 0."
        return [GaugeMetricFamily("granary_up", up, 1 if metrics else 0), *metrics]


def serve(target: Target, port: int, interval: float, say: Callable[[str], None], ended: Event) -> None:
    """Answer Prometheus on the loopback until `ended` is set.

    Args:
        target: the warehouse.
        port: of the loopback.
        interval: seconds between two looks at the warehouse.
        say: takes lines of progress.
        ended: when to end.

    Raises:
        BuildError: the port is taken.
    """
    require_free(port, "make metrics-endpoint")
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_SECONDS))
    collected = Collected(target, interval, say)
    registry = CollectorRegistry()
    registry.register(collected)
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    say(f"metrics are at http://127.0.0.1:{port}/metrics, read every {interval:g} s. Ctrl-C ends it")
    looking: subprocess.Popen[bytes] | None = None
    look_again = 0.0
    try:
        while not ended.is_set():
            collected.read()
            if looking is not None and looking.poll() is not None:
                look_again = 0 if looking.returncode == 0 else time.monotonic() + RETRY_SECONDS
                looking = None
            if looking is None and time.monotonic() >= look_again and not collected.reason and not _is_seen(target):
                looking = subprocess.Popen([sys.executable, "-m", "infra.monitoring", "published"])
            ended.wait(interval)
    finally:
        if looking is not None and looking.poll() is None:
            looking.terminate()
            looking.wait()
        server.shutdown()
        server.server_close()
        thread.join()


def _is_seen(target: Target) -> bool:
    """Whether there is nothing published to look at. A warehouse that has gone away meanwhile is read again first."""
    try:
        return is_current(target)
    except BuildError:
        return True


def write_textfile(target: Target, file: Path, say: Callable[[str], None]) -> bool:
    """Write the metrics into a file, which takes its place when it is whole. Returns whether the warehouse answered.

    Raises:
        BuildError: the file can't be written.
    """
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_SECONDS))
    collected = Collected(target, float("inf"), say)
    registry = CollectorRegistry()
    registry.register(collected)

    def write() -> None:
        collected.read()
        try:
            write_to_textfile(str(file), registry)
        except OSError as error:
            message = f"{file} can't be written: {error.strerror}; say FILE=… in a folder that is yours"
            raise BuildError(message) from error

    write()
    if not collected.reason and not _is_seen(target):
        # What is known already doesn't wait for it.
        look(target, say)
        write()
    say(f"{file}: {sum(len(each.samples) for each in collected.collect())} samples")
    return not collected.reason
