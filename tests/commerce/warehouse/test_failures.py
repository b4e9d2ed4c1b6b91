"""What a person sees when a source is broken: one clear line, the last good generation, nothing lost once mended."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion.demo.commerce import serving
from ingestion.demo.commerce.server import Fault
from tests.warehouses import build_from, differences, opened
from warehouse.build.build import Request
from warehouse.errors import BuildError

pytestmark = pytest.mark.slow


def assert_still_published(warehouse: Path, before: os.stat_result) -> None:
    assert (warehouse / "warehouse.duckdb").stat().st_ino == before.st_ino
    with opened(warehouse) as connection:
        row = connection.execute("select count(*) from commerce.fct_sales").fetchone()
    assert row is not None and row[0] > 100


def drop_column(company: Path) -> None:
    with sqlite3.connect(company / "shop.sqlite") as shop:
        shop.execute("drop trigger if exists orders_insert")
        for (name,) in shop.execute(
            "select name from sqlite_master where type = 'trigger' and tbl_name = 'orders'"
        ).fetchall():
            shop.execute(f"drop trigger {name}")
        shop.execute("alter table orders drop column channel")


def refuse(company: Path) -> None:
    (company / "shop.sqlite").write_bytes(b"this is no database at all, only text" * 200)


SHOP_FAILURES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a column is gone": (drop_column, "orders has lost the column channel"),
    "not a database": (refuse, "shop: the database .* refuses"),
}


def test_a_broken_database_leaves_the_last_generation(running: tuple[Path, Path]) -> None:
    company, warehouse = running
    sound = company / "shop.sound"
    shutil.copyfile(company / "shop.sqlite", sound)
    before = (warehouse / "warehouse.duckdb").stat()
    with serving(company, faults=[]) as systems:
        for breaking, message in SHOP_FAILURES.values():
            breaking(company)
            with pytest.raises(BuildError, match=message):
                build_from(warehouse, systems, tested=False)
            assert_still_published(warehouse, before)
            shutil.copyfile(sound, company / "shop.sqlite")
        build_from(warehouse, systems, tested=False)
    with opened(warehouse) as connection:
        rows = connection.execute(
            "select sum(source_count - loaded_count - known_count - rejected_count) from ops.ops_loads"
        )
        assert rows.fetchone() == (0,)


API_FAILURES = {
    "dies in the middle of page 3": [Fault("disconnect", page=3)] * 20,
    "answers with a web page": [Fault("html", request=1)] * 20,
    "goes on answering 500": [Fault("500", request=1, retry_after=0)] * 40,
}


def test_a_broken_api_leaves_the_last_generation(running: tuple[Path, Path]) -> None:
    """What doesn't mend stops the build; an API that only asks for patience gets it."""
    company, warehouse = running
    before = (warehouse / "warehouse.duckdb").stat()
    quick = {
        "SOURCES__ACCOUNTS__PAGE_SIZE": "20",
        "SOURCES__ACCOUNTS__MAX_ATTEMPTS": "2",
        "SOURCES__ACCOUNTS__LAG_MINUTES": "999999",
    }
    for faults in API_FAILURES.values():
        with serving(company, faults=faults) as systems:
            with pytest.raises(BuildError, match="accounts: "):
                build_from(warehouse, {**systems, **quick}, tested=False)
            assert_still_published(warehouse, before)
    patience = [Fault("429", request=1, retry_after=0), Fault("503", request=2, retry_after=0)]
    with serving(company, faults=patience) as systems:
        lines = build_from(warehouse, {**systems, **quick, "SOURCES__ACCOUNTS__MAX_ATTEMPTS": "3"}, tested=False)
    assert any("is published" in line for line in lines)


FILES = {
    "missing column": b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
    b"1,A,B,1,2024-01-01 08:00:00,1,2\n",
    "latin-1": "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    "1,A,CAFÉ,1,2024-01-01 08:00:00,1.0,2,France\n".encode("latin-1"),
    "empty": b"",
    "binary": bytes(range(256)) * 20,
}


