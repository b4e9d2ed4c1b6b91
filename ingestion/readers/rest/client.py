"""One page of an API's listing, asked for until it comes.

Why this is not dlt's REST client: docs/decisions/rest-client.md.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from ingestion.load.extracts import SourceError, first_line
from ingestion.readers.documents import field, parsed
from ingestion.readers.rest.authorization import SECRETS, Authorize
from ingestion.readers.rest.endpoint import Endpoint
from ingestion.readers.rest.waiting import LONGEST_WAIT, retry_after
from ingestion.readers.settings import variable

_FIRST_WAIT, _LONGEST_BACKOFF = 0.5, 60.0
_START_SHOWN = 80
_PATIENCE = 10  # how many times as long as one wait a whole page may take
_CHUNK, _LARGEST_PAGE = 1 << 16, 1 << 28  # bytes
_SLOWEST = 1 << 10  # bytes a second: a file that comes more slowly is given up

# Where a page is: its number, or that of its first record, from 1; or the token or link that the page before gave.
Place = int | str


@dataclass(frozen=True)
class Page:
    """One page: its records as parsed JSON (see `documents.parsed`), and what it says of the whole listing.

    next: where the next one is; None where it is the last.
    total: the records of the whole listing, where the API counts them.
    pages: how many there are, where the API says so.
    """

    records: list[Any]
    next: Place | None = None
    total: int | None = None
    pages: int | None = None

    @classmethod
    def numbered(cls, records: list[Any], number: int, pages: int, total: int | None = None) -> Page:
        """One of so many pages, by its number from 1."""
        return cls(records, number + 1 if number < pages else None, total, pages)


class ReplyError(SourceError):
    """The API answers with something else than was asked for."""


@dataclass(frozen=True)
class Client:
    """A source's API and how patiently it is asked. `wait` takes seconds; tests give one that doesn't.

    authorize: writes into a request who asks.
    address: the setting that says where the API is.
    """

    source: str
    endpoint: Endpoint
    base_url: str
    authorize: Authorize
    page_size: int
    timeout_seconds: float
    max_attempts: int
    wait: Callable[[float], None] = time.sleep
    address: str = "base_url"

    def page(self, session: requests.Session, place: Place, modified_since: str | None) -> Page:
        """One page of the records modified at or after a time, or of all.

        Args:
            session: to ask with.
            place: 1 for the first page, `next` of the page before for the others.
            modified_since: the time as the API reads it.

        Raises:
            SourceError: the API doesn't answer, refuses, or answers with something else.
        """
        endpoint = self.endpoint
        url, query = self.base_url.rstrip("/") + endpoint.path, dict(endpoint.parameters)
        if endpoint.size_parameter and endpoint.paging != "none":
            query[endpoint.size_parameter] = self.page_size
        if modified_since:
            query[endpoint.since_parameter] = modified_since
        if endpoint.paging == "page":
            query[endpoint.page_parameter] = int(place) - 1 + endpoint.first_page
        elif endpoint.paging == "offset":
            query[endpoint.page_parameter] = int(place) - 1
        elif endpoint.paging == "cursor" and place != 1:
            query[endpoint.page_parameter] = place
        elif endpoint.paging == "link" and place != 1:
            url, query = self._linked(url, str(place)), {}
        return read_page(self.source, endpoint, self.get(session, url, query), place, self.address)

    def _linked(self, url: str, link: str) -> str:
        return self.own(urljoin(url, link), f"the next page of {self.endpoint.named}")

    def own(self, address: str, what: str) -> str:
        """An address that the API itself gave for `what`. One of another server doesn't get to see who asks.

        Raises:
            ReplyError: it is of another server.
        """
        linked, own = urlsplit(address), urlsplit(self.base_url)
        if (linked.scheme, linked.netloc) != (own.scheme, own.netloc):
            raise ReplyError(
                f"{self.source}: {what} is said to be at {linked.netloc}, and "
                f"{own.netloc} was asked: it isn't asked for, since it would see the token; check that "
                f"{variable(self.source, self.address)} names the API as it names itself"
            )
        return linked.geturl()

    def get(
        self,
        session: requests.Session,
        url: str,
        query: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        to: Path | None = None,
        authorize: Authorize | None = None,
    ) -> requests.Response:
        """A reply that is neither 429 nor 5xx: what passes by itself is waited for.

        Args:
            session: to ask with.
            url: what to ask.
            query: what to ask it.
            headers: what else to say.
            to: a file for what a reply of 200 has, however large.
            authorize: what says who asks; the client's own where none is given.

        Raises:
            SourceError: there was no such reply.
        """
        trouble, shown = "", url.split("?", 1)[0]
        for attempt in range(self.max_attempts):
            asked_to_wait: float | None = None
            try:
                # As an auth function: requests would put a .netrc entry in the place of a header.
                response = session.get(
                    url,
                    params=query,
                    headers=headers,
                    auth=authorize or self.authorize,
                    timeout=self.timeout_seconds,
                    stream=True,
                )
                self._read_whole(response, to if response.status_code == 200 else None)
            except (requests.Timeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                trouble = f"it doesn't answer ({_kind(error)})"
            except requests.RequestException as error:
                raise SourceError(
                    f"{self.source}: {self.base_url} can't be asked: {first_line(error)}; "
                    f"check {variable(self.source, self.address)}"
                ) from error
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return response
                trouble = f"it answers {response.status_code}"
                asked_to_wait = retry_after(response)
            if attempt + 1 < self.max_attempts:
                self.wait(self._seconds(attempt, asked_to_wait))
        raise SourceError(
            f"{self.source}: {shown} was asked {self.max_attempts} times, and {trouble}; check that it "
            f"runs and that {variable(self.source, self.address)} names it, then load again: what came is kept"
        )

    def _read_whole(self, response: requests.Response, to: Path | None) -> None:
        """Read a reply to its end, into a file where one is given.

        One that drips keeps every single wait short, and ends all the same: a page after ten times the seconds that one
        wait may last, a file as soon as in so many seconds less than a KiB a second came.

        Raises:
            requests.Timeout: it dripped.
            SourceError: it is no file, and larger than any page.
        """
        until, whole, came = time.monotonic() + (seconds := _PATIENCE * self.timeout_seconds), bytearray(), 0
        with response, to.open("wb") if to else nullcontext() as file:
            try:
                while chunk := response.raw.read1(_CHUNK, decode_content=True):
                    came += len(chunk)
                    if time.monotonic() > until:
                        if not file or came < _SLOWEST * seconds:
                            raise requests.Timeout
                        until, came = time.monotonic() + seconds, 0
                    if file:
                        file.write(chunk)
                        continue
                    whole += chunk
                    if len(whole) > _LARGEST_PAGE:
                        raise ReplyError(
                            f"{self.source}: a page has more than {_LARGEST_PAGE:,} bytes; set "
                            f"{variable(self.source, 'page_size')} to less than {self.page_size}"
                        )
            except requests.Timeout:
                raise
            except (HTTPError, OSError) as error:
                raise requests.ConnectionError(error) from error
        response._content = bytes(whole)

    def _seconds(self, attempt: int, asked_to_wait: float | None) -> float:
        """How long to wait: what the API asks, else a random time below a bound that doubles."""
        if asked_to_wait is None:
            return random.uniform(0, min(_LONGEST_BACKOFF, _FIRST_WAIT * 2**attempt))
        if asked_to_wait > LONGEST_WAIT:
            raise SourceError(
                f"{self.source}: the API asks to wait {asked_to_wait:,.0f} seconds; "
                "load again after that: what came is kept"
            )
        return asked_to_wait


def _kind(error: Exception) -> str:
    return "time-out" if isinstance(error, requests.Timeout) else "the connection fails or breaks off"


def read_page(
    source: str, endpoint: Endpoint, response: requests.Response, place: Place, address: str = "base_url"
) -> Page:
    """A reply as a page. `address` is the setting that says where the API is.

    Raises:
        ReplyError: it is something else.
    """
    secrets = " and ".join(variable(source, name) for name in SECRETS[endpoint.auth])
    hint = {
        401: f"check {secrets or 'who may ask'}",
        403: f"check that {secrets or 'anybody'} may list {endpoint.resource}",
    }.get(
        response.status_code,
        f"check that {variable(source, address)} is the API itself, not a page or a proxy before it",
    )
    kind = response.headers.get("Content-Type", "no content type").split(";")[0]
    start = " ".join(response.text[:_START_SHOWN].split())
    named = f"page {place}" if isinstance(place, int) else "a page"
    came = f"{source}: {named} came back as {response.status_code} {kind}, starting '{start}'"
    if response.status_code != 200:
        raise ReplyError(f"{came}; {hint}")
    try:
        reply = parsed(response.content, endpoint.records, as_written=endpoint.as_written)
    except ValueError as error:
        raise ReplyError(f"{came}, which is no whole JSON document; {hint}") from error
    counted = [name for name in (endpoint.page, endpoint.pages, endpoint.total) if name]
    try:
        lacks = endpoint.records_may_lack and isinstance(reply, dict) and endpoint.records not in reply
        records = [] if lacks else field(reply, endpoint.records)
        number, pages, total = (
            int(field(reply, name)) if name else None for name in (endpoint.page, endpoint.pages, endpoint.total)
        )
    except (KeyError, TypeError, ValueError) as error:
        *lacking, last = [endpoint.records or "a list", *counted]
        named = f"{', '.join(lacking)} and {last}" if lacking else last
        raise ReplyError(f"{came}, which lacks {'one of ' if lacking else ''}{named}; {hint}") from error
    if not isinstance(records, list):
        raise ReplyError(f"{came}, which is not a list of {endpoint.resource}; {hint}")
    if number is not None and number != int(place) - 1 + endpoint.first_page:
        raise ReplyError(f"{came}, which is page {number}; {hint}")
    return Page(records, _next(endpoint, reply, response, place, len(records), pages, total), total, pages)


def _next(
    endpoint: Endpoint,
    reply: Any,
    response: requests.Response,
    place: Place,
    count: int,
    pages: int | None,
    total: int | None,
) -> Place | None:
    """Where the next page is.

    Where nothing says which is the last, it is the first that is empty: an API may give fewer records a page than it
    was asked for.
    """
    if endpoint.paging in ("cursor", "link"):
        try:
            value = field(reply, endpoint.next) if endpoint.next else response.links.get("next", {}).get("url")
        except KeyError:
            value = None
        return str(value) if value not in (None, "", False) else None
    if endpoint.paging == "offset":
        after = int(place) + count
        more = after <= total if total is not None else count > 0
        return after if more else None
    if endpoint.paging == "page":
        more = int(place) < pages if pages is not None else count > 0
        return int(place) + 1 if more else None
    return None
