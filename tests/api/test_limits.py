"""Limits are said clearly, and what is over them is not taken for whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
import pytest
import requests

from api.settings import current_settings
from ingestion.environment import ConfigurationError, variables
from tests.api.conftest import LOGINS
from tests.api.served import Served, served
from tests.warehouses import connected

VISITS = "/marts/tiny/fct_visits"
TIGHT = {
    "API__ROWS": "20", "API__SPOOL_ROWS": "15", "API__SPOOL_SECONDS": "2", "API__SECONDS": "2",
    "API__ORIGINS": "https://dashboards.example",
}  # fmt: skip


@pytest.fixture(scope="module")
def tight(on_postgres: Served) -> Iterator[Served]:
    """The same warehouse with an API that allows little."""
    with served(on_postgres.world, on_postgres.admin, LOGINS, TIGHT) as made:
        yield made


@pytest.mark.postgres
def test_rows(tight: Served) -> None:
    assert "limit takes a number from 1 to 20" in tight.get(VISITS, params={"limit": 21}).json()["detail"]
    assert len(tight.get(VISITS, params={"limit": 20}).json()["rows"]) == 20
    # A stream of more is broken off before its end, so that nobody takes it for whole.
    with pytest.raises((requests.RequestException, pa.ArrowInvalid)):
        pa.ipc.open_stream(tight.get(VISITS, params={"format": "arrow"}).content).read_all()
    path = VISITS + "?page_size=10"
    for _ in range(3):
        answer = tight.get(path)
        if answer.status_code != 200:
            break
        path = answer.json()["next"]
    assert answer.status_code == 413 and "more rows than the 15 that pages are kept of" in answer.json()["detail"]


@pytest.mark.postgres
def test_pages_are_kept_for_a_while(tight: Served) -> None:
    path = tight.get(VISITS, params={"page_size": 4, "visit_id.lt": 10}).json()["next"]
    assert tight.get(path).status_code == 200
    time.sleep(3.5)
    answer = tight.get(path)
    assert answer.status_code == 410 and "pages are kept for 2 seconds" in answer.json()["detail"]


@pytest.mark.postgres
def test_time(tight: Served) -> None:
    with closing(connected(tight.admin)) as admin, admin.cursor() as cursor:
        admin.autocommit = False
        cursor.execute("lock table tiny.dim_members in access exclusive mode")
        began = time.monotonic()
        for form in ("csv", "json"):
            answer = tight.get("/marts/tiny/dim_members", params={"format": form})
            assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
        assert "took more than 2 seconds" in answer.json()["detail"] or "still being read" in answer.json()["detail"]
        assert time.monotonic() - began < 15
        admin.rollback()
    assert tight.get("/marts/tiny/dim_members", params={"limit": 3}).status_code == 200


@pytest.mark.postgres
def test_browsers_of_listed_pages_alone(tight: Served) -> None:
    listed, other = (
        tight.get("/catalog", headers={"Origin": origin}).headers.get("Access-Control-Allow-Origin")
        for origin in ("https://dashboards.example", "https://elsewhere.example")
    )
    assert (listed, other) == ("https://dashboards.example", None)
    asked = {"Origin": "https://dashboards.example", "Access-Control-Request-Method": "GET",
             "Access-Control-Request-Headers": "authorization"}  # fmt: skip
    assert requests.options(tight.url + "/catalog", headers=asked, timeout=10).status_code == 200


def test_rate(on_duckdb: Served) -> None:
    with served(on_duckdb.world, {}, LOGINS, {"API__REQUESTS": "5"}) as few:
        answers = [few.get(VISITS, params={"limit": 1}) for _ in range(8)]
        assert [each.status_code for each in answers[:5]] == [200] * 5 and answers[7].status_code == 429
        assert 1 <= int(answers[7].headers["Retry-After"]) <= 12 and "5 times a minute" in answers[7].json()["detail"]
        assert few.get(VISITS, "api_few", params={"limit": 1}).status_code == 200


def test_settings() -> None:
    with (
        variables({"API__ROWS": "many"}),
        pytest.raises(ConfigurationError, match="API__ROWS=many: it takes a number above 0"),
    ):
        current_settings()
