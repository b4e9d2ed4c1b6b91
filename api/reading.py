"""What reading a warehouse is to the API, whichever engine it is on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from api.catalogue import Mart
from api.questions import Question


@dataclass(frozen=True)
class Caller:
    """Who asks, and what is published as they ask.

    key: tells keys apart, and is no secret.
    name: of the key.
    login: that the key is for.
    generation, published_at: of what is published; the time in UTC.
    rights: changes with what the caller may see.
    """

    key: str
    name: str
    login: str
    generation: int
    published_at: datetime
    rights: str


@dataclass
class Answer:
    """The rows of a question, all of one generation, to be read once."""

    generation: int
    batches: Iterator[pa.RecordBatch]


class Reader(Protocol):
    """Reads what is published as the login of a key."""

    def caller(self, token: str) -> Caller:
        """Who sends this key. Raises RefusedError where it is none, or is over."""

    def marts(self, token: str, caller: Caller) -> dict[tuple[str, str], Mart]:
        """The marts that the caller may read, with their columns."""

    def ask(self, token: str, question: Question, most: int, texts: bool) -> AbstractContextManager[Answer]:
        """Ask for rows, at most so many. Raises RefusedError."""

    def ask_sql(self, token: str, sql: str, most: int) -> tuple[pa.Table, int]:
        """Run a statement of ours, such as a metric's. Returns its first rows and their generation."""

    def tidy(self) -> None:
        """Let go of what isn't used, end what takes too long. Called again and again."""

    def close(self) -> None:
        """Let go of everything."""


def digest(token: str) -> str:
    """Tells keys apart, and gives nothing away."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]
