"""Listings of every paging, with and without a time to ask for, by nothing but their contract, from a real server."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from ingestion.contract.contracts import Column, ContractError, Source, Table
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded, SourceError
from ingestion.load.loading import load
from ingestion.readers.rest import extracts
from ingestion.readers.rest.endpoint import endpoints
from tests.ingestion.loads import NOON, ask, check_balance

COLUMNS = (
    Column("id", "text", required=True),
    Column("name", "text"),
    Column("city", "text", source_name="$.address.city"),
    Column("updated_at", "timestamp"),
)


def source(columns: tuple[Column, ...] = COLUMNS, modified_at: str | None = None, **said: Any) -> Source:
    meta = {"rest": {"path": "/people", **said}, "modified_at": modified_at}
    return Source("hr", "raw_hr", (Table("hr", "people", columns, ("id",), ("id",), meta=meta),))


class Api:
    """People, and how they are listed: `paging` as the contract has it."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.paging, self.largest, self.asked = "none", 3, list[str]()
        self.elsewhere, self.stuck, self.broken_after = "", False, 1_000_000
        self.headers: list[dict[str, str]] = []
        self.tokens = 0
        self.address = ""

    def put(self, *names: str, **values: Any) -> None:
        for name in names:
            self.people[name] = {"id": name, "name": name.upper(), "address": {"city": "Oslo"}, **values}

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers. No page has more records than `largest`, whatever is asked for."""
        self.asked.append(urlencode(query))
        if len(self.asked) > self.broken_after:
            return 404, "gone", {}
        people = list(self.people.values())
        if "since" in query:
            people = [each for each in people if each.get("updated_at", "") >= query["since"]]
        if self.paging == "none":
            return 200, people, {}
        start = int(query.get("skip", 0))
        if self.paging == "page":
            start = int(query["p"]) * self.largest
        if "after" in query:
            start = int(base64.b64decode(query["after"]))
        listed, end = people[start : start + self.largest], start + self.largest
        more = end < len(people) or self.stuck
        if self.paging == "link":
            link = f"{self.elsewhere or self.address}/people?{urlencode({**query, 'skip': end})}"
            return 200, {"result": {"people": listed}}, {"Link": f'<{link}>; rel="next"'} if more else {}
        token = base64.b64encode(str(0 if self.stuck else end).encode()).decode() if more else None
        return 200, {"result": {"people": listed}, "paging": {"next": token}}, {}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    one = Api()

    class Handler(BaseHTTPRequestHandler):
        def send(self, status: int, body: Any, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            one.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send(*one.answer(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}))

        def do_POST(self) -> None:
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            one.tokens += 1
            known = asked["client_id"] == ["me"] and asked["client_secret"] == ["hush"]
            self.send(200 if known else 401, {"access_token": f"t{one.tokens}", "expires_in": 3600}, {})

        def log_message(self, *arguments: object) -> None:
            pass

    with ExitStack() as stack:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        one.address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("SOURCES__HR__BASE_URL", one.address)
        monkeypatch.setenv("SOURCES__HR__TOKEN", "t")
        yield one


def run(contract: Source, warehouse: Target, hours: int = 0) -> Loaded:
    (loaded,) = load(contract, extracts, warehouse, NOON + timedelta(hours=hours))
    check_balance("hr", warehouse)
    return loaded


PAGINGS: dict[str, dict[str, Any]] = {
    "none": {"records": ""},
    "page": {"page_parameter": "p", "first_page": 0, "records": "result.people"},
    "offset": {"page_parameter": "skip", "records": "result.people"},
    "cursor": {"page_parameter": "after", "next": "paging.next", "records": "result.people", "size_parameter": ""},
    "link": {"records": "result.people"},
}


@pytest.mark.parametrize("paging", PAGINGS)
def test_all_records_by_any_paging_and_what_is_gone(paging: str, api: Api, warehouse: Target) -> None:
    """The server gives three records a page, where 200 were asked for."""
    api.paging = paging
    contract = source(paging=paging, **PAGINGS[paging])
    api.put(*"abcdefghijk")
    first = run(contract, warehouse)
    assert (first.source_count, first.loaded, first.compared) == (11, 11, True)
    assert ask(warehouse, "select id, name, city from raw_hr.people where id = 'k'") == [("k", "K", "Oslo")]
    if paging not in ("none", "cursor"):
        assert "page_size=200" in api.asked[0]
    again = run(contract, warehouse, 1)
    assert (again.loaded, again.known, again.deleted) == (0, 11, 0)
    del api.people["c"]
    api.put("d", name="Dee")
    api.put("l")
    third = run(contract, warehouse, 2)
    assert (third.loaded, third.known, third.deleted) == (2, 9, 1)
    changes = "select id, _operation, name from raw_hr.people where _effective_at > '2026-01-01 13:00' order by id"
    assert ask(warehouse, changes) == [("c", "D", "C"), ("d", "U", "Dee"), ("l", "U", "L")]


def test_a_listing_that_lost_most_of_its_records_is_not_believed(api: Api, warehouse: Target) -> None:
    api.put(*"abcdefghijk")
    run(source(paging="none", records=""), warehouse)
    api.people = {"a": api.people["a"]}
    with pytest.raises(SourceError, match="10 of 11 known people are gone from the source"):
        run(source(paging="none", records=""), warehouse)


def test_what_was_modified_since_in_the_apis_own_words(api: Api, warehouse: Target) -> None:
    contract = source(
        paging="none", records="", since_parameter="since", since_format="%Y-%m-%d", parameters={"status": "any"},
        modified_at="updated_at",
    )  # fmt: skip
    api.put("a", updated_at="2025-06-01T10:00:00Z")
    api.put("b", updated_at="2025-06-02T10:00:00Z")
    assert run(contract, warehouse).loaded == 2
    api.put("a", name="Anna", updated_at="2025-06-03T10:00:00Z")
    second = run(contract, warehouse)
    assert (second.source_count, second.loaded, second.known, second.deleted) == (2, 1, 1, 0)
    assert api.asked == ["status=any", "status=any&since=2025-06-02"]


def test_a_next_page_on_another_server_is_not_asked_for(api: Api, warehouse: Target) -> None:
    api.paging, api.elsewhere = "link", "http://elsewhere.test"
    api.put(*"abcd")
    with pytest.raises(SourceError, match=r"is said to be at elsewhere\.test, and 127\.0\.0\.1:\d+ was asked"):
        run(source(paging="link", **PAGINGS["link"]), warehouse)


@pytest.mark.parametrize("paging", ["cursor", "link"])
def test_pages_that_lead_back_end(paging: str, api: Api, warehouse: Target) -> None:
    api.paging, api.stuck = paging, True
    api.put("a")
    # By token the first page comes again; by link there is ever a next one, with nothing on it.
    what = {"cursor": "page 2 names as the next one a page that came before", "link": "is the 101th in a row without"}
    with pytest.raises(SourceError, match=f"the listing of people has no end: .*{what[paging]}"):
        run(source(paging=paging, **PAGINGS[paging]), warehouse)
    assert len(api.asked) < 110


def test_an_interrupted_listing_by_token_goes_on_with_its_last_page(api: Api, warehouse: Target) -> None:
    api.paging, api.broken_after = "cursor", 2
    api.put(*"abcdefghijk")
    contract = source(paging="cursor", **PAGINGS["cursor"])
    with pytest.raises(SourceError, match="a page came back as 404"):
        run(contract, warehouse)
    api.asked.clear()
    api.broken_after = 1_000_000
    assert run(contract, warehouse).loaded == 11
    assert len(api.asked) == 3  # of four pages, the first is there


AUTHS: dict[str, tuple[dict[str, Any], dict[str, str], tuple[str, str]]] = {
    "a token": ({}, {"TOKEN": "k1"}, ("authorization", "Bearer k1")),
    "a key": ({"auth": "header", "auth_header": "X-Key"}, {"TOKEN": "k1"}, ("x-key", "k1")),
    "a password": ({"auth": "basic"}, {"USERNAME": "ann", "PASSWORD": "hush"}, ("authorization", "Basic YW5uOmh1c2g=")),
    "an application's secret": (
        {"auth": "oauth2"}, {"CLIENT_ID": "me", "CLIENT_SECRET": "hush"}, ("authorization", "Bearer t1"),
    ),
    "nobody": ({"auth": "none"}, {}, ("authorization", "")),
}  # fmt: skip


@pytest.mark.parametrize("kind", AUTHS)
def test_who_asks(kind: str, api: Api, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    said, settings, (header, value) = AUTHS[kind]
    monkeypatch.delenv("SOURCES__HR__TOKEN")
    api.put("a")
    contract = source(paging="none", records="", **said)
    if settings:
        with pytest.raises(SourceError, match=r"SOURCES__HR__\w+ is not set: set it to the API's "):
            run(contract, warehouse)
    settings |= {"TOKEN_URL": f"{api.address}/token"} if said.get("auth") == "oauth2" else {}
    for name, secret in settings.items():
        monkeypatch.setenv(f"SOURCES__HR__{name}", secret)
    run(contract, warehouse)
    assert [each.get(header, "") for each in api.headers] == [value]
    assert api.tokens == (said.get("auth") == "oauth2")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"paging": "pages"}, "paging is 'pages': say one of page, offset, cursor, link, none"),
        ({"auth": "digest"}, "auth is 'digest': say one of bearer"),
        ({"path": "people"}, "config.meta.rest.path is 'people': say where it lies"),
        ({"paging": "cursor"}, "paging by cursor needs next"),
        ({"pathes": "/x"}, "config.meta.rest has pathes, and knows as_written, auth, auth_header"),
        ({"since_parameter": "since"}, "none of its columns says when a record was"),
    ],
)
def test_what_a_contract_may_not_say(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError) as error:
        endpoints(source(columns=COLUMNS[:2], **said))
    assert message in str(error.value)


def test_a_reply_in_another_shape(api: Api, warehouse: Target) -> None:
    api.put("a")
    shapes: list[tuple[dict[str, Any], str]] = [
        ({"records": "data"}, "which lacks data; check that"),
        ({"records": "", "total": "count"}, "which lacks one of a list and count; check that"),
    ]
    for said, message in shapes:
        with pytest.raises(SourceError, match=message):
            run(source(paging="none", **said), warehouse)
