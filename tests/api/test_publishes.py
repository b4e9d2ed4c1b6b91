"""Whoever pages stays on one generation, whatever is published meanwhile, and is told where that is gone."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
import requests

from tests.api.served import Served
from tests.tiny.test_rights import another_day

VISITS = "/marts/tiny/fct_visits"


def test_pages_stay_on_their_generation(api: Served) -> None:
    first = api.get(VISITS, params={"page_size": 4, "sort": "visit_id"}).json()
    before = api.rows(VISITS, sort="visit_id")
    pages, rows = [first], list(first["rows"])
    for _ in range(2):
        another_day(api.world)
        pages.append(api.get(pages[-1]["next"]).json())
        rows += pages[-1]["rows"]
    while pages[-1]["next"]:
        answer = api.get(pages[-1]["next"])
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        rows += pages[-1]["rows"]
    assert {page["generation"] for page in pages} == {first["generation"]}
    assert rows == before
    # Who begins now gets what is published now.
    now = api.get(VISITS, params={"page_size": 4}).json()
    assert now["generation"] == first["generation"] + 2 and len(api.rows(VISITS)) > len(before)
    # Also who asks by a tag of before.
    etag = api.get(VISITS, params={"limit": 2}).headers["ETag"]
    another_day(api.world)
    time.sleep(1.1)  # for a second what is published is taken for true
    answer = api.get(VISITS, params={"limit": 2}, headers={"If-None-Match": etag})
    assert answer.status_code == 200 and answer.json()["generation"] == first["generation"] + 3


def test_pages_in_other_formats(api: Served) -> None:
    lines, path = [], f"{VISITS}?format=csv&page_size=9&select=visit_id"
    while path:
        answer = api.get(path)
        header, *found = answer.text.split("\r\n")[:-1]
        assert header == "visit_id" and len(found) <= 9
        lines += found
        path = answer.links.get("next", {}).get("url", "")
    assert Counter(lines) == Counter(str(row["visit_id"]) for row in api.rows(VISITS)) and len(lines) > 9


def test_pages_are_their_keys_alone_and_gone_when_they_are(api: Served) -> None:
    path = api.get(VISITS, params={"page_size": 4}).json()["next"]
    for login, cursor in (
        ("api_few", path),
        ("api_reporter", path[:-1] + "999"),
        ("api_reporter", VISITS + "?cursor=x.1"),
    ):
        answer = api.get(cursor, login)
        assert answer.status_code == 410 and "egin again" in answer.json()["detail"], answer.text
    assert api.get(path.replace("fct_visits", "dim_members")).status_code == 400
    assert api.get(path).status_code == 200
    kept = [file for file in (api.world.warehouse / "api").rglob("spool/*") if file.is_file()]
    assert kept and all(file.stat().st_mode & 0o077 == 0 for file in kept)
    for file in kept:
        file.unlink()
    assert api.get(path[:-1] + "2").status_code == 410


@pytest.mark.slow
def test_many_clients_read_through_publishes(api: Served) -> None:
    """Clients page and read whole while generations are published: no error, and no answer mixes generations."""
    done, wrong, generations = threading.Event(), list[str](), Counter[int]()
    pagings = Counter[str]()

    def page(login: str) -> None:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {api.keys[login]}"
        while not done.is_set():
            path, seen, rows = VISITS + "?page_size=6&sort=visit_id", set(), []
            while path:
                answer = session.get(api.url + path, timeout=60)
                if answer.status_code != 200:
                    wrong.append(f"{answer.status_code} {answer.text[:200]}")
                    return
                page = answer.json()
                seen.add(page["generation"])
                rows += [row["visit_id"] for row in page["rows"]]
                path = page["next"]
            if len(seen) != 1 or len(rows) != len(set(rows)) or rows != sorted(rows):
                wrong.append(f"{login}: a paging of the generations {seen}")
            generations[seen.pop()] += 1
            pagings[login] += 1

    clients = [threading.Thread(target=page, args=(list(api.keys)[number % len(api.keys)],)) for number in range(16)]
    for each in clients:
        each.start()
    try:
        for _ in range(3):
            another_day(api.world)
    finally:
        done.set()
        for each in clients:
            each.join()
    assert wrong == [] and len(generations) >= 3 and min(pagings[login] for login in api.keys) > 0
