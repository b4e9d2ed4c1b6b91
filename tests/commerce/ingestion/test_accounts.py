from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from ingestion.contract.reading import read_contract
from ingestion.demo.commerce import Fault, next_day, serving, simulate
from ingestion.destination.target import Target
from ingestion.load.extracts import SourceError
from ingestion.readers.rest import listing, reader
from ingestion.readers.rest.client import Client, Page, Place
from ingestion.readers.rest.endpoint import endpoints
from ingestion.readers.rest.waiting import retry_after
from tests.crosswalks import identifiers
from tests.ingestion.loads import NOON, ask, content, load_source, rejects

Serve = Callable[..., datetime]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "company"
    simulate(folder, 30, scale=0.3)
    return folder


@pytest.fixture
def serve(company: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts the simulated API with faults; returns the simulated now."""
    with ExitStack() as stack:

        def start(*faults: Fault, folder: Path = company) -> datetime:
            settings = stack.enter_context(serving(folder, faults))
            for name in ("SOURCES__ACCOUNTS__BASE_URL", "SOURCES__ACCOUNTS__TOKEN"):
                monkeypatch.setenv(name, settings[name])
            monkeypatch.setenv("SOURCES__ACCOUNTS__PAGE_SIZE", "20")
            return datetime.fromisoformat(settings["GRANARY_OBSERVED_AT"])

        yield start


def truth(company: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(company / "truth.sqlite")) as connection:
        return connection.execute(query).fetchall()


def test_loads_what_the_company_has(serve: Serve, company: Path, warehouse: Target) -> None:
    now = serve()
    result = load_source("accounts", warehouse, now)["users"]
    assert [(result.source_count,)] == truth(company, "select records from truth_counts where source = 'accounts'")
    assert result.known > 0, "some accounts are listed twice"
    assert ask(warehouse, "select id, updated_at from raw_accounts.users order by 1") == [
        (account, datetime.fromisoformat(at))
        for account, at in truth(company, "select id, updated_at from truth_accounts order by 1")
    ]
    expected = truth(
        company,
        "select coalesce(record_id, ''), reason from truth_rejects "
        "where source = 'accounts' and is_current order by 1, 2",
    )
    found = [(key[0] or "", *reasons) for _, key, reasons in rejects(warehouse, "accounts")]
    assert sorted(found) == expected
    assert list((warehouse.folder / "pending" / "accounts").iterdir()) == []
    again = load_source("accounts", warehouse, now)["users"]
    assert (again.loaded, again.rejected) == (0, 0)
    assert again.source_count < result.source_count


def test_following_days_load_what_changed(tmp_path: Path, serve: Serve, warehouse: Target) -> None:
    folder = tmp_path / "company"
    simulate(folder, 10, scale=0.2)
    load_source("accounts", warehouse, serve(folder=folder))
    next_day(folder, days=10)
    result = load_source("accounts", warehouse, serve(folder=folder))["users"]
    assert 0 < result.loaded < result.source_count <= truth(folder, "select count(*) from truth_accounts")[0][0]
    latest = dict(ask(warehouse, "select id, max(updated_at) from raw_accounts.users group by 1"))
    good = truth(folder, "select id, updated_at from truth_accounts")
    assert {account: latest.get(account) for account, _ in good} == {
        account: datetime.fromisoformat(at) for account, at in good
    }


def test_passing_trouble_is_waited_for(serve: Serve, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    now = serve(
        Fault("429", request=1, retry_after=7),
        Fault("503", request=2, retry_after=0),
        Fault("500", request=3),
        Fault("disconnect", page=2),
        Fault("timeout", page=2, seconds=0.6),
    )
    monkeypatch.setenv("SOURCES__ACCOUNTS__TIMEOUT_SECONDS", "0.2")
    monkeypatch.setattr(reader, "Client", lambda **settings: Client(**settings, wait=waited.append))
    load_source("accounts", warehouse, now)
    assert waited[:2] == [7.0, 0.0]
    assert len(waited) == 5
    assert all(0 <= seconds <= 4 for seconds in waited[2:])


def test_trouble_that_stays_ends_the_load_and_what_came_is_kept(
    serve: Serve, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__ACCOUNTS__MAX_ATTEMPTS", "2")
    now = serve(*[Fault("500", page=3) for _ in range(2)])
    with pytest.raises(SourceError, match=r"/v1/users was asked 2 times, and it answers 500; check that it runs"):
        load_source("accounts", warehouse, now)
    asked: list[int] = []
    page = Client.page

    def counted(self: Client, session: requests.Session, number: int, since: str | None) -> Page:
        asked.append(number)
        return page(self, session, number, since)

    monkeypatch.setattr(Client, "page", counted)
    load_source("accounts", warehouse, now)
    assert asked[:3] == [2, 3, 4]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("html"), r"page 1 came back as 200 text/html, starting '<!doctype html>.*the API itself"),
        (Fault("truncated"), r"page 1 came back as 200 application/json, .*no whole JSON document"),
    ],
)
def test_reply_that_is_no_listing(fault: Fault, message: str, serve: Serve, warehouse: Target) -> None:
    now = serve(fault)
    with pytest.raises(SourceError, match=message) as caught:
        load_source("accounts", warehouse, now)
    assert "\n" not in str(caught.value)
    assert load_source("accounts", warehouse, now)["users"].loaded > 0


def test_wrong_token_and_wrong_address(serve: Serve, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    serve()
    monkeypatch.setenv("SOURCES__ACCOUNTS__BASE_URL", os.environ["SOURCES__ACCOUNTS__BASE_URL"] + "/api")
    with pytest.raises(SourceError, match=r"came back as 404 .*check that SOURCES__ACCOUNTS__BASE_URL"):
        load_source("accounts", warehouse)
    monkeypatch.setenv("SOURCES__ACCOUNTS__TOKEN", "wr0ng")
    with pytest.raises(SourceError, match=r"came back as 401 .*check SOURCES__ACCOUNTS__TOKEN") as caught:
        load_source("accounts", warehouse)
    assert "wr0ng" not in str(caught.value)
    monkeypatch.delenv("SOURCES__ACCOUNTS__TOKEN")
    with pytest.raises(SourceError, match="SOURCES__ACCOUNTS__TOKEN is not set"):
        load_source("accounts", warehouse)


def test_nobody_answers(warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__ACCOUNTS__BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SOURCES__ACCOUNTS__TOKEN", "t")
    monkeypatch.setenv("SOURCES__ACCOUNTS__MAX_ATTEMPTS", "1")
    with pytest.raises(SourceError, match=r"accounts: http://127.0.0.1:9/v1/users was asked 1 times, and it doesn't"):
        load_source("accounts", warehouse)


# From here on the API is a list of records: what matters is what they say and how the list changes.


def user(number: int, at: str = "2025-06-01T00:00:00Z", **values: object) -> dict[str, object]:
    return {
        "id": f"acc_{number}",
        "email": f"user{number}@example.com",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "status": "active",
        "profile": {"bio": None},
        "created_at": at,
        "updated_at": at,
        **values,
    }


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """The API's pages by number, two records each; what a page holds may be a function that is called for it."""
    answers: dict[int, Any] = {}
    monkeypatch.setenv("SOURCES__ACCOUNTS__BASE_URL", "http://accounts.test")
    monkeypatch.setenv("SOURCES__ACCOUNTS__TOKEN", "t")

    def page(self: Client, session: requests.Session, number: int, since: str | None) -> Page:
        total = 2 * (len(answers) - 1) + len(answers[len(answers)])
        records = answers[number]() if callable(answers[number]) else answers[number]
        return Page.numbered(json.loads(json.dumps(records)), number, len(answers), total)

    monkeypatch.setattr(Client, "page", page)
    return answers


def test_values_of_any_json_type_are_judged(pages: dict[int, Any], warehouse: Target) -> None:
    strange: list[dict[str, Any]] = [
        user(1, status=1),
        user(2, email={"home": "a@example.com"}),
        user(3, updated_at=1_700_000_000),
        user(4, updated_at="infinity"),
        user(5, email=None),
        user(6, first_name="zero\0byte"),
        "no record",
        None,
        [],
        user(7, id=7, first_name=True, profile="text", last_name="\ud800", new_field=1),
        user(8, created_at=None, profile=None),
    ]
    pages[1] = strange
    result = load_source("accounts", warehouse)["users"]
    assert (result.source_count, result.loaded) == (len(strange), 2)
    assert result.notes == ("accounts: users have a new field new_field, which the contract doesn't know",)
    found = {key[0]: reasons for _, key, reasons in rejects(warehouse, "accounts")}
    assert found == {
        "acc_1": ["value:status"],
        "acc_2": ["format:email"],
        "acc_3": ["type:updated_at"],
        "acc_4": ["type:updated_at"],
        "acc_5": ["missing:email"],
        "acc_6": ["type:first_name"],
        None: ["record:no object"],
    }
    raw = ask(warehouse, "select id, first_name, last_name, profile ->> '$._token' from raw_accounts.users order by 1")
    known = identifiers()
    assert [(row[0], *(known.get(token) for token in row[1:])) for row in raw] == [
        ("7", "true", "?", '"text"'),
        ("acc_8", "Ada", "Lovelace", None),
    ]


def test_no_accounts(pages: dict[int, Any], warehouse: Target) -> None:
    pages[1] = []
    assert load_source("accounts", warehouse)["users"].source_count == 0
    pages[1] = [user(1)]
    assert load_source("accounts", warehouse)["users"].loaded == 1


def test_times_with_offsets_become_utc(pages: dict[int, Any], warehouse: Target) -> None:
    pages[1] = [user(1, at="2025-06-01T02:00:00.123456+02:00")]
    load_source("accounts", warehouse)
    [(at, effective, revision)] = ask(warehouse, "select updated_at, _effective_at, _revision from raw_accounts.users")
    assert at == effective == datetime.fromisoformat("2025-06-01T00:00:00.123456")
    assert revision == 1_748_736_000_123_456
    assert load_source("accounts", warehouse)["users"].known == 1


def test_future_time_does_not_hide_later_changes(pages: dict[int, Any], warehouse: Target) -> None:
    pages[1] = [user(1), user(2, at="2099-01-01T00:00:00Z")]
    load_source("accounts", warehouse)
    assert ask(warehouse, "select cursor from raw_accounts.loads") == [('{"modified_at": "2025-06-01 00:00:00"}',)]


def test_record_that_moves_while_the_listing_is_read(pages: dict[int, Any], warehouse: Target) -> None:
    # 1 changes after page 1 was read: 3 moves up to page 1, and is not on any page that is read after that.
    now = datetime.fromisoformat("2025-06-05T00:10:00+00:00")
    a, b, c, d = (user(number, at=f"2025-06-0{number}T00:00:00Z") for number in (1, 2, 3, 4))
    pages[1], pages[2] = [a, b], [d, user(1, at="2025-06-05T00:00:00Z")]
    load_source("accounts", warehouse, now)
    assert ask(warehouse, "select cursor from raw_accounts.loads") == [('{"modified_at": "2025-06-01 00:00:00"}',)]
    pages[1], pages[2] = [b, c], [d, user(1, at="2025-06-05T00:00:00Z")]
    result = load_source("accounts", warehouse, NOON + timedelta(days=1))["users"]
    assert (result.loaded, result.known) == (1, 3)
    assert content(warehouse, "accounts", "users")[3][0] == "acc_3"


def test_what_stands_twice_for_good_does_not_hold_the_next_load_back(pages: dict[int, Any], warehouse: Target) -> None:
    """Nor do records without an id, of which a listing may have several."""
    nameless = [user(0, id=None, at=f"2025-05-0{number}T00:00:00Z") for number in (1, 2, 3)]
    pages[1] = [user(1, at="2025-06-01T00:00:00Z"), user(1, at="2025-06-02T00:00:00Z"), *nameless, user(2)]
    load_source("accounts", warehouse)
    assert ask(warehouse, "select cursor from raw_accounts.loads") == [('{"modified_at": "2025-06-02 00:00:00"}',)]


def test_listing_that_shrinks_is_read_again(pages: dict[int, Any], warehouse: Target) -> None:
    def delete_first() -> list[dict[str, object]]:
        pages[1], pages[2] = [user(2), user(3)], [user(4)]
        return [user(1), user(2)]

    pages[1], pages[2] = delete_first, [user(3), user(4)]
    result = load_source("accounts", warehouse)["users"]
    assert result.source_count == 3
    assert ask(warehouse, "select id from raw_accounts.users order by 1") == [("acc_2",), ("acc_3",), ("acc_4",)]


def test_old_pages_are_not_used(
    pages: dict[int, Any], warehouse: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = listing.pending_folder(tmp_path / "pending", "request")
    first = Page.numbered([1, 2], 1, 2, 3)
    second = Page.numbered([3], 2, 2, 3)
    stopped: dict[Place, Page] = {1: first}
    with pytest.raises(KeyError):
        listing.fetch(stopped.__getitem__, folder)
    whole: dict[Place, Page] = {1: first, 2: second}
    assert [len(path.read_text().split()) for path in listing.fetch(whole.__getitem__, folder).pages] == [2, 1]
    changed: dict[Place, Page] = {1: Page.numbered([5, 6], 1, 2, 4), 2: Page.numbered([7, 8], 2, 2, 4)}
    assert listing.fetch(changed.__getitem__, folder).total == 4
    monkeypatch.setattr(listing, "LONGEST_AGE", 0)
    again: dict[Place, Page] = {1: Page.numbered([9, 9], 1, 2, 4), 2: Page.numbered([7, 8], 2, 2, 4)}
    assert listing.fetch(again.__getitem__, folder).pages[0].read_text() == "9\n9\n"
    other = listing.pending_folder(tmp_path / "pending", "another request")
    assert not folder.exists()
    assert other != folder


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), (" 0 ", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("", None)],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    response = requests.Response()
    response.headers["Retry-After"] = header
    assert retry_after(response) == seconds


def test_api_that_asks_to_wait_long() -> None:
    [endpoint] = endpoints(read_contract("accounts"))
    asked = Client("accounts", endpoint, "http://accounts.test", lambda request: request, 200, 1, 3)
    with pytest.raises(SourceError, match="asks to wait 3,600 seconds"):
        asked._seconds(0, 3600.0)
