"""How often a key may ask: so many requests in a minute, of which unused ones are saved for a minute."""

from __future__ import annotations

import threading
import time

from api.errors import too_many


class Rate:
    """What each key has left."""

    def __init__(self, requests: int):
        self.requests = requests
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> None:
        """Take one request. Raises RefusedError where none is left."""
        now, a_second = time.monotonic(), self.requests / 60
        with self._lock:
            left, since = self._left.get(key, (float(self.requests), now))
            left = min(self.requests, left + (now - since) * a_second)
            if left >= 1:
                self._left[key] = (left - 1, now)
                return
            self._left[key] = (left, now)
        seconds = max(1, int((1 - left) / a_second + 0.999))
        raise too_many(f"this key may ask {self.requests} times a minute: try again in {seconds} s", seconds)
