"""The layout of the retail business's daily files: their columns, the day in their names, how lines are numbered."""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import date
from pathlib import Path

from ingestion.load.extracts import Extract, Reader
from ingestion.readers import files
from ingestion.sql import folded

# The columns that every file has, and raw's names of them.
COLUMNS = {
    "InvoiceNo": "invoice_no",
    "StockCode": "stock_code",
    "Description": "description",
    "Quantity": "quantity",
    "InvoiceDate": "invoice_date",
    "UnitPrice": "unit_price",
    "CustomerID": "customer_id",
    "Country": "country",
}
_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The files that are new or changed since the last load, and their lines.

    Raises:
        SourceError: the folder can't be read. A file that can't is a reject, and the others go on.
    """
    yield from files.extracts(reader, DAILY_SALES)


def _trading_date(name: str) -> date | None:
    match = _DATE.search(Path(name).name)
    try:
        return date.fromisoformat(match[0]) if match else None
    except ValueError:
        return None


def _series(name: str) -> str:
    """What the name says before its date, with its folder but for the dates in that; `-` where it says nothing.

    `leeds_2024-05-01.csv` is of the series `leeds`.
    """
    path = Path(name)
    before = str(path.parent / _DATE.split(path.name)[0])
    return re.sub(r"^[\W_]+|[\W_]+$", "", _DATE.sub("", before).lower()) or "-"


# As the macro `retail_invoice_no` has it, but for the case.
_INVOICE = folded('p."InvoiceNo"')

DAILY_SALES = files.Layout(
    files="files",
    records="sales_lines",
    columns=COLUMNS,
    period="trading_date",
    period_of=_trading_date,
    series_of=_series,
    no_period="no trading date (YYYY-MM-DD) in its name",
    # A line has no number of its own: it is named by its place within its invoice, as the file has it.
    computed={"line_number": f"row_number() over (partition by p.path, {_INVOICE} order by p.rowid)"},
)
