"""A shop of a few records, written down version by version, and an API of accounts that lists what a test says."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.demo.commerce.shop_schema import TABLES, change_table_ddl, table_ddl
from ingestion.destination.target import current_target
from ingestion.load.run import load_all
from ingestion.readers.rest.client import Client, Page
from tests.warehouses import build_from, settings
from warehouse.build.build import Request
from warehouse.database import Database, open_database

# What a record is but for what a test says of it. Amounts are those of one thing for ten pounds.
USUAL: dict[str, dict[str, Any]] = {
    "users": {"first_name": "Ada", "last_name": "King", "status": "active"},
    "addresses": {"kind": "shipping", "line_1": "1 High Street", "city": "York", "country_code": "GB", "is_default": 1},
    "categories": {},
    "products": {"price_amount": 10, "currency_code": "GBP", "is_active": 1},
    "orders": {
        "status": "paid", "channel": "web", "currency_code": "GBP", "subtotal_amount": 10, "discount_amount": 0,
        "tax_amount": 0, "shipping_amount": 0, "total_amount": 10,
    },
    "order_items": {
        "line_number": 1, "kind": "sale", "quantity": 1, "unit_price_amount": 10, "discount_amount": 0, "tax_amount": 0,
    },
    "payments": {"method": "card", "status": "captured", "amount": 10, "currency_code": "GBP"},
    "refunds": {"amount": 10, "currency_code": "GBP"},
    "inventory_movements": {},
}  # fmt: skip


def user_id(number: int) -> str:
    """A user's id."""
    return f"00000000-0000-4000-8000-{number:012}"


def account(number: int, at: str, **values: object) -> dict[str, object]:
    """An account as the API lists it, last changed and, unless said otherwise, opened at a time of 2025."""
    times = {name: f"2025-{values.pop(name, at)}Z" for name in ("created_at", "updated_at")}
    usual = {"email": f"account{number}@example.com", "first_name": "Ada", "last_name": "King", "status": "active"}
    return {"id": f"acc_{number}", "profile": {}, **usual, **times, **values}


class SmallShop:
    """The shop's database, the accounts, files of other shops, and the warehouse that is built from all of them.

    Addresses are polled; everything else has a change table, and what is written down is a version of it, late ones
    too. Times are of 2025.
    """

    def __init__(self, folder: Path, engine: Mapping[str, str]):
        self.file, self.warehouse, self.engine = folder / "shop.sqlite", folder / "warehouse", dict(engine)
        self.retail = folder / "retail"
        self.retail.mkdir()
        self.accounts: list[dict[str, object]] = []
        self._run(
            *(table_ddl(table, "sqlite") for table in TABLES),
            *(change_table_ddl(table, "sqlite") for table in TABLES if table != "addresses"),
        )

    def _run(self, *statements: str, values: tuple[Any, ...] = ()) -> None:
        with closing(sqlite3.connect(self.file)) as shop, shop:
            for statement in statements:
                shop.execute(statement, values)

    def _write(self, into: str, columns: Mapping[str, Any]) -> None:
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        self._run(f"insert or replace into {into} ({names}) values ({marks})", values=tuple(columns.values()))

    def _record(self, table: str, at: str, values: Mapping[str, Any]) -> dict[str, Any]:
        times = {name: f"2025-{value}" for name, value in values.items() if name.endswith("_at")}
        moment = f"2025-{at}"
        return {"created_at": moment, **USUAL[table], **values, **times, "updated_at": moment, "version": 1}

    def log(self, table: str, at: str, **values: Any) -> None:
        """A version of a record that holds from a time on."""
        moment = f"2025-{at}"
        self._write(f"{table}_changes", {"operation": "U", "changed_at": moment, **self._record(table, at, values)})

    def put(self, at: str, **values: Any) -> None:
        """The present state of an address, changed at a time."""
        self._write("addresses", self._record("addresses", at, values))

    def drop(self, address: int) -> None:
        """Delete an address."""
        self._run("delete from addresses where id = ?", values=(address,))

    def trade(self, at: str, name: str, *sold: tuple[str, int]) -> None:
        """A day's file of a shop, written at a time: invoices, and the units of their one line."""
        header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
        day = name.removesuffix(".csv")[-10:]
        lines = [f"{invoice},M1,MUG,{units},{day} 09:30:00,2.50,,United Kingdom" for invoice, units in sold]
        (self.retail / name).write_text("\n".join([header, *lines, ""]), encoding="utf-8")
        moment = datetime.fromisoformat(f"2025-{at}+00:00").timestamp()
        os.utime(self.retail / name, (moment, moment))

    @contextmanager
    def systems(self, observed_at: str) -> Iterator[dict[str, str]]:
        """The environment in which a warehouse loads from the shop and the accounts at a time."""

        def page(client: Client, session: object, number: int, since: str | None) -> Page:
            listed = [each for each in self.accounts if str(each["updated_at"]) >= (since or "")]
            return Page.numbered(json.loads(json.dumps(listed)), number, 1, len(listed))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Client, "page", page)
            yield {
                "SOURCES__SHOP__CREDENTIALS": f"sqlite:///{self.file}",
                "SOURCES__ACCOUNTS__BASE_URL": "http://accounts.test",
                "SOURCES__ACCOUNTS__TOKEN": "t",
                "SOURCES__RETAIL__BUCKET_URL": str(self.retail),
                "GRANARY_OBSERVED_AT": f"2025-{observed_at}",
                **self.engine,
            }

    def build(self, observed_at: str, select: str | None = None) -> None:
        """Load at a time, and build what is selected, with its tests. Without a selection nothing is built."""
        with self.systems(observed_at) as systems:
            if select:
                build_from(self.warehouse, systems, Request(select=select))
                return
            with self.entered(systems):
                _, failures = load_all(current_target(), lambda line: None)
            assert failures == []

    def publish(self, observed_at: str, *, tested: bool = False) -> list[str]:
        """Load at a time, build and publish. Returns what a person would have read."""
        with self.systems(observed_at) as systems:
            return build_from(self.warehouse, systems, tested=tested)

    def entered(self, systems: Mapping[str, str] | None = None) -> AbstractContextManager[None]:
        """The environment that names this warehouse, and these systems where something is to be loaded."""
        return settings({"TARGET": "dev", **self.engine, **(systems or {}), "WAREHOUSE_DIR": str(self.warehouse)})

    def ask(self, query: Callable[[Database], str]) -> list[tuple[Any, ...]]:
        """The rows of a query, which is made of the names of the open warehouse's tables."""
        with self.entered(), open_database(current_target()) as database:
            return database.run(query(database))
