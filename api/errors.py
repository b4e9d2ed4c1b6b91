"""Answers that are refusals: a status, what happened, and what to do next, as RFC 9457 has it."""

from __future__ import annotations

from http import HTTPStatus

NO_KEY = "this key is unknown, over or revoked: ask whoever runs the warehouse for one (`make api-key LOGIN=…`)"


class RefusedError(Exception):
    """A request that is not answered with data.

    status: of HTTP.
    detail: what happened and what to do next; it names no value that the caller sent but their own words.
    headers: that the answer has beside.
    """

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


class LostConnectionError(RefusedError):
    """The database ended a session: it was started anew, or the key's sessions were ended."""


def bad_request(detail: str) -> RefusedError:
    """The question is not understood."""
    return RefusedError(HTTPStatus.BAD_REQUEST, detail)


def unauthorized(detail: str) -> RefusedError:
    """There is no key, or none that is good."""
    return RefusedError(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": 'Bearer realm="granary"'})


def not_found(detail: str) -> RefusedError:
    """What is asked for isn't there, or not for this caller."""
    return RefusedError(HTTPStatus.NOT_FOUND, detail)


def gone(detail: str) -> RefusedError:
    """What was there before is there no more."""
    return RefusedError(HTTPStatus.GONE, detail)


def unavailable(detail: str, seconds: int = 5) -> RefusedError:
    """It can't be answered now. `seconds`: when to try again."""
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(seconds)})


def lost() -> LostConnectionError:
    """The database ended a session."""
    detail = "the warehouse ended the connection: try again"
    return LostConnectionError(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})


def too_many(detail: str, seconds: int) -> RefusedError:
    """The caller asks too often. `seconds`: when to try again."""
    return RefusedError(HTTPStatus.TOO_MANY_REQUESTS, detail, {"Retry-After": str(seconds)})
