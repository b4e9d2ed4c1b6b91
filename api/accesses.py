"""Who read which mart: a line for each request in a file beside the warehouse, and on Postgres sums in the audit.

A line has what was read and how much, and nothing of a person: no filter, no value, no address.
"""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "api_access.jsonl"


@dataclass(frozen=True)
class Access:
    """A request that was answered. `at`: UTC, by ISO 8601; `seconds`: from its first to its last byte."""

    at: str
    key: str
    login: str
    what: str
    status: int
    generation: int | None
    rows: int
    bytes: int
    seconds: float


class Accesses:
    """What was read since it was last written down."""

    def __init__(self, folder: Path):
        self.file = folder / FILE
        self._lock = threading.Lock()
        self._lines: list[Access] = []
        self._sums: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)

    def add(self, access: Access, key: str) -> None:
        """Note a request of a key, which `key` tells from others."""
        with self._lock:
            self._lines.append(access)
            requests, rows = self._sums[key].get(access.what, (0, 0))
            self._sums[key][access.what] = (requests + 1, rows + access.rows)

    def write(self) -> None:
        """Append to the file what was noted, for its owner's eyes alone."""
        with self._lock:
            lines, self._lines = self._lines, []
        if lines:
            descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(each)) + "\n" for each in lines)

    def sums(self, key: str) -> dict[str, tuple[int, int]]:
        """Requests and rows of a key by what was read, since this was last asked."""
        with self._lock:
            return self._sums.pop(key, {})
