"""Ends what takes longer than an answer may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from api.errors import RefusedError, unavailable

# Says why something was ended, where it was.
Ended = Callable[[], RefusedError | None]


class Overdue:
    """What is under way, with when each has to be over."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._lock = threading.Lock()
        self._running: dict[int, tuple[float, Callable[[], None]]] = {}
        self._ended: set[int] = set()
        self._numbers = iter(range(1, 2**62))

    @contextmanager
    def watched(self, cancel: Callable[[], None]) -> Iterator[Ended]:
        """Have `cancel` called where the block takes too long. Yields what says so afterwards."""
        with self._lock:
            number = next(self._numbers)
            self._running[number] = (time.monotonic() + self.seconds, cancel)

        def ended() -> RefusedError | None:
            if number not in self._ended:
                return None
            return unavailable(
                f"the answer took more than {self.seconds:g} seconds and was ended: filter, or ask for fewer columns",
                1,
            )

        try:
            yield ended
        finally:
            with self._lock:
                self._running.pop(number, None)
                self._ended.discard(number)

    def end(self) -> None:
        """End what is overdue."""
        now = time.monotonic()
        with self._lock:
            late = [(number, cancel) for number, (until, cancel) in self._running.items() if until < now]
            for number, _ in late:
                self._ended.add(number)
                self._running.pop(number)
        for _, cancel in late:
            with suppress(Exception):  # it may have ended by itself
                cancel()
