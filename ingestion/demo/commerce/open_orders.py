"""An order that something may still happen to: what is kept of it, and how it is noted for the truth.

It is kept in `Company.orders`: its row, its lines, its payments and a few marks. Money is in pence in the simulation
and in decimals in the rows.
"""

from __future__ import annotations

from typing import Any

from .company import Company, Row
from .truth import note_sale

Order = dict[str, Any]


def pence(amount: float) -> int:
    """A row's amount in pence."""
    return round(amount * 100)


def note_line(company: Company, order: Order, line: Row, sign: int) -> None:
    """Count a line in the day's sales, or take it back: original lines on the order's day, reversals on their own."""
    quantity = line["quantity"]
    measures = (
        quantity,
        quantity * pence(line["unit_price_amount"]) * 10,
        pence(line["discount_amount"]) * 10,
        pence(line["tax_amount"]) * 10,
    )
    date = order["date"] if line["original_item_id"] is None else line["date"]
    note_sale(company.truth, ("shop", date, order["row"]["currency_code"], line["kind"]), sign, measures)


def retire(company: Company, order: Order) -> None:
    """Nothing will happen to the order any more: note it for good and forget it."""
    note_order(company, order)
    del company.orders[order["row"]["id"]]


def note_order(company: Company, order: Order) -> None:
    """Note an order's state for the truth."""
    row = order["row"]
    values = (
        *(row[column] for column in ("id", "status", "user_id", "channel", "currency_code")),
        *(row[column] for column in ("placed_at", "paid_at", "shipped_at", "delivered_at", "cancelled_at")),
        *(f"{row[f'{name}_amount']:.2f}" for name in ("subtotal", "discount", "tax", "shipping", "total")),
        f"{sum(order['captured']) / 100:.2f}",
        f"{sum(order['refunded']) / 100:.2f}",
    )
    company.batch.truth.orders[row["id"]] = values
