"""Every login reads by its key what a session of its own reads, of every mart and in every format, and nothing else."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from ingestion.destination.target import current_target
from tests.api.served import Served
from tests.infra.test_access import tenant_key
from tests.tiny.test_rights import ask
from tests.warehouses import connected
from warehouse import dbt
from warehouse.people.extract import NOBODY
from warehouse.publish.access import OWN, Declared, declared_access

Rows = Counter[tuple[tuple[str, Any], ...]]


@pytest.fixture(scope="module")
def declared(api: Served) -> list[Declared]:
    with api.entered():
        found = declared_access(dbt.parse(current_target()), current_target())
    return sorted(set(found) - set(OWN), key=lambda each: (each.schema, each.name))


def session_rows(api: Served, login: str, mart: Declared) -> Rows | None:
    """What the login's own session reads: on Postgres one that it opens, on DuckDB the rule, in SQL. None: nothing."""
    if api.admin:
        with closing(connected(api.admin, login)) as connection, connection.cursor() as cursor:
            cursor.execute("set timezone to 'UTC'")
            if not ask(connection, f"select has_table_privilege('{mart.schema}.{mart.name}', 'select')")[0][0]:
                return None
            cursor.execute(f"select * from {mart.schema}.{mart.name}")
            names = [str(column[0]) for column in cursor.description or ()]
            return rows_of([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
    tenants = api.tenants[login]
    if tenants and mart.access == "internal":
        return None
    keys = ", ".join(f"'{key}'" for key in [*NOBODY, *map(tenant_key, [*tenants, "granary"])])
    where = f" where {mart.tenant_key} in ({keys})" if tenants and mart.access == "tenant" else ""
    with duckdb.connect(str(api.world.warehouse / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute(f"select * from {mart.schema}.{mart.name}{where}")
        names = [str(column[0]) for column in found.description or ()]
        return rows_of([dict(zip(names, row, strict=True)) for row in found.fetchall()])


def plain(value: Any) -> str | None:
    """A value as JSON and CSV write it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return value.isoformat().rstrip("0") + "Z" if value.microsecond else value.isoformat() + "Z"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def rows_of(rows: list[dict[str, Any]]) -> Rows:
    return Counter(tuple((name, plain(value)) for name, value in row.items()) for row in rows)


def read(api: Served, login: str, path: str, form: str) -> Rows:
    answer = api.get(path, login, params={"format": form})
    assert answer.status_code == 200, answer.text
    if form == "arrow":
        return rows_of(pa.ipc.open_stream(answer.content).read_all().to_pylist())
    if form == "parquet":
        return rows_of(pq.read_table(io.BytesIO(answer.content)).to_pylist())
    if form == "csv":
        # CSV has no nulls.
        return Counter(tuple(row.items()) for row in csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    return rows_of([json.loads(line) for line in answer.text.splitlines()])


def test_every_login_reads_its_rows_of_every_mart_in_every_format(api: Served, declared: list[Declared]) -> None:
    pairs = rows = 0
    assert len(declared) >= 5
    for login in api.keys:
        readable = []
        for mart in declared:
            wanted = session_rows(api, login, mart)
            path = f"/marts/{mart.schema}/{mart.name}"
            if wanted is None:
                answer = api.get(path, login)
                assert answer.status_code == 404 and "/catalog says" in answer.json()["detail"]
                continue
            readable.append(f"{mart.schema}.{mart.name}")
            assert rows_of(api.rows(path, login, page_size=7)) == wanted, (login, path)
            for form in ("ndjson", "arrow", "parquet"):
                assert read(api, login, path, form) == wanted, (login, path, form)
            as_csv = Counter(
                {tuple((name, value or "") for name, value in row): count for row, count in wanted.items()}
            )
            assert read(api, login, path + "?as_is=true", "csv") == as_csv, (login, path, "csv")
            pairs, rows = pairs + 1, rows + sum(wanted.values())
        catalog = api.get("/catalog", login).json()
        assert [each["name"] for each in catalog["marts"]] == readable
        paths = api.get("/openapi.json", login).json()["paths"]
        assert {path for path in paths if path.startswith("/marts")} == {each["path"] for each in catalog["marts"]}
    assert pairs > 2 * len(api.keys) and rows > 100


def test_tenants_see_no_row_of_others(api: Served) -> None:
    visits = {login: {row["visit_key"] for row in api.rows("/marts/tiny/fct_visits", login)} for login in api.keys}
    assert visits["api_none"] < visits["api_few"] < visits["api_reporter"]
    own = {*NOBODY, *map(tenant_key, api.tenants["api_few"]), tenant_key("granary")}
    assert {row["member_key"] for row in api.rows("/marts/tiny/fct_visits", "api_few")} <= own
    # By no filter, and in no count of pages.
    strange = sorted(visits["api_reporter"] - visits["api_few"])[0]
    assert api.rows("/marts/tiny/fct_visits", "api_few", **{"visit_key.eq": strange}) == []
    assert len(api.rows("/marts/tiny/fct_visits", **{"visit_key.eq": strange})) == 1


def test_filters_choose_what_the_rows_say(api: Served) -> None:
    path = "/marts/tiny/dim_members"
    everything = api.rows(path)
    for column, kind in (("tier", str), ("member_id", int), ("valid_from", str), ("is_current", bool)):
        value = next(row[column] for row in everything if row[column] is not None and row[column] is not True)
        sent = {True: "true", False: "false"}.get(value, value) if kind is bool else value
        known = [row for row in everything if row[column] is not None]
        compared: dict[str, Any] = {"eq": value.__eq__, "ne": value.__ne__}
        if kind is not bool and column != "tier":
            compared |= {"gt": value.__lt__, "gte": value.__le__, "lt": value.__gt__, "lte": value.__ge__}
        for operator, holds in compared.items():
            wanted = [row for row in known if holds(row[column])]
            found = api.rows(path, **{f"{column}.{operator}": sent})
            assert rows_of(found) == rows_of(wanted), (column, operator, value)
        nulls = [row for row in everything if row[column] is None]
        assert rows_of(api.rows(path, **{f"{column}.null": "true"})) == rows_of(nulls), column
        assert rows_of(api.rows(path, **{f"{column}.null": "false"})) == rows_of(known), column
    two = [row for row in everything if row["tier"] in ("gold", "silver")]
    assert rows_of(api.rows(path, **{"tier.in": ["gold", "silver"]})) == rows_of(two) and two
    starts = [row for row in everything if (row["town"] or "").startswith("Town 1")]
    assert rows_of(api.rows(path, **{"town.starts": "Town 1"})) == rows_of(starts) and starts
    assert api.rows(path, **{"town.contains": "%"}) == [] and api.rows(path, town="Town 1' or true --") == []
    assert rows_of(api.rows(path, **{"town.contains": "own 1"})) == rows_of(starts)


def test_columns_sorting_and_limits(api: Served) -> None:
    path = "/marts/tiny/fct_visits"
    everything = api.rows(path)
    chosen = api.rows(path, select="visit_amount,visit_id", sort="-visit_amount,visit_id")
    wanted = sorted(everything, key=lambda row: (-Decimal(row["visit_amount"]), row["visit_id"]))
    assert chosen == [{"visit_amount": row["visit_amount"], "visit_id": row["visit_id"]} for row in wanted]
    assert list(chosen[0]) == ["visit_amount", "visit_id"]
    answer = api.get(path, params={"limit": 3, "sort": "visit_id"}).json()
    assert [row["visit_id"] for row in answer["rows"]] == sorted(row["visit_id"] for row in everything)[:3]
    assert answer["next"] is None and answer["generation"] == api.get("/catalog").json()["generation"]


def test_csv_that_a_spreadsheet_would_run_is_made_harmless(api: Served) -> None:
    answer = api.get("/marts/tiny/agg_visits__daily", params={"format": "csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    # Numbers are numbers, negative ones too; only texts get the apostrophe.
    assert "'" not in answer.text


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"colour": "red"}, "has no column 'colour'"),
        ({"visit_id": "1; drop table x"}, "visit_id.eq takes a whole number"),
        ({"visit_id.eq": "9" * 30}, "takes a whole number from -9223372036854775808"),
        ({"visit_amount.gt": "1e5"}, "a number such as 12.5, of at most 4 digits"),
        ({"visited_date.gte": "31.1.2025"}, "a day such as 2025-01-31"),
        ({"visited_at.lt": "yesterday"}, "a time such as 2025-01-31T14:05:00Z"),
        ({"visit_key": "7"}, "a UUID such as"),
        ({"visit_key.starts": "7"}, "is of type uuid, which is filtered by eq, ne, in, null"),
        ({"visit_id.null": "perhaps"}, "visit_id.null is true or false"),
        ({"select": "visit_id,visit_id"}, "each once"),
        ({"select": 'visit_id" from x --'}, "has no column"),
        ({"sort": "-amount"}, "has no column 'amount'"),
        ({"limit": "0"}, "limit takes a number from 1"),
        ({"page_size": "50001"}, "page_size takes a number from 1 to 50000"),
        ({"format": "xml"}, "format is one of json, ndjson, csv, arrow, parquet"),
        ({"format": ["csv", "json"]}, "format is there twice"),
        ({"cursor": "x.1", "limit": "1"}, "cursor goes alone"),
    ],
)
def test_what_is_not_understood_is_said(on_duckdb: Served, parameters: dict[str, Any], said: str) -> None:
    answer = on_duckdb.get("/marts/tiny/fct_visits", params=parameters)
    assert answer.status_code == 400 and said in answer.json()["detail"], answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["title"] == "Bad Request" and answer.json()["status"] == 400


def test_what_is_not_there(api: Served) -> None:
    for path in (
        "/marts/tiny/fct_nothing",
        "/marts/raw_club/members",
        "/marts/tiny__next/fct_visits",
        "/marts/ops/generation",
    ):
        assert api.get(path).status_code == 404, path
    assert api.get("/nothing").status_code == 404 and "/catalog" in api.get("/nothing").json()["detail"]
    assert requests.post(api.url + "/catalog", timeout=10).status_code == 405
    assert requests.get(api.url + "/health", timeout=10).json() == {"status": "ok"}


def test_what_is_known_is_not_sent_again_and_not_asked_again(api: Served) -> None:
    path = "/marts/tiny/dim_members?limit=5&sort=member_id&format=csv"
    first = api.get(path)
    with unreadable(api, "tiny.dim_members"):
        for headers in (
            {"If-None-Match": first.headers["ETag"]},
            {"If-None-Match": f'"other", {first.headers["ETag"]}'},
            {"If-Modified-Since": first.headers["Last-Modified"]},
        ):
            answer = api.get(path, headers=headers)
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == first.headers["ETag"]
    for other in ("&town=Town 1", "&as_is=true"):
        assert api.get(path + other, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    # Another key's tag is another one, though the answer looks the same.
    assert api.get(path, "api_few", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


@contextmanager
def unreadable(api: Served, table: str) -> Iterator[None]:
    """Postgres lets nobody read the table meanwhile: who asks for it waits until they give up. Nothing on DuckDB."""
    if not api.admin:
        yield
        return
    with closing(connected(api.admin)) as admin:
        ask(admin, f"begin; lock table {table} in access exclusive mode")
        yield
        ask(admin, "rollback")


def test_texts_are_compressed_where_that_is_taken(api: Served) -> None:
    path = api.url + "/marts/tiny/fct_visits?format=csv"
    key = {"Authorization": f"Bearer {api.keys['api_reporter']}"}
    plainly = requests.get(path, headers={**key, "Accept-Encoding": "identity"}, timeout=30)
    packed = requests.get(path, headers={**key, "Accept-Encoding": "gzip"}, timeout=30)
    refused = requests.get(path, headers={**key, "Accept-Encoding": "gzip;q=0"}, timeout=30)
    assert "Content-Encoding" not in plainly.headers and "Content-Encoding" not in refused.headers
    assert packed.headers["Content-Encoding"] == "gzip" and packed.text == plainly.text == refused.text
    assert int(packed.headers["Content-Length"]) < len(plainly.content) / 2
