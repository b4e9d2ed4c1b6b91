"""Files that can't be read: one clear line each, the others are published, nothing is lost once they are mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.demo.commerce import serving
from tests.warehouses import build_from, opened

pytestmark = pytest.mark.slow


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
    # The reject's key has a quote in it.
    till = company / "retail" / 'till "2"_2030-01-09.csv'
    till.write_bytes(cut + whole[:-20])
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
            assert sorted(key for name, key in rejected if name == "files") == [f'["{day}","-"]' for day in days]
            assert [key for name, key in rejected if name == "sales_lines"] == [r'["2030-01-09","till \"2"]']
            sold = connection.execute("select sum(quantity) from commerce.fct_sales where document_number = '900001'")
            assert sold.fetchone() == (2,)
        for day in days:
            mended = cut + f"9{day[-2:]},A1,THING,2,{day} 08:00:00,1.5,77,France\n".encode()
            (company / "retail" / f"{day}.csv").write_bytes(mended)
        till.write_bytes(cut + whole)
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
