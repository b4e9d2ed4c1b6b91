"""The HTTP API: what it answers, and how it refuses."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.accesses import Access
from api.answers import etag, is_known, of_generation, page_response, whole_response
from api.catalogue import Mart
from api.errors import LostConnectionError, RefusedError, bad_request, not_found, unauthorized
from api.formats import form_of
from api.openapi import catalog_of, openapi_of
from api.proxies import prefix_of
from api.questions import Question, understood
from api.reading import Caller
from api.refusals import failure, http_refusal, refusal
from api.service import Service
from api.spool import Page

THREADS = 64
SWITCH_SECONDS = 0.001  # after which a thread that works lets the one that sends go on
BODY_HEADERS = ("content-length", "content-type", "content-encoding")
EXPOSED = ("ETag", "Last-Modified", "Link", "Granary-Generation", "Retry-After")
# Answers one request of a caller. Returns the response, and how many rows it has.
Answering = Callable[[Service, Request, str, Caller], tuple[Response, int]]


def application(service: Service) -> Starlette:
    """The application, which tidies up after itself when it ends."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        sys.setswitchinterval(SWITCH_SECONDS)
        beside = [threading.Thread(target=each, daemon=True) for each in (service.keep_tidy, service.keep_up)]
        for each in beside:
            each.start()
        yield
        service.is_over.set()
        for each in beside:
            each.join()
        service.spools.close()
        service.reader.close()
        service.accesses.write()

    def route(path: str, answering: Answering) -> Route:
        async def endpoint(request: Request) -> Response:
            found = _kept(service, request)
            return found if found is not None else await to_thread.run_sync(_answered, service, request, answering)

        return Route(path, endpoint, methods=["GET"])

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            route("/catalog", _catalog),
            route("/openapi.json", _openapi),
            route("/marts/{schema}/{table}", _mart),
            route("/metrics-query", _metrics),
        ],
        middleware=[
            Middleware(
                CORSMiddleware, allow_origins=list(service.settings.origins), allow_methods=["GET"],
                allow_headers=["Authorization", "If-None-Match", "If-Modified-Since"], expose_headers=list(EXPOSED),
            )
        ],
        exception_handlers={RefusedError: refusal, HTTPException: http_refusal, Exception: failure},
        lifespan=lifespan,
    )  # fmt: skip


def _kept(service: Service, request: Request) -> Response | None:
    """The answer, where the caller is known and it was given a moment ago: that waits for nothing."""
    caller = service.known(_token(request))
    found = service.kept.found(request, caller) if caller else None
    if caller is None or found is None:
        return None
    service.rate.take(caller.key)
    response, rows = found
    noted = _noting(service, request, caller)
    if is_known(request, caller, response.headers["ETag"]):
        headers = {name: value for name, value in response.headers.items() if name not in BODY_HEADERS}
        response, rows = Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers), 0
    noted(response.status_code, caller.generation, rows, len(response.body))
    return response


def _answered(service: Service, request: Request, answering: Answering) -> Response:
    token = _token(request)
    try:
        return _answered_once(service, request, answering, token)
    except LostConnectionError:
        # What was kept open may be over for long; whether the key is, a new connection says.
        service.forget(token)
        return _answered_once(service, request, answering, token)


def _answered_once(service: Service, request: Request, answering: Answering, token: str) -> Response:
    caller = service.caller(token)
    service.rate.take(caller.key)
    request.state.note = note = _noting(service, request, caller)
    try:
        response, rows = answering(service, request, token, caller)
    except RefusedError as error:
        note(error.status, None, 0, 0)
        raise
    if rows >= 0:
        note(response.status_code, int(response.headers["Granary-Generation"]), rows, len(response.body))
        service.kept.keep(request, caller, response, rows)
    return response


def _noting(service: Service, request: Request, caller: Caller) -> Callable[[int, int | None, int, int], None]:
    """Notes a request that is answered: its status, generation, rows and bytes."""
    began, at = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")

    def note(status: int, generation: int | None, rows: int, size: int) -> None:
        what = _what(request) if status < HTTPStatus.BAD_REQUEST else request.url.path.split("/")[1]
        seconds = round(time.monotonic() - began, 4)
        access = Access(at, caller.name, caller.login, what, status, generation, rows, size, seconds)
        service.accesses.add(access, caller.key)

    return note


def _what(request: Request) -> str:
    """What was read, of names that are there: for the file of accesses."""
    names = request.path_params
    return f"{names['schema']}.{names['table']}" if names else request.url.path.split("/")[1]


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("send a key: `Authorization: Bearer` and what `make api-key LOGIN=…` printed")
    return token.strip()


