from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from ingestion.contract.contracts import Column, Source, Table
from ingestion.destination.target import Target
from ingestion.load.extracts import SourceError
from ingestion.load.loading import load
from ingestion.readers.rest import extracts
from ingestion.readers.rest.client import Client, Page, Place
from ingestion.readers.rest.endpoint import Endpoint
from tests.ingestion.loads import NOON, ask

COLUMNS = (Column("id", "text", required=True), Column("updated_at", "timestamp", required=True))


def listing(name: str, **said: object) -> Table:
    return Table("directory", name, COLUMNS, ("id",), ("id",), meta={"rest": {"path": f"/v1/{name}", **said}})


def directory(*tables: Table, **said: object) -> Source:
    return Source("directory", "raw_directory", tables, meta={"rest": said})


DIRECTORY = directory(
    listing("users"), listing("staff"),
    entities="people", page="page", pages="pages", total="total", since_parameter="modified_since",
)  # fmt: skip


def record(name: str) -> dict[str, object]:
    return {"id": name, "updated_at": "2025-06-01T00:00:00Z"}


Answer = Callable[[str, int], Iterable[bytes]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], None]]:
    """Starts a server on the loopback that answers a page, by its path and number, piece by piece."""
    with ExitStack() as stack:

        def start(answer: Answer) -> None:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    asked = urlsplit(self.path)
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.end_headers()
                    with suppress(OSError):
                        for piece in answer(asked.path, int(parse_qs(asked.query)["page"][0])):
                            self.wfile.write(piece)

                def log_message(self, *arguments: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            monkeypatch.setenv("SOURCES__DIRECTORY__BASE_URL", f"http://127.0.0.1:{server.server_port}")
            monkeypatch.setenv("SOURCES__DIRECTORY__TOKEN", "t")

        yield start


def page_of(records: Sequence[object], number: int = 1, pages: int = 1, total: int | None = None) -> bytes:
    """A page as JSON; a record that is bytes stands there as it is."""
    listed = b", ".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in records)
    counts = {"page": number, "pages": pages, "total": len(records) if total is None else total}
    return b'{"data": [' + listed + b"], " + json.dumps(counts)[1:].encode()


