"""Tables and columns that nobody would call so in a warehouse, in two schemas, followed in every way."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import pytest

from ingestion.contract.contracts import Column, Source, Table
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded
from ingestion.load.loading import load
from ingestion.load.run import reader_of
from tests.commerce.ingestion.shops import DIALECTS, Shop, at, each
from tests.ingestion.loads import ask

COLUMNS = (
    Column("order_id", "bigint", source_name="Order ID", required=True),
    Column("customer_name", "text", source_name='Customer "Name"', privacy="direct_identifier"),
    Column("group", "text"),
    Column("price_amount", "numeric(12,2)", source_name="Preis, €"),
    Column("changed_at", "timestamp", source_name="Changed.At"),
)
LINES = Table(
    "odd",
    "order_lines",
    COLUMNS,
    ("order_id",),
    ("order_id",),
    meta={"source_name": "Order Lines, 2.0", "modified_at": "changed_at"},
)


def named(dialect: str, name: str, schema: str = "Back Office") -> str:
    """A name as this database writes it; only Postgres has several schemas in one."""
    if dialect == "mysql":
        return f"`{name}`"
    text = '"' + name.replace('"', '""') + '"'
    return f'"{schema}".{text}' if dialect == "postgres" and schema else text


class Named(Protocol):
    """A database, as far as its names go."""

    dialect: str
    url: str


def sold(database: Named, number: int, day: int, price: str, group: str = "a") -> str:
    """An order is written down, or again."""
    columns = ", ".join(named(database.dialect, column.at_source, "") for column in COLUMNS)
    table = named(database.dialect, LINES.at_source)
    values = f"{number}, 'Ada {number}', '{group}', {price}, '2025-06-0{day} 10:00:00'"
    return f"insert into {table} ({columns}) values ({values})"


def create(database: Named) -> list[str]:
    """Statements that make the table, and in another schema one that is called as raw calls it."""
    kinds = {"bigint": "bigint", "text": "varchar(40)", "numeric(12,2)": "numeric(12,2)", "timestamp": "timestamp null"}
    own = [f"{named(database.dialect, c.at_source, '')} {kinds[c.data_type]}" for c in COLUMNS]
    key = named(database.dialect, COLUMNS[0].at_source, "")
    made = f"create table {named(database.dialect, LINES.at_source)} ({', '.join(own)}, primary key ({key}))"
    other = f"create table {named(database.dialect, 'order_lines', 'public')} (order_id bigint)"
    return ['create schema "Back Office"', made, other] if database.dialect == "postgres" else [made, other]


def loaded(database: Named, warehouse: Target, day: int, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    there = {"source_schema": "Back Office"} if database.dialect == "postgres" else {}
    table = replace(LINES, meta={**LINES.meta, **there})
    monkeypatch.setenv("SOURCES__ODD__CREDENTIALS", database.url)
    contract = Source("odd", "raw_odd", (table,), reader="sql")
    (found,) = load(contract, reader_of(contract).extracts, warehouse, at(day))
    return found


@each(DIALECTS, "polling", "compare")
def test_odd_names_are_found_again(
    database: Shop, mode: str, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__ODD__FOLLOW", mode)
    database.run(*create(database), *(sold(database, number, 1, "1.50") for number in range(1, 5)))
    assert loaded(database, warehouse, 1, monkeypatch).loaded == 4
    again = loaded(database, warehouse, 2, monkeypatch)
    assert (again.loaded, again.deleted, again.rejected) == (0, 0, 0)
    table, key = named(database.dialect, LINES.at_source), named(database.dialect, "Order ID", "")
    database.run(f"delete from {table} where {key} < 3", sold(database, 2, 3, "2.75", "b"), sold(database, 9, 3, "9"))
    monkeypatch.setenv("SOURCES__ODD__MAX_DELETE_SHARE", "0.5")
    found = loaded(database, warehouse, 4, monkeypatch)
    assert (found.loaded, found.deleted) == (2, 1)
    rows = ask(
        warehouse,
        """
        select order_id, "group", price_amount, _operation from raw_odd.order_lines order by order_id, _observed_at""",
    )
    assert [(number, group, float(price), operation) for number, group, price, operation in rows] == [
        (1, "a", 1.5, "U"), (1, "a", 1.5, "D"), (2, "a", 1.5, "U"), (2, "b", 2.75, "U"), (3, "a", 1.5, "U"),
        (4, "a", 1.5, "U"), (9, "a", 9.0, "U"),
    ]  # fmt: skip
    assert ask(warehouse, "select count(*) from raw_odd.order_lines where customer_name like '%Ada%'") == [(0,)]
