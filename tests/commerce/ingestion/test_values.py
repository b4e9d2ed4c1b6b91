"""Values that a database holds and a warehouse can't, or that what reads them would change: exact, or a reject."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from ingestion.contract.contracts import Column, Source, Table
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.load.loading import load
from ingestion.readers import sql
from tests.commerce.ingestion.shops import DIALECTS, MODES, Shop, at, each, load_shop, user_id
from tests.conftest import on_server
from tests.ingestion.loads import ask

# Where a product's price is read without a loss, and as what; None where it has to be rejected.
WIDE = {"postgres": "numeric(60, 4)", "mysql": "decimal(60, 4)", "sqlite": "text"}
PRICES = {
    # SQLite keeps such a number as a real, which has lost its last digits.
    "12345678901234.5678": {"postgres": True, "sqlite": False, "mysql": True},
    "9007199254740.9931": {"postgres": True, "sqlite": False, "mysql": True},
    "123456789.1234": {"postgres": True, "sqlite": True, "mysql": True},
    "99999999999999.9999": {"postgres": True, "sqlite": False, "mysql": True},
    "100000000000000": {"postgres": False, "sqlite": False, "mysql": False},
    "0.0001": {"postgres": True, "sqlite": True, "mysql": True},
    "NaN": {"postgres": False, "sqlite": False},
    "Infinity": {"sqlite": False},
    "1e2": {"sqlite": True},
}


def product(number: int, price: str) -> str:
    return (
        "insert into products (id, sku, name, category_id, price_amount, currency_code, is_active, created_at, "
        f"updated_at, version) values ({number}, 'P{number}', 'Mug', 1, '{price}', 'GBP', true, '2025-06-01', "
        "'2025-06-01', 1)"
    )


def order(number: int, placed_at: str, updated_at: str = "2025-06-01 12:00:00") -> str:
    return (
        "insert into orders (id, user_id, status, channel, currency_code, subtotal_amount, discount_amount, "
        "tax_amount, shipping_amount, total_amount, placed_at, created_at, updated_at, version) values "
        f"({number}, '{user_id(1)}', 'placed', 'web', 'GBP', 10, 0, 0, 0, 10, '{placed_at}', '2025-06-01', "
        f"'{updated_at}', 1)"
    )


def rejected(warehouse: Target, column: str) -> dict[int, tuple[list[str], Any]]:
    """What was rejected, by the record's id: the reasons, and the column's value as it is kept."""
    rows = ask(warehouse, "select record, reasons from raw_shop.rejects")
    return {
        int(record["id"]): (json.loads(reasons), record[column])
        for record, reasons in ((json.loads(text), reasons) for text, reasons in rows)
    }


def widen(database: Shop, *columns: str) -> None:
    """Give columns of products a type that holds more than any decimal of DuckDB's; SQLite's hold anything."""
    for table in ("products", "products_changes"):
        for column in columns:
            if database.dialect == "mysql":
                database.run(f"alter table {table} modify {column} {WIDE['mysql']}")
            elif database.dialect == "postgres":
                database.run(f"alter table {table} alter {column} type {WIDE['postgres']}")


@each(DIALECTS, *MODES)
def test_a_number_is_read_exactly_or_rejected(database: Shop, mode: str, warehouse: Target) -> None:
    database.create()
    widen(database, "price_amount")
    database.follow(mode)
    prices = [(text, by[database.dialect]) for text, by in PRICES.items() if database.dialect in by]
    database.run(*(product(number, text) for number, (text, _) in enumerate(prices)))
    load_shop(warehouse, at(2), "products")
    loaded = dict(ask(warehouse, "select id, price_amount from raw_shop.products"))
    assert loaded == {number: Decimal(text) for number, (text, is_exact) in enumerate(prices) if is_exact}
    broken = rejected(warehouse, "price_amount")
    assert {number: reasons for number, (reasons, _) in broken.items()} == {
        number: ["type:price_amount"] for number, (_, is_exact) in enumerate(prices) if not is_exact
    }
    if database.dialect == "postgres":
        kept = {number: Decimal(value) for number, (_, value) in broken.items()}
        assert {n: str(value) for n, value in kept.items()} == {4: "100000000000000.0000", 6: "NaN"}


@pytest.mark.postgres
@each(["postgres"], *MODES)
def test_nan_in_an_amount_of_two_places(database: Shop, mode: str, warehouse: Target) -> None:
    database.create()
    database.follow(mode)
    database.run(product(1, "NaN"), product(2, "3.14"))
    load_shop(warehouse, at(2), "products")
    assert ask(warehouse, "select id, price_amount from raw_shop.products") == [(2, Decimal("3.14"))]
    assert rejected(warehouse, "price_amount") == {1: (["type:price_amount"], "NaN")}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_text_that_is_none_rejects_its_record_alone(database: Shop, mode: str, warehouse: Target) -> None:
    database.create()
    database.follow(mode)
    database.run(
        product(1, "1"), product(2, "2"), "update products set name = cast(x'636166e9' as text) where id = 1",
        "update products_changes set name = cast(x'636166e9' as text) where id = 1",
    )  # fmt: skip
    load_shop(warehouse, at(2), "products")
    assert ask(warehouse, "select distinct id from raw_shop.products") == [(2,)]
    assert rejected(warehouse, "name") == {1: (["type:name"], "\0caf\\xE9")}
    # It is known when it is read again, and loaded when it is mended.
    assert load_shop(warehouse, at(2), "products")["products"].rejected == 0
    database.run("update products set name = 'café', updated_at = '2025-06-02', version = 2 where id = 1")
    assert load_shop(warehouse, at(3), "products")["products"].loaded == 1


@pytest.mark.postgres
@pytest.mark.parametrize("mode", ["polling", "compare"])
def test_bytes_that_an_unchecked_postgres_takes_for_text(
    mode: str, postgres_server: dict[str, str], warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"unchecked_{os.getpid()}"
    on_server(
        postgres_server, f"drop database if exists {name}",
        f"create database {name} encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'",
    )  # fmt: skip
    known = {**postgres_server, "dbname": name}
    on_server(
        known, "create table things (id int primary key, name text, size numeric(4,1), updated_at timestamp)",
        "insert into things values (1, e'caf\\xe9', 1.5, '2025-06-01'), "
        "(2, e'caf\\xc3\\xa9', 2.5, '2025-06-01'), (3, null, 1, null)",
    )  # fmt: skip
    columns = (Column("id", "bigint", required=True), Column("name", "text"), Column("size", "numeric(9,2)"),
               Column("updated_at", "timestamp"))  # fmt: skip
    contract = Source("plain", "raw_plain", (Table("plain", "things", columns, ("id",), ("id",)),), reader="sql")
    url = f"postgresql://{known['user']}@/{name}?host={known['host']}&port={known['port']}"
    monkeypatch.setenv("SOURCES__PLAIN__CREDENTIALS", url)
    monkeypatch.setenv("SOURCES__PLAIN__FOLLOW", mode)
    load(contract, sql.extracts, warehouse, at(2))
    assert ask(warehouse, "select id, name, size from raw_plain.things order by id") == [
        (2, "café", Decimal("2.50")), (3, None, Decimal("1.00")),
    ]  # fmt: skip
    [(record,)] = ask(warehouse, "select record from raw_plain.rejects")
    assert json.loads(record)["name"] == "\0caf\\xE9"


TIMES = {
    "postgres": ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "294276-12-31 23:59:59"],
    "sqlite": ["infinity", "-infinity", "epoch", "now", "today", "noon", "9999999-01-01", "2025-02-30 12:00:00"],
    "mysql": ["0000-00-00 00:00:00", "2025-00-00 00:00:00"],
}


@each(DIALECTS, *MODES)
def test_a_time_at_which_nothing_happens_is_rejected(database: Shop, mode: str, warehouse: Target) -> None:
    database.create()
    database.follow(mode)
    if database.dialect == "mysql":
        database.run("set global sql_mode = ''")
    times = TIMES[database.dialect]
    database.run(*(order(number, text) for number, text in enumerate(times)), order(99, "2025-06-01 12:00:00"))
    load_shop(warehouse, at(2), "orders")
    assert ask(warehouse, "select id, placed_at from raw_shop.orders") == [(99, datetime(2025, 6, 1, 12))]  # noqa: DTZ001
    reasons = {number: found for number, (found, _) in rejected(warehouse, "placed_at").items()}
    assert set(reasons) == set(range(len(times)))
    assert all({*each} & {"type:placed_at", "range:placed_at", "missing:placed_at"} for each in reasons.values())


@each(["mysql"], *MODES, "compare")
def test_a_day_that_mysql_knows_in_part_is_a_reject(database: Shop, mode: str, warehouse: Target) -> None:
    """All zeroes are MySQL's way to say that there is none; a year alone is a day that raw can't have."""
    database.create()
    database.follow(mode)
    database.run("set global sql_mode = ''")
    database.run(order(1, "2025-06-01 12:00:00"), order(2, "2025-06-01 13:00:00.25"), order(3, "2025-06-01 12:00:00"))
    for table in ("orders", "orders_changes"):
        database.run(
            f"alter table {table} add column promised_on date", f"alter table {table} modify placed_at datetime(6)",
            f"update {table} set promised_on = '2025-00-00' where id = 1",
            f"update {table} set promised_on = '0000-00-00' where id = 3",
        )  # fmt: skip
    contract = read_contract("shop")
    orders = contract.table("orders")
    grown = replace(
        orders, columns=(*orders.columns, Column("promised_on", "date", plausible=("1900-01-01", "2100-01-01")))
    )
    load(replace(contract, tables=(grown,)), sql.extracts, warehouse, at(2))
    assert ask(warehouse, "select distinct id, promised_on, placed_at from raw_shop.orders order by id") == [
        (2, None, datetime(2025, 6, 1, 13)), (3, None, datetime(2025, 6, 1, 12)),  # noqa: DTZ001
    ]  # fmt: skip
    assert rejected(warehouse, "promised_on") == {1: (["type:promised_on"], "2025-00-00")}


@each(DIALECTS[:2], *MODES)
def test_a_version_from_a_time_at_which_nothing_happens(database: Shop, mode: str, warehouse: Target) -> None:
    """It is rejected for the column; and the cursor stays where it can go on from."""
    database.create()
    database.follow(mode)
    database.run(order(1, "2025-06-01 12:00:00", "infinity"), order(2, "2025-06-01 12:00:00"))
    load_shop(warehouse, at(2), "orders")
    assert ask(warehouse, "select id from raw_shop.orders") == [(2,)]
    assert "type:updated_at" in rejected(warehouse, "updated_at")[1][0]
    database.run(order(3, "2025-06-02 12:00:00", "2025-06-02 12:00:00"))
    again = load_shop(warehouse, at(3), "orders")["orders"]
    assert (again.loaded, again.rejected) == (1, 0)