def test_interrupted_load_of_two_listings_goes_on_in_each(warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__DIRECTORY__BASE_URL", "http://directory.test")
    monkeypatch.setenv("SOURCES__DIRECTORY__TOKEN", "t")
    asked: list[tuple[str, int]] = []

    def page(self: Client, session: requests.Session, number: Place, since: str | None) -> Page:
        assert isinstance(number, int)
        asked.append((self.endpoint.path, number))
        if asked == [("/v1/users", 1), ("/v1/users", 2), ("/v1/staff", 1), ("/v1/staff", 2)]:
            raise SourceError("directory: the API breaks off")
        return Page.numbered([record(f"{self.endpoint.resource}_{number}")], number, 2, 2)

    monkeypatch.setattr(Client, "page", page)
    with pytest.raises(SourceError, match="breaks off"):
        load(DIRECTORY, extracts, warehouse, NOON)
    asked.clear()
    load(DIRECTORY, extracts, warehouse, NOON)
    assert asked == [("/v1/users", 2), ("/v1/staff", 1), ("/v1/staff", 2)]
    for resource in ("users", "staff"):
        rows = ask(warehouse, f"select id from raw_directory.{resource} order by id")
        assert rows == [(f"{resource}_1",), (f"{resource}_2",)]
    assert not any((warehouse.folder / "pending" / "directory").iterdir())


ODD_RECORDS = {
    "a number of 5,000 digits": b'{"id": ' + b"9" * 5000 + b', "updated_at": "2025-06-01T00:00:00Z"}',
    "deep nesting": b'{"id": "deep", "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "bytes that are no text": b'{"id": "caf\xe9", "updated_at": "2025-06-01T00:00:00Z"}',
    "a bracket in a text": b'"no object ]}, [{"',
}


def test_a_record_that_can_not_be_read_is_one_reject(serve: Callable[[Answer], None], warehouse: Target) -> None:
    good = {"id": 'a "quoted" ]}, [{ \\ id', "updated_at": "2025-06-01T00:00:00Z", "data": [1]}
    exact = b'{"id": 12345678901234567890.10, "updated_at": "2025-06-01T00:00:00Z"}'
    records = [good, *ODD_RECORDS.values(), exact, record('"}, {"'), record("last")]
    serve(lambda path, number: [page_of(records if path == "/v1/users" else [])])
    users, _ = load(DIRECTORY, extracts, warehouse, NOON)
    assert (users.source_count, users.loaded, users.rejected) == (8, 4, 4)
    rows = ask(warehouse, "select id from raw_directory.users order by id")
    assert rows == [('"}, {"',), ("12345678901234567890.10",), (good["id"],), ("last",)]
    kept = ask(warehouse, "select record ->> '$', reasons from raw_directory.rejects")
    assert {reasons for _, reasons in kept} == {'["record:no object"]'}
    assert {len(text) for text, _ in kept} == {
        len(ODD_RECORDS["a number of 5,000 digits"]), len(ODD_RECORDS["deep nesting"]),
        len(ODD_RECORDS["bytes that are no text"]) + 3, len("no object ]}, [{"),
    }  # fmt: skip
    users, _ = load(DIRECTORY, extracts, warehouse, NOON)
    assert (users.loaded, users.rejected, users.known) == (0, 0, 8)


def test_a_reply_that_is_no_json_is_refused_whole(serve: Callable[[Answer], None], warehouse: Target) -> None:
    for broken in (b'{"data": [{"id": oops}], "page": 1, "pages": 1, "total": 1}', b'{"data": [{"id": 1}], "page": 1'):
        serve(lambda path, number, broken=broken: [broken])  # type: ignore[misc]
        with pytest.raises(SourceError, match="no whole JSON document"):
            load(DIRECTORY, extracts, warehouse, NOON)


def test_a_server_that_answers_one_page_for_all(serve: Callable[[Answer], None], warehouse: Target) -> None:
    """It is found out where there are more records than it counts, and doesn't stand in the way of a sound one."""
    serve(lambda path, number: [page_of([record("a"), record("b")], number, pages=100_000, total=3)])
    with pytest.raises(
        SourceError, match=r"listing of people has no end: page 2 of 100,000 brings its records to 4, and it counts 3"
    ):
        load(DIRECTORY, extracts, warehouse, NOON)
    serve(lambda path, number: [page_of([] if number > 1 else [record("a")], number, pages=100_000, total=9)])
    with pytest.raises(SourceError, match=r"page 2 of 100,000 brings its records to 1, and"):
        load(DIRECTORY, extracts, warehouse, NOON)
    # Interrupted on a page that the sound one doesn't have.
    asked: list[int] = []

    def until_the_third(path: str, number: int) -> list[bytes]:
        asked.append(number)
        return [page_of([record(f"{number}")], number, pages=9, total=9) if number < 3 else b"<html>"]

    serve(until_the_third)
    with pytest.raises(SourceError, match="page 3 came back"):
        load(DIRECTORY, extracts, warehouse, NOON)
    serve(lambda path, number: [page_of([record("sound")])])
    assert [each.loaded for each in load(DIRECTORY, extracts, warehouse, NOON)] == [1, 1]


def test_a_reply_that_drips_ends(
    serve: Callable[[Answer], None], warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__DIRECTORY__TIMEOUT_SECONDS", "0.2")
    monkeypatch.setenv("SOURCES__DIRECTORY__MAX_ATTEMPTS", "1")

    def drip(path: str, number: int) -> Iterator[bytes]:
        for _ in range(200):
            yield b" "
            time.sleep(0.05)

    serve(drip)
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"it doesn't answer \(time-out\)"):
        load(DIRECTORY, extracts, warehouse, NOON)
    assert time.monotonic() - began < 8


def fetched(answer: Answer, serve: Callable[[Answer], None], to: Path) -> bytes:
    """What a client makes a file of; its patience ends after half a second."""
    serve(answer)
    client = Client(
        "directory", Endpoint(listing("files"), auth="none"), os.environ["SOURCES__DIRECTORY__BASE_URL"],
        authorize=lambda request: request, page_size=1, timeout_seconds=0.05, max_attempts=1,
    )  # fmt: skip
    with requests.Session() as session:
        client.get(session, f"{client.base_url}/v1/files", {"page": 1}, to=to)
    return to.read_bytes()


def test_a_file_that_drips_ends(serve: Callable[[Answer], None], tmp_path: Path) -> None:
    def drip(path: str, number: int) -> Iterator[bytes]:
        for _ in range(200):
            yield b" "
            time.sleep(0.02)

    began = time.monotonic()
    with pytest.raises(SourceError, match=r"it doesn't answer \(time-out\)"):
        fetched(drip, serve, tmp_path / "file")
    assert time.monotonic() - began < 3


def test_a_file_may_take_its_time_as_long_as_it_comes(serve: Callable[[Answer], None], tmp_path: Path) -> None:
    def stream(path: str, number: int) -> Iterator[bytes]:
        for _ in range(60):
            yield bytes(10_000)
            time.sleep(0.02)

    began = time.monotonic()
    assert fetched(stream, serve, tmp_path / "file") == bytes(600_000)
    assert time.monotonic() - began > 1
