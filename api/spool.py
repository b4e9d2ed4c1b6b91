"""Pages: the rows of one statement, kept in a file for as long as somebody pages through them.

The statement runs once, and all pages are of the generation that it read, whatever is published meanwhile. The first
page is answered as soon as it is full; the rest goes on into the file. Pages are their key's alone.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pyarrow as pa

from api.errors import RefusedError, gone, unavailable
from api.kinds import Kind
from api.questions import Question
from api.reading import Answer, Caller
from api.settings import Settings

# Runs the statement of a question: rows at most.
Ask = Callable[[int], AbstractContextManager[Answer]]
_WRITERS = 16
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass
class Page:
    """Some rows. `next`: of the page after it; None for the last."""

    batches: list[pa.RecordBatch]
    generation: int
    next: str | None


@dataclass
class _Spool:
    """The pages of one statement. `places`: where each lies in the file."""

    name: str
    caller: Caller
    question: Question
    file: Path
    generation: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0
    is_done: bool = False
    is_dropped: bool = False
    failed: BaseException | None = None
    used: float = field(default_factory=time.monotonic)
    changed: threading.Condition = field(default_factory=threading.Condition)


class Spools:
    """The questions that somebody pages through."""

    def __init__(self, folder: Path, settings: Settings):
        self.folder, self.settings = folder, settings
        folder.mkdir(parents=True, mode=0o700)
        self._lock = threading.Lock()
        self._spools: dict[str, _Spool] = {}
        self._same: dict[tuple[str, ...], _Spool] = {}
        self._writers = ThreadPoolExecutor(_WRITERS, "spool")

    def first(self, caller: Caller, question: Question, ask: Ask) -> tuple[Question, Page]:
        """The first page of a question. Raises RefusedError."""
        same = (caller.key, caller.rights, str(caller.generation), question.fingerprint)
        with self._lock:
            spool = self._same.get(same)
            # What the statement read may be newer than what was published when it was asked.
            if spool is None or spool.failed or spool.is_dropped or spool.generation not in (0, caller.generation):
                name = secrets.token_urlsafe(12)
                spool = _Spool(name, caller, question, self.folder / name)
                self._spools[name] = self._same[same] = spool
                self._writers.submit(self._fill, spool, ask)
        return question, self._page(spool, 0)

    def later(self, caller: Caller, cursor: str) -> tuple[Question, Page]:
        """A later page, by what the page before called `next`. Raises RefusedError where it is gone."""
        name, _, number = cursor.partition(".")
        spool = self._spools.get(name)
        is_theirs = spool and (spool.caller.key, spool.caller.rights) == (caller.key, caller.rights)
        if spool is None or not is_theirs or not (number.isascii() and number.isdigit() and len(number) < 8):
            raise gone(
                f"this page is not kept any more: pages are kept for {self.settings.spool_seconds} seconds, for the "
                "key that asked. Begin again with the first one, which is of what is published now"
            )
        return spool.question, self._page(spool, int(number))

    def tidy(self) -> None:
        """Drop what nobody asked for lately, and what is too much, the oldest first."""
        now = time.monotonic()
        with self._lock:
            spools = sorted(self._spools.values(), key=lambda each: each.used)
            too_much = sum(each.size for each in spools) - self.settings.spools_bytes
            for each in spools:
                is_old = now - each.used > self.settings.spool_seconds
                # One page is all that there is, and it was answered.
                is_answered = each.is_done and len(each.places) <= 1 and now - each.used > 1
                if is_old or is_answered or too_much > 0 or each.failed:
                    too_much -= each.size
                    each.is_dropped = True
                    del self._spools[each.name]
            self._same = {key: each for key, each in self._same.items() if not each.is_dropped}
        for each in spools:
            if each.is_dropped:
                with suppress(FileNotFoundError):
                    each.file.unlink()

    def close(self) -> None:
        """Have nothing be written any more."""
        for each in list(self._spools.values()):
            each.is_dropped = True
        self._writers.shutdown(wait=True, cancel_futures=True)

    def _page(self, spool: _Spool, number: int) -> Page:
        with spool.changed:
            # Whether there is a next one is known once that has begun.
            spool.changed.wait_for(
                lambda: len(spool.places) > number + 1 or spool.is_done or spool.failed, self.settings.seconds
            )
            spool.used = time.monotonic()
            if spool.failed and len(spool.places) <= number + 1:
                raise (
                    spool.failed
                    if isinstance(spool.failed, RefusedError)
                    else unavailable("the pages broke off: begin again")
                )
            if not spool.is_done and len(spool.places) <= number + 1:
                raise unavailable("this page is still being read: try again")
            if number >= len(spool.places):
                raise gone("there is no such page: begin again with the first one")
            start, length = spool.places[number]
            is_last = number + 1 == len(spool.places)
        try:
            with spool.file.open("rb") as file:
                file.seek(start)
                batches = list(pa.ipc.open_stream(file.read(length)))
        except OSError as error:
            raise gone("this page is not kept any more: begin again with the first one") from error
        return Page(batches, spool.generation, None if is_last else f"{spool.name}.{number + 1}")

    def _fill(self, spool: _Spool, ask: Ask) -> None:
        most = self.settings.spool_rows
        try:
            with ask(most + 1) as answer, spool.file.open("xb") as file:
                spool.file.chmod(0o600)
                spool.generation = answer.generation
                rows = 0
                for page in pages(answer.batches, spool.question.page_size or most):
                    if spool.is_dropped:
                        return
                    rows += sum(len(each) for each in page)
                    if rows > most or spool.size > self.settings.spool_bytes:
                        raise RefusedError(
                            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                            f"there are more rows than the {most} that pages are kept of: filter, or take the answer "
                            "whole and without page_size, as format=ndjson, csv, arrow or parquet",
                        )
                    data = _serialized(page)
                    file.write(data)
                    file.flush()
                    with spool.changed:
                        spool.places.append((spool.size, len(data)))
                        spool.size += len(data)
                        spool.changed.notify_all()
                if not spool.places:
                    spool.places.append((0, file.write(_serialized([_nothing(spool.question.kinds)]))))
                    file.flush()
            spool.is_done = True
        except BaseException as error:
            spool.failed = error
        finally:
            with spool.changed:
                spool.changed.notify_all()


def pages(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[list[pa.RecordBatch]]:
    """Batches cut into pages of so many rows, the last of which may have fewer."""
    page: list[pa.RecordBatch] = []
    missing = size
    for batch in batches:
        start = 0
        while start < len(batch):
            part = batch.slice(start, missing)
            page.append(part)
            start, missing = start + len(part), missing - len(part)
            if missing == 0:
                yield page
                page, missing = [], size
    if page:
        yield page


def _serialized(page: list[pa.RecordBatch]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, page[0].schema, options=_OPTIONS) as writer:
        for batch in page:
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def _nothing(kinds: dict[str, Kind]) -> pa.RecordBatch:
    schema = pa.schema([(name, kind.arrow) for name, kind in kinds.items()])
    return pa.RecordBatch.from_pylist([], schema=schema)
