"""Answers that were given a moment ago: an answer of a generation is the same until the next is published.

They are kept for some seconds, so that rights which are taken away within a generation are, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from starlette.requests import Request
from starlette.responses import Response

from api.proxies import prefix_of
from api.reading import Caller

SECONDS = 10.0
LARGEST, ALL = 1 << 20, 1 << 26  # bytes of one, and of all together


@dataclass(frozen=True)
class _Kept:
    response: Response
    rows: int
    until: float


class KeptAnswers:
    """The answers, the oldest first. `proxies`: whom the path is believed that answers name others by."""

    def __init__(self, proxies: Sequence[IPv4Network | IPv6Network]) -> None:
        self._proxies = proxies
        self._lock = threading.Lock()
        self._size = 0
        self._answers: dict[tuple[str, ...], _Kept] = {}

    def found(self, request: Request, caller: Caller) -> tuple[Response, int] | None:
        """The answer to this very request, and how many rows it has; None where none is kept."""
        kept = self._answers.get(self._asked(request, caller))
        return (kept.response, kept.rows) if kept and kept.until > time.monotonic() else None

    def keep(self, request: Request, caller: Caller, response: Response, rows: int) -> None:
        """Keep an answer, where it is whole, small, and of what is published now."""
        size = len(response.body) if hasattr(response, "body") else LARGEST + 1
        generation = response.headers.get("Granary-Generation")
        if response.status_code != 200 or size > LARGEST or generation != str(caller.generation):
            return
        asked = self._asked(request, caller)
        with self._lock:
            self._drop(asked)
            self._answers[asked] = _Kept(response, rows, time.monotonic() + SECONDS)
            self._size += size
            while self._size > ALL:
                self._drop(next(iter(self._answers)))

    def tidy(self) -> None:
        """Drop what is too old."""
        now = time.monotonic()
        with self._lock:
            for asked in [asked for asked, each in self._answers.items() if each.until < now]:
                self._drop(asked)

    def clear(self) -> None:
        """Drop all: another project says other things of the same generation."""
        with self._lock:
            self._answers.clear()
            self._size = 0

    def _drop(self, asked: tuple[str, ...]) -> None:
        if kept := self._answers.pop(asked, None):
            self._size -= len(kept.response.body)

    def _asked(self, request: Request, caller: Caller) -> tuple[str, ...]:
        """What an answer depends on."""
        headers = request.headers
        return (
            caller.key, caller.rights, str(caller.generation), request.method, request.scope["path"],
            request.scope["query_string"].decode("latin-1"),
            headers.get("accept", ""), headers.get("accept-encoding", ""),
            prefix_of(request, self._proxies),
        )  # fmt: skip
