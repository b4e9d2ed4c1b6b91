"""One page of an API's listing, asked for until it comes.

Why this is not dlt's REST client: docs/decisions/rest-client.md.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from ingestion.load.extracts import SourceError, first_line
from ingestion.readers.documents import parsed
from ingestion.readers.rest.endpoint import Endpoint
from ingestion.readers.settings import variable

LONGEST_WAIT = 300.0  # seconds; an API that asks for more is asked again by the next load
_FIRST_WAIT, _LONGEST_BACKOFF = 0.5, 60.0
_START_SHOWN = 80
_PATIENCE = 10  # how many times as long as one wait a whole reply may take
_CHUNK, _LARGEST_PAGE = 1 << 16, 1 << 28  # bytes


@dataclass(frozen=True)
class Page:
    """One page: its records as parsed JSON (see `documents.parsed`), and what it says of the whole listing."""

    records: list[Any]
    number: int
    pages: int
    total: int


class ReplyError(SourceError):
    """The API answers with something else than was asked for."""


@dataclass(frozen=True)
class Client:
    """A source's API and how patiently it is asked. `wait` takes seconds; tests give one that doesn't."""

    source: str
    endpoint: Endpoint
    base_url: str
    token: str
    page_size: int
    timeout_seconds: float
    max_attempts: int
    wait: Callable[[float], None] = time.sleep

    def page(self, session: requests.Session, number: int, modified_since: str | None) -> Page:
        """One page of the records modified at or after a time (ISO 8601), or of all.

        Raises:
            SourceError: the API doesn't answer, refuses, or answers with something else.
        """
        endpoint = self.endpoint
        query: dict[str, str | int] = {endpoint.page_parameter: number, endpoint.size_parameter: self.page_size}
        if modified_since:
            query[endpoint.since_parameter] = modified_since
        return _read_page(self.source, endpoint, self._get(session, endpoint.path, query), number)

    def _get(self, session: requests.Session, path: str, query: Mapping[str, str | int]) -> requests.Response:
        """A reply that is neither 429 nor 5xx, or none: what passes by itself is waited for."""
        trouble = ""
        for attempt in range(self.max_attempts):
            asked_to_wait: float | None = None
            try:
                response = session.get(
                    self.base_url.rstrip("/") + path,
                    params=query, auth=self._authorize, timeout=self.timeout_seconds, stream=True,
                )  # fmt: skip
                self._read_whole(response)
            except (requests.Timeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                trouble = f"it doesn't answer ({_kind(error)})"
            except requests.RequestException as error:
                raise SourceError(
                    f"{self.source}: {self.base_url} can't be asked: {first_line(error)}; "
                    f"check {variable(self.source, 'base_url')}"
                ) from error
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return response
                trouble = f"it answers {response.status_code}"
                asked_to_wait = _retry_after(response)
            if attempt + 1 < self.max_attempts:
                self.wait(self._seconds(attempt, asked_to_wait))
        raise SourceError(
            f"{self.source}: {self.base_url}{path} was asked {self.max_attempts} times, and {trouble}; check that it "
            f"runs and that {variable(self.source, 'base_url')} names it, then load again: what came is kept"
        )

    def _read_whole(self, response: requests.Response) -> None:
        """Read a reply to its end. One that drips keeps every single wait short, and ends all the same.

        Raises:
            requests.Timeout: it has not come within ten times the seconds that one wait may last.
            SourceError: it is larger than any page.
        """
        until, whole = time.monotonic() + _PATIENCE * self.timeout_seconds, bytearray()
        with response:
            try:
                while chunk := response.raw.read1(_CHUNK, decode_content=True):
                    whole += chunk
                    if time.monotonic() > until:
                        raise requests.Timeout
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

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As an auth function rather than a header: requests would put a .netrc entry in the header's place.
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request

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


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the reply asks to wait, from either form of the header (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _read_page(source: str, endpoint: Endpoint, response: requests.Response, number: int) -> Page:
    token = variable(source, "token")
    hint = {
        401: f"check {token}",
        403: f"check that {token} may list {endpoint.resource}",
    }.get(
        response.status_code,
        f"check that {variable(source, 'base_url')} is the API itself, not a page or a proxy before it",
    )
    kind = response.headers.get("Content-Type", "no content type").split(";")[0]
    start = " ".join(response.text[:_START_SHOWN].split())
    came = f"{source}: page {number} came back as {response.status_code} {kind}, starting '{start}'"
    if response.status_code != 200:
        raise ReplyError(f"{came}; {hint}")
    try:
        reply = parsed(response.content, endpoint.reply.records)
    except ValueError as error:
        raise ReplyError(f"{came}, which is no whole JSON document; {hint}") from error
    shape = endpoint.reply
    try:
        page = Page(reply[shape.records], int(reply[shape.page]), int(reply[shape.pages]), int(reply[shape.total]))
    except (KeyError, TypeError, ValueError) as error:
        lacking = f"{shape.records}, {shape.page}, {shape.pages} and {shape.total}"
        raise ReplyError(f"{came}, which lacks one of {lacking}; {hint}") from error
    if not isinstance(page.records, list) or page.number != number:
        raise ReplyError(f"{came}, which is not a list of {endpoint.resource} or is page {page.number}; {hint}")
    return page
