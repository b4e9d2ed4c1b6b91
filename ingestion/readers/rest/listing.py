"""All pages of one listing, kept on disk as they come, so that an interrupted load goes on where it stopped.

A listing by page number shifts when it changes meanwhile. Records that are added come last and do no harm; where the
total shrinks, records that have not been read moved to pages that have: the listing is then read again. What it
means when a record moves from an earlier page to the end, `reader.py` says. Pages that name the next one by a token
or a link don't shift.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ingestion.readers.documents import dumped
from ingestion.readers.rest.client import Page, Place, ReplyError

LONGEST_AGE = 3600.0  # seconds for which pages of an interrupted load are used
ATTEMPTS = 3
_EMPTY_PAGES = 100  # in a row; an API may filter what it pages


class ShrinkingError(Exception):
    """A listing shrank again and again while it was read."""


class EndlessError(Exception):
    """Pages that can't be a listing's. Its text says which page, and what is wrong with it."""


@dataclass(frozen=True)
class Listing:
    """A whole listing: the files of its pages (JSON lines, one record each), and its length.

    That is as the API counts it, else as many records as came.
    """

    pages: list[Path]
    total: int


def pending_folder(parent: Path, *request: object) -> Path:
    """The folder for the pages of one request; those of other requests are taken away."""
    name = hashlib.md5(json.dumps(request).encode(), usedforsecurity=False).hexdigest()
    for other in parent.glob("*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)
    return parent / name


def fetch(get_page: Callable[[Place], Page], folder: Path) -> Listing:
    """Read a listing from its first page, or from where an interrupted load stopped, to its last.

    Args:
        get_page: gives the page of a place, the first of 1.
        folder: where the pages are kept; the caller removes it once they are loaded.

    Raises:
        SourceError: a page can't be had.
        ShrinkingError: the listing shrank while it was read, as often as it was read.
        EndlessError: its pages have more records than it counts, or none, or lead back.
    """
    stored = _stored(folder)
    if stored:
        # The last page that came is asked for again: were the total another, the pages before would be others too. An
        # API that answers with something else has none of the listing that was begun.
        try:
            last = get_page(stored.place)
        except ReplyError:
            last = None
        if last and last.total == stored.total:
            listing = _read_on(get_page, folder, last, stored.place, stored.pages)
            if listing:
                return listing
    for _ in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        listing = _read_on(get_page, folder, get_page(1), 1, 1)
        if listing:
            return listing
    raise ShrinkingError


def _read_on(get_page: Callable[[Place], Page], folder: Path, page: Page, place: Place, number: int) -> Listing | None:
    """Store this page, the one of that number, and those after it. None where the listing shrinks meanwhile."""
    read = sum(_lines(_path(folder, before)) for before in range(1, number))
    places, empty = {place}, 0
    while True:
        total = page.total
        read += len(page.records)
        empty = 0 if page.records else empty + 1
        which = f"page {number:,}" + (f" of {page.pages:,}" if page.pages else "")
        is_short = not page.records and isinstance(page.next, int)
        if total is not None and (read > total or is_short):
            raise EndlessError(f"{which} brings its records to {read:,}, and it counts {total:,}")
        if empty > _EMPTY_PAGES:
            raise EndlessError(f"{which} is the {empty}th in a row without a record, and names a next one")
        _store(folder, number, place, page)
        if page.next is None or read == total:
            files = [_path(folder, each) for each in range(1, number + 1)]
            return Listing(files, read if total is None else total)
        place = page.next
        if place in places:
            raise EndlessError(f"{which} names as the next one a page that came before")
        places.add(place)
        page = get_page(place)
        number += 1
        if total is not None and (page.total or 0) < total:
            return None


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _path(folder: Path, number: int) -> Path:
    return folder / f"page-{number:04}.jsonl"


def _store(folder: Path, number: int, place: Place, page: Page) -> None:
    """Write a page, then the note that it is there: a load that is killed in between asks for it again."""
    with _path(folder, number).open("wb") as file:
        for record in page.records:
            file.write(dumped(record) + b"\n")
    note = folder / "listing.json.new"
    told = {"pages": number, "place": place, "total": page.total, "at": time.time()}
    note.write_text(json.dumps(told), encoding="utf-8")
    note.replace(folder / "listing.json")


@dataclass(frozen=True)
class _Stored:
    """What an interrupted load left: how many pages, where the last of them is, and what it said of the total."""

    pages: int
    place: Place
    total: int | None


def _stored(folder: Path) -> _Stored | None:
    """What an interrupted load left, if it is young enough, and if pages without a total don't shift."""
    try:
        note = json.loads((folder / "listing.json").read_text(encoding="utf-8"))
        stored = _Stored(note["pages"], note["place"], note["total"])
        there = all(_path(folder, number).exists() for number in range(1, stored.pages + 1))
        is_firm = stored.total is not None or isinstance(stored.place, str)
        if time.time() - note["at"] < LONGEST_AGE and there and is_firm:
            return stored
    except (OSError, ValueError, KeyError):
        pass
    return None
