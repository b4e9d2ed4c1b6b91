"""The simulated accounts API: pages, authorisation, faults, and the truth of what it shows."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from ingestion.demo.commerce import Fault, serving, simulate

ROOT = Path(__file__).resolve().parents[3]
STATUSES = {
    "active": "active",
    "enabled": "active",
    "inactive": "inactive",
    "disabled": "inactive",
    "suspended": "suspended",
    "blocked": "suspended",
}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "company"
    simulate(root, 60, scale=0.3)
    return root


@pytest.fixture
def api(company: Path) -> Iterator[dict[str, str]]:
    with serving(company, faults=[]) as environment:
        yield environment


def get(environment: dict[str, str], **parameters: Any) -> requests.Response:
    return requests.get(
        f"{environment['SOURCES__ACCOUNTS__BASE_URL']}/v1/users",
        params=parameters,
        headers={"Authorization": f"Bearer {environment['SOURCES__ACCOUNTS__TOKEN']}"},
        timeout=5,
    )


def everything(environment: dict[str, str], **parameters: Any) -> list[dict[str, Any]]:
    pages = get(environment, **parameters).json()["pages"]
    return [
        record for page in range(1, pages + 1) for record in get(environment, page=page, **parameters).json()["data"]
    ]


def truth(company: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(company / "truth.sqlite")) as connection:
        return connection.execute(query).fetchall()


def test_environment(company: Path, api: dict[str, str]) -> None:
    assert api["SOURCES__SHOP__CREDENTIALS"] == f"sqlite:///{company / 'shop.sqlite'}"
    assert api["SOURCES__SHOP__CREDENTIALS"].startswith("sqlite:////")
    assert api["SOURCES__RETAIL__BUCKET_URL"] == str(company / "retail")
    assert api["GRANARY_OBSERVED_AT"] == "2024-03-01T00:00:00Z"


def test_pages(company: Path, api: dict[str, str]) -> None:
    reply = get(api, page=2, page_size=25).json()
    total = truth(company, "select records from truth_counts where source = 'accounts'")[0][0]
    assert [reply[key] for key in ("page", "page_size", "pages", "total")] == [2, 25, -(-total // 25), total]
    listing = everything(api, page_size=25)
    assert listing[25:50] == reply["data"]
    assert listing == everything(api)
    assert get(api, page=reply["pages"] + 1, page_size=25).json()["data"] == []
    ids = [record["id"] for record in listing if "id" in record]
    assert 0 < len(ids) - len(set(ids)) <= 10, "a few records appear twice"


def test_modified_since_is_inclusive(api: dict[str, str]) -> None:
    listing = everything(api)
    times = [utc(record["updated_at"]) for record in listing if record["updated_at"] != "yesterday"]
    assert times == sorted(times)
    middle = times[len(times) // 2]
    found = everything(api, modified_since=f"{middle.replace(' ', 'T')}Z")
    assert found == listing[-len(found) :]
    assert utc(found[0]["updated_at"]) == middle
    assert len([t for t in times if t >= middle]) <= len(found) < len(listing)


def test_refusals(api: dict[str, str]) -> None:
    url = f"{api['SOURCES__ACCOUNTS__BASE_URL']}/v1/users"
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        reply = requests.get(url, headers=headers, timeout=5)
        assert reply.status_code == 401
        assert reply.json()["error"] == "unauthorized"
    for parameters in ({"page": 0}, {"page_size": 5000}, {"page": "two"}, {"modified_since": "lately"}):
        assert get(api, **parameters).status_code == 400
    assert (
        requests.get(
            f"{url}/7", headers={"Authorization": f"Bearer {api['SOURCES__ACCOUNTS__TOKEN']}"}, timeout=5
        ).status_code
        == 404
    )


def test_faults_by_default(company: Path) -> None:
    with serving(company) as environment:
        replies = [get(environment) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [429, 503, 200, 200]
    assert replies[0].headers["Retry-After"] == "0"


def test_faults(company: Path) -> None:
    faults: list[Fault | dict[str, Any]] = [
        Fault("html", page=1),
        Fault("truncated", page=1),
        {"kind": "500", "page": 1},
        Fault("disconnect", page=2),
        Fault("timeout", request=6, seconds=0.2),
        Fault("429", request=7, retry_after=3),
    ]
    with serving(company, faults) as environment:
        assert get(environment).headers["Content-Type"].startswith("text/html")
        with pytest.raises(json.JSONDecodeError):
            json.loads(get(environment).text)
        assert get(environment).status_code == 500
        assert get(environment).status_code == 200
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            get(environment, page=2, page_size=25)
        started = time.monotonic()
        with pytest.raises(requests.ConnectionError):
            get(environment)
        assert time.monotonic() - started >= 0.2
        assert get(environment).headers["Retry-After"] == "3"
        assert get(environment, page=2, page_size=25).status_code == 200


def utc(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def reason(record: dict[str, Any]) -> str | None:
    """Why a record is broken."""
    if "id" not in record:
        return "missing:id"
    if not isinstance(record["status"], str):
        return "value:status"
    if record["status"].strip().lower() not in STATUSES:
        return "value:status"
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", record["email"].strip()):
        return "format:email"
    return None if record["updated_at"][:2] == "20" else "type:updated_at"


def cleansed(record: dict[str, Any]) -> tuple[Any, ...]:
    profile = record.get("profile") or {}
    preferences = profile.get("preferences") or {}
    chosen = [preferences.get(key) for key in ("newsletter", "language", "theme")]
    return (
        record["id"],
        record["email"].strip().lower(),
        " ".join(record["first_name"].split()),
        " ".join(record["last_name"].split()),
        STATUSES[record["status"].strip().lower()],
        *(profile.get(key) for key in ("avatar", "bio", "location")),
        *(default if value is None else value for value, default in zip(chosen, (0, "en", "light"), strict=True)),
        utc(record["created_at"]),
        utc(record["updated_at"]),
    )


def test_truth(company: Path, api: dict[str, str]) -> None:
    listing = everything(api)
    good = {cleansed(record) for record in listing if not reason(record)}
    assert set(truth(company, "select * from truth_accounts")) == good
    broken = sorted((str(record.get("id")), reason(record)) for record in listing if reason(record))
    found = truth(company, "select record_id, reason from truth_rejects where source = 'accounts' and is_current")
    assert sorted((str(record_id), why) for record_id, why in found) == broken
    assert {why for _, why in broken} >= {"missing:id", "format:email", "value:status"}
    last_good = {row[0] for row in truth(company, "select * from truth_accounts_last_good")}
    assert last_good
    assert not last_good & {row[0] for row in good}
    with closing(sqlite3.connect(company / "shop.sqlite")) as shop:
        users = {email: user_id for user_id, email in shop.execute("select id, email from users")}
    people = {(row[0], users[row[1]]) for row in good if row[1] in users}
    assert set(truth(company, "select * from truth_people")) == people
    assert 0.4 < len(people) / len(good) < 0.8


@pytest.mark.parametrize("way", ["input", "signal"])
def test_serve_command(company: Path, way: str) -> None:
    command = [sys.executable, "-m", "ingestion.demo", "serve", "--domain", "commerce", "--folder", str(company)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin
        assert process.stdout
        environment = json.loads(process.stdout.readline())
        assert [get(environment).status_code for _ in range(3)] == [429, 503, 200]
        if way == "input":
            process.stdin.close()
        else:
            process.terminate()
        assert process.wait(10) == 0
