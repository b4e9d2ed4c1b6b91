"""Refusals as answers, in the form of RFC 9457."""

from __future__ import annotations

import logging
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.answers import VARY
from api.errors import RefusedError

log = logging.getLogger("api")


async def refusal(request: Request, error: Exception) -> Response:
    """A request that is not answered with data."""
    assert isinstance(error, RefusedError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s %s: %s", request.method, request.url.path, _cause(error))
    return _problem(error.status, error.detail, error.headers)


def _cause(error: BaseException) -> str:
    """The first line of what is behind a refusal: the engine's own words."""
    return str(error.__cause__ or error).strip().splitlines()[0]


async def http_refusal(request: Request, error: Exception) -> Response:
    """A path or a method that isn't there."""
    assert isinstance(error, HTTPException)
    what = {
        404: "there is nothing here: see /catalog, /marts/{schema}/{table}, /metrics-query",
        405: "only GET is answered",
    }
    return _problem(HTTPStatus(error.status_code), what.get(error.status_code, error.detail), dict(error.headers or {}))


async def failure(request: Request, error: Exception) -> Response:
    """What should not happen."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "something is wrong here: the log of `make api` says what", {})


def _problem(status: HTTPStatus, detail: str, headers: dict[str, str]) -> Response:
    """A refusal, as RFC 9457 has it."""
    return JSONResponse(
        {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail},
        status,
        {"Cache-Control": "no-store", "Vary": VARY, **headers},
        "application/problem+json",
    )