def _catalog(service: Service, request: Request, token: str, caller: Caller) -> tuple[Response, int]:
    said = service.said
    tag = etag(caller, caller.generation, f"catalog {said.fingerprint}")
    headers = of_generation(caller, caller.generation, tag)
    if is_known(request, caller, tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers), 0
    marts = service.reader.marts(token, caller)
    metrics = said.measures.of(marts)
    return JSONResponse(catalog_of(caller, marts, metrics), headers=headers), 0


def _openapi(service: Service, request: Request, token: str, caller: Caller) -> tuple[Response, int]:
    said = service.said
    marts = service.reader.marts(token, caller)
    metrics = said.measures.of(marts)
    tag = etag(caller, caller.generation, f"openapi {said.fingerprint}")
    return JSONResponse(
        openapi_of(marts, metrics, service.settings, prefix_of(request, service.settings.proxies)),
        headers=of_generation(caller, caller.generation, tag),
    ), 0


def _mart(service: Service, request: Request, token: str, caller: Caller) -> tuple[Response, int]:
    if "cursor" in request.query_params:
        return _later(service, request, caller)
    marts = service.reader.marts(token, caller)
    mart = _named(marts, request.path_params["schema"], request.path_params["table"])
    accept = request.headers.get("accept", "")
    question = understood(mart, request.query_params.multi_items(), accept, service.settings.rows)
    tag = etag(caller, caller.generation, question.fingerprint)
    if is_known(request, caller, tag):
        headers = of_generation(caller, caller.generation, tag)
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers), 0
    form = form_of(question.format, question.as_is)

    def headers_of(generation: int) -> dict[str, str]:
        return of_generation(caller, generation, etag(caller, generation, question.fingerprint))

    def ask(most: int) -> Any:
        return service.reader.ask(token, question, most, form.texts)

    if request.method == "HEAD":
        return Response(media_type=form.media, headers=headers_of(caller.generation)), 0
    if question.page_size is not None:
        _, page = service.spools.first(caller, question, ask)
        return _paged(request, caller, question, page, "0", prefix_of(request, service.settings.proxies))
    most = service.settings.rows
    generations: list[int] = []

    def noted(generation: int) -> dict[str, str]:
        generations.append(generation)
        return headers_of(generation)

    sent: list[int] = []

    def finished(rows: int, size: int) -> None:
        sent.append(rows)
        if is_begun:
            request.state.note(HTTPStatus.OK, generations[0], rows, size)

    is_begun = False
    response = whole_response(request, lambda: ask(most + 1), question.kinds, form, most, noted, finished)
    is_begun = True
    # What is sent piece by piece is noted when all is sent.
    return response, sent[0] if sent else -1


def _later(service: Service, request: Request, caller: Caller) -> tuple[Response, int]:
    cursor = request.query_params["cursor"]
    if len(request.query_params.multi_items()) > 1:
        raise bad_request("cursor goes alone: what was asked is known from the first page")
    question, page = service.spools.later(caller, cursor)
    if (question.mart.schema, question.mart.name) != tuple(request.path_params.values()):
        raise bad_request(f"this cursor is of {question.mart.full_name}: take the address that `next` gives as it is")
    return _paged(request, caller, question, page, cursor, prefix_of(request, service.settings.proxies))


def _paged(
    request: Request, caller: Caller, question: Question, page: Page, number: str, prefix: str
) -> tuple[Response, int]:
    asked = question.fingerprint if number == "0" else f"{question.fingerprint} {number}"
    headers = of_generation(caller, page.generation, etag(caller, page.generation, asked))
    if is_known(request, caller, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers), 0
    form = form_of(question.format, question.as_is)
    rows = sum(len(each) for each in page.batches)
    return page_response(request, form, question.kinds, page, headers, prefix), rows


def _metrics(service: Service, request: Request, token: str, caller: Caller) -> tuple[Response, int]:
    marts = service.reader.marts(token, caller)
    parameters = request.query_params.multi_items()
    said = service.said
    asked = f"metrics {said.fingerprint} {sorted(parameters)}"
    tag = etag(caller, caller.generation, asked)
    if is_known(request, caller, tag):
        headers = of_generation(caller, caller.generation, tag)
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers), 0
    kinds, page = said.measures.answer(service.reader, token, marts, parameters)
    headers = of_generation(caller, page.generation, etag(caller, page.generation, asked))
    return page_response(request, form_of("json"), kinds, page, headers), sum(len(each) for each in page.batches)


def _named(marts: dict[tuple[str, str], Mart], schema: str, table: str) -> Mart:
    found = marts.get((schema, table))
    if found is None:
        raise not_found("there is no such mart that this key may read: /catalog says which there are")
    return found