def test_bad_files_are_rejected_and_the_rest_is_published(running: tuple[Path, Path]) -> None:
    """Each bad file is one reject and one note; mended, it is loaded and its reject resolved."""
    company, warehouse = running
    days = [f"2030-01-{number:02d}" for number in range(1, len(FILES) + 1)]
    for day, content in zip(days, FILES.values(), strict=True):
        (company / "retail" / f"{day}.csv").write_bytes(content)
    cut = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    whole = (
        b"900001,A1,THING,2,2030-01-09 08:00:00,1.5,77,France\n900002,A1,THING,1,2030-01-09 09:00:00,1.5,77,France\n"
    )
    (company / "retail" / "2030-01-09.csv").write_bytes(cut + whole[:-20])
    with serving(company, faults=[]) as systems:
        lines = build_from(warehouse, systems, tested=False)
        for day in days:
            assert any(line.startswith("note: ") and day in line for line in lines), (
                f"nothing was said of {day}: {lines[-20:]}"
            )
        with opened(warehouse) as connection:
            rejected = connection.execute(
                "select resource_name, record_key from ops.ops_rejects "
                "where record_key like '%2030-01-%' and not is_resolved"
            ).fetchall()
            assert sorted(key for name, key in rejected if name == "files") == [f'["{day}"]' for day in days]
            assert [key for name, key in rejected if name == "sales_lines"] == ['["2030-01-09"]']
            sold = connection.execute("select sum(quantity) from commerce.fct_sales where document_number = '900001'")
            assert sold.fetchone() == (2,)
        for day in days:
            mended = cut + f"9{day[-2:]},A1,THING,2,{day} 08:00:00,1.5,77,France\n".encode()
            (company / "retail" / f"{day}.csv").write_bytes(mended)
        (company / "retail" / "2030-01-09.csv").write_bytes(cut + whole)
        build_from(warehouse, systems, tested=False)
    with opened(warehouse) as connection:
        open_ones = connection.execute(
            "select resource_name, record_key, reasons from ops.ops_rejects "
            "where record_key like '%2030-01-%' and not is_resolved"
        ).fetchall()
        assert open_ones == []
        row = connection.execute(
            "select count(*) from commerce.fct_sales where business_date >= date '2030-01-01'"
        ).fetchone()
        assert row == (len(FILES) + 2,)


def test_a_type_changed_to_text_rejects_only_what_is_no_number(running: tuple[Path, Path]) -> None:
    """SQLite lets a column's values become text; those that still read as numbers load, the others are rejects."""
    company, warehouse = running
    with sqlite3.connect(company / "shop.sqlite") as shop:
        shop.execute("update payments set amount = 'twelve', updated_at = '2030-01-01 00:00:00' where id = 1")
        shop.execute("update payments set amount = '12.34', updated_at = '2030-01-01 00:00:00' where id = 2")
    with serving(company, faults=[]) as systems:
        build_from(warehouse, systems, tested=False)
    with opened(warehouse) as connection:
        reasons = connection.execute(
            "select reasons from ops.ops_rejects where resource_name = 'payments' and not is_resolved"
        ).fetchall()
        assert reasons == [('["type:amount"]',)]
        amount = connection.execute("select payment_amount from commerce.fct_payments where payment_id = 2").fetchone()
        assert amount is not None and float(amount[0]) == 12.34


def test_a_failure_leaves_no_trace_in_the_next_build(running: tuple[Path, Path], tmp_path: Path) -> None:
    """A build that failed in one source has loaded the others; what the next one publishes is what all of raw says."""
    company, warehouse = running
    with serving(company, faults=[Fault("html", request=1)] * 20) as systems, pytest.raises(BuildError):
        build_from(warehouse, {**systems, "SOURCES__ACCOUNTS__MAX_ATTEMPTS": "2"}, tested=False)
    with serving(company, faults=[]) as systems:
        build_from(warehouse, systems, tested=False)
        before = tmp_path / "before"
        before.mkdir()
        shutil.copyfile(warehouse / "warehouse.duckdb", before / "warehouse.duckdb")
        build_from(warehouse, systems, Request(full=True), tested=False)
    assert differences(before, warehouse) == {}
