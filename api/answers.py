"""Answers with rows: whole and streamed, or a page, with the headers that say of which generation they are."""

from __future__ import annotations

import asyncio
import hashlib
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime
from itertools import chain

import pyarrow as pa
from anyio import CancelScope
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.formats import Form
from api.kinds import Kind
from api.reading import Answer, Caller
from api.spool import Page

SMALLEST_COMPRESSED = 1024
AT_ONCE = 1 << 20  # bytes that are sent in one piece
# What is compressed within, or read faster than it is compressed.
_AS_IT_IS = ("application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")
VARY = "Authorization, Accept, Accept-Encoding"


class TooManyRowsError(Exception):
    """An answer that was begun has more rows than one may have; it is broken off, so that nobody takes it for whole."""


def etag(caller: Caller, generation: int, asked: str) -> str:
    """The tag of an answer: another one for another generation, question, key, or other rights of it."""
    told = f"{caller.key} {caller.rights} {asked}"
    return f'W/"{generation}-{hashlib.sha256(told.encode()).hexdigest()[:20]}"'


def of_generation(caller: Caller, generation: int, tag: str) -> dict[str, str]:
    """The headers that every answer has."""
    headers = {
        "ETag": tag,
        "Granary-Generation": str(generation),
        "Cache-Control": "private, no-cache",
        "Vary": VARY,
    }
    # When another generation was published isn't known any more.
    if generation == caller.generation:
        headers["Last-Modified"] = format_datetime(caller.published_at.astimezone(UTC), usegmt=True)
    return headers


def is_known(request: Request, caller: Caller, tag: str) -> bool:
    """Whether the caller has this answer already (RFC 9110, 13.1)."""
    if (tags := request.headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or tag.removeprefix("W/") in (
            each.strip().removeprefix("W/") for each in tags.split(",")
        )
    since = request.headers.get("if-modified-since")
    try:
        moment = parsedate_to_datetime(since) if since else None
    except (ValueError, TypeError):
        return False
    return moment is not None and moment.tzinfo is not None and caller.published_at.replace(microsecond=0) <= moment


def page_response(
    request: Request, form: Form, kinds: dict[str, Kind], page: Page, headers: dict[str, str], prefix: str = ""
) -> Response:
    """A page; in JSON with where the next one is, which the header `Link` says in every format.

    It is a path, which holds by whatever scheme and host the caller came; `prefix`: that a proxy serves it under.
    """
    following = None if page.next is None else f"{prefix}{request.scope['path']}?cursor={page.next}"
    body = b"".join(form.write(kinds, iter(page.batches)))
    if form.media == "application/json":
        body = _enveloped(page.generation, headers, following) + body.rstrip() + b"}\n"
    if following:
        headers = {**headers, "Link": f'<{following}>; rel="next"'}
    return _sized(request, form, body, headers)


def _enveloped(generation: int, headers: dict[str, str], following: str | None) -> bytes:
    published = headers.get("Last-Modified")
    moment = parsedate_to_datetime(published).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if published else None
    first = json.dumps({"generation": generation, "published_at": moment, "next": following})
    return first[:-1].encode() + b', "rows":\n'


def whole_response(
    request: Request,
    ask: Callable[[], AbstractContextManager[Answer]],
    kinds: dict[str, Kind],
    form: Form,
    most: int,
    headers_of: Callable[[int], dict[str, str]],
    finished: Callable[[int, int], None],
) -> Response:
    """All rows of a question: at once where they are few, else sent as they are read.

    Args:
        request: who asks.
        ask: begins to read.
        kinds: the columns.
        form: how it is written.
        most: rows that it may have.
        headers_of: gives the headers of a generation.
        finished: told rows and bytes when all is sent, or it is broken off.
    """
    stack = ExitStack()
    counted = [0, 0]
    try:
        answer = stack.enter_context(ask())
        headers = headers_of(answer.generation)
        chunks = form.write(kinds, _counted(answer.batches, most, counted))
        if form.media == "application/json":
            chunks = _with_envelope(chunks, _enveloped(answer.generation, headers, None))
        # With the first rows, so that what goes wrong before them is said by the status.
        first, is_all = _begun(chunks)
        if is_all:
            stack.close()
            finished(counted[0], len(first))
            return _sized(request, form, first, headers)
        if _wants_gzip(request, form):
            chunks, headers = _compressed(chain([first], chunks)), {**headers, "Content-Encoding": "gzip"}
            first = b""
    except BaseException:
        stack.close()
        raise
    return StreamingResponse(_sent(stack, first, chunks, counted, finished), media_type=form.media, headers=headers)


def _begun(chunks: Iterator[bytes]) -> tuple[bytes, bool]:
    """The first bytes of an answer, and whether they are all."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > AT_ONCE:
            return b"".join(parts), False
    return b"".join(parts), True


async def _sent(
    stack: ExitStack, first: bytes, chunks: Iterator[bytes], counted: list[int], finished: Callable[[int, int], None]
) -> AsyncIterator[bytes]:
    """Bytes one after the other: while some are sent, the next are read."""
    loop = asyncio.get_running_loop()
    chunk: bytes | None = first
    following = loop.run_in_executor(None, next, chunks, None)
    try:
        while chunk is not None:
            counted[1] += len(chunk)
            if chunk:
                yield chunk
            chunk = await asyncio.shield(following)
            if chunk is not None:
                following = loop.run_in_executor(None, next, chunks, None)
    finally:
        with CancelScope(shield=True):
            await asyncio.wait([following])
            await loop.run_in_executor(None, stack.close)
            finished(counted[0], counted[1])


def _sized(request: Request, form: Form, body: bytes, headers: dict[str, str]) -> Response:
    if _wants_gzip(request, form) and len(body) >= SMALLEST_COMPRESSED:
        body, headers = zlib.compress(body, 1, wbits=31), {**headers, "Content-Encoding": "gzip"}
    return Response(body, media_type=form.media, headers=headers)


def _counted(batches: Iterator[pa.RecordBatch], most: int, counted: list[int]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        counted[0] += len(batch)
        if counted[0] > most:
            raise TooManyRowsError
        yield batch


def _with_envelope(chunks: Iterator[bytes], before: bytes) -> Iterator[bytes]:
    for chunk in chunks:
        yield before + chunk
        before = b""
    yield b"}\n"


def _compressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, wbits=31)
    for chunk in chunks:
        yield compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()


def _wants_gzip(request: Request, form: Form) -> bool:
    if form.media in _AS_IT_IS:
        return False
    for each in request.headers.get("accept-encoding", "").split(","):
        coding, _, quality = each.strip().partition(";q=")
        if coding.strip() == "gzip":
            return quality.strip() not in ("0", "0.0", "0.00", "0.000")
    return False
