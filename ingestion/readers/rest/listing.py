"""All pages of one listing, kept on disk as they come, so that an interrupted load goes on where it stopped.

A listing by page number shifts when it changes meanwhile. Records that are added come last and do no harm; where the
total shrinks, records that have not been read moved to pages that have: the listing is then read again. What it
means when a record moves from an earlier page to the end, `reader.py` says.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ingestion.readers.rest.client import Page, ReplyError

LONGEST_AGE = 3600.0  # seconds for which pages of an interrupted load are used
ATTEMPTS = 3


class ShrinkingError(Exception):
    """A listing shrank again and again while it was read."""


class EndlessError(Exception):
    """Pages that can't be a listing's: its arguments are a page's number, the pages, the records read, the total."""


@dataclass(frozen=True)
class Listing:
    """A whole listing: the files of its pages (JSON lines, one record each), and its length as the API counts it."""

    pages: list[Path]
    total: int


def pending_folder(parent: Path, *request: object) -> Path:
    """The folder for the pages of one request; those of other requests are taken away."""
    name = hashlib.md5(json.dumps(request).encode(), usedforsecurity=False).hexdigest()
    for other in parent.glob("*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)
    return parent / name


def fetch(get_page: Callable[[int], Page], folder: Path) -> Listing:
    """Read a listing from its first page, or from where an interrupted load stopped, to its last.

    Args:
        get_page: gives the page of a number, from 1.
        folder: where the pages are kept; the caller removes it once they are loaded.

    Raises:
        SourceError: a page can't be had.
        ShrinkingError: the listing shrank while it was read, as often as it was read.
        EndlessError: its pages have more records than it counts, or there are pages without any.
    """
    stored = _stored(folder)
    if stored:
        # The last page that came is asked for again: were the total another, the pages before would be others too. An
        # API that answers with something else has none of the listing that was begun.
        try:
            last = get_page(len(stored.pages))
        except ReplyError:
            last = None
        if last and last.total == stored.total:
            listing = _read_on(get_page, folder, last)
            if listing:
                return listing
    for _ in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        listing = _read_on(get_page, folder, get_page(1))
        if listing:
            return listing
    raise ShrinkingError


def _read_on(get_page: Callable[[int], Page], folder: Path, page: Page) -> Listing | None:
    """Store this page and those after it. None where the listing shrinks meanwhile."""
    read = sum(_lines(_path(folder, number)) for number in range(1, page.number))
    while True:
        total = page.total
        read += len(page.records)
        if read > total or (not page.records and page.number < page.pages):
            raise EndlessError(page.number, page.pages, read, total)
        _store(folder, page)
        if page.number >= page.pages:
            return Listing([_path(folder, number) for number in range(1, page.number + 1)], total)
        page = get_page(page.number + 1)
        if page.total < total:
            return None


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _path(folder: Path, number: int) -> Path:
    return folder / f"page-{number:04}.jsonl"


def _store(folder: Path, page: Page) -> None:
    """Write a page, then the note that it is there: a load that is killed in between asks for it again."""
    with _path(folder, page.number).open("wb") as file:
        for record in page.records:
            # A lone surrogate is text in JSON and in Python, and in no database.
            file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    note = folder / "listing.json.new"
    note.write_text(json.dumps({"pages": page.number, "total": page.total, "at": time.time()}), encoding="utf-8")
    note.replace(folder / "listing.json")


def _stored(folder: Path) -> Listing | None:
    """What an interrupted load left, if it is young enough."""
    try:
        note = json.loads((folder / "listing.json").read_text(encoding="utf-8"))
        pages = [_path(folder, number) for number in range(1, note["pages"] + 1)]
        if time.time() - note["at"] < LONGEST_AGE and all(path.exists() for path in pages):
            return Listing(pages, note["total"])
    except (OSError, ValueError, KeyError):
        pass
    return None
