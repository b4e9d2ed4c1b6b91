"""To wait for a source until it may have something new, instead of asking it at intervals.

A reader whose systems can tell has a function `watch(contract)`, which gives a Watch. Others are asked at intervals.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

# How often a source is looked at that shows whether it changed: a hundredth of the time is spent in looking, at most.
_PAUSE_SECONDS = 0.05


class Watch(Protocol):
    """Waits for one source.

    longest_seconds: how long to wait before the source is asked all the same.
    """

    longest_seconds: float

    def begin(self) -> None:
        """A load begins: what is new from now on counts. Nothing may be held open at the source meanwhile."""

    def wait(self, seconds: float, ended: threading.Event) -> bool:
        """Return once there may be something new since the last load began, `ended` is set, or after so long.

        Returns:
            Whether one of the first two is so.
        """


class Asked:
    """Waits for nothing: a source that doesn't tell is asked at intervals."""

    longest_seconds = 5.0

    def begin(self) -> None:
        """Nothing is known of it."""

    def wait(self, seconds: float, ended: threading.Event) -> bool:
        """Wait so long."""
        return ended.wait(seconds)


class Looked:
    """Watches what shows by a glance whether it changed.

    look: gives what differs after any change; it may also differ without one.
    settles: a change that is seen still goes on, as where a file is copied; it is told once it looks the same twice.
    """

    longest_seconds = 60.0

    def __init__(self, look: Callable[[], object], settles: bool = False):
        self.look, self.settles = look, settles
        self.seen: object = None

    def begin(self) -> None:
        """Remember how it looks."""
        self.seen = self.look()

    def wait(self, seconds: float, ended: threading.Event) -> bool:
        """Look until it looks different."""
        until, before = time.monotonic() + seconds, self.seen
        while not ended.is_set() and (left := until - time.monotonic()) > 0:
            started = time.monotonic()
            now = self.look()
            if now != self.seen and (now == before or not self.settles):
                return True
            before = now
            pause = max(_PAUSE_SECONDS, 100 * (time.monotonic() - started))
            ended.wait(min(pause, left))
        return ended.is_set()


def glance(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Size and time of those of the files that are there."""
    found = {}
    for file in files:
        with suppress(OSError):
            status = file.stat()
            found[file] = (status.st_size, status.st_mtime_ns)
    return found
