"""The delivery of the shop's orders, and what takes them back: returns and cancellations."""

from __future__ import annotations

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR, stamp

from .catalogue import move, reorder
from .clock import london_date
from .company import Company, Row, audit, insert, new_id, update
from .open_orders import Order, note_line, pence, retire
from .payments import refund
from .vocabulary import REFUND_REASONS


@on("order.ship")
def ship_order(company: Company, t: int, order_id: int) -> None:
    """Goods leave the stock, if all of them are there; if not, the order waits."""
    order = company.orders[order_id]
    sales = [(line["product_id"], _quantity(line)) for line in order["lines"] if line["kind"] == "sale"]
    short = [product_id for product_id, quantity in sales if company.stock[product_id] < quantity]
    if short or order["late"]:
        for product_id in short:
            reorder(company, t, product_id)
        schedule(company, t + company.rng.randrange(10 * HOUR, 30 * HOUR), "order.ship", order_id)
        return
    for product_id, quantity in sales:
        move(company, t, product_id, "sale", -quantity, order_id)
    update(company, "orders", order["row"], t, status="shipped", shipped_at=stamp(t))
    schedule(company, t + company.rng.randrange(16 * HOUR, 4 * DAY), "order.deliver", order_id)


def _quantity(line: Row) -> int:
    return 2 if line["quantity"] == "two" else int(line["quantity"])


@on("order.deliver")
def deliver_order(company: Company, t: int, order_id: int) -> None:
    """The goods arrive; some come back later, and now and then money goes back much later."""
    order, rng = company.orders[order_id], company.rng
    update(company, "orders", order["row"], t, status="delivered", delivered_at=stamp(t))
    if order["fragile"]:
        return
    if company.wishes.get("late_refund"):
        schedule(company, t + company.wishes["late_refund"].pop() * DAY, "order.refund", order_id)
    elif rng.random() < 0.065:
        schedule(company, t + rng.randrange(2 * DAY, 20 * DAY), "order.return", order_id)
    elif rng.random() < 0.006:
        schedule(company, t + rng.randrange(20 * DAY, 200 * DAY), "order.refund", order_id)
    else:
        retire(company, order)


def _reverse(company: Company, t: int, order: Order, line: Row, quantity: int, kind: str) -> int:
    """Append a line that takes back `quantity` of a line; returns the pence to pay back."""
    whole: int = line["quantity"]
    discount = pence(line["discount_amount"]) * quantity // whole
    tax = pence(line["tax_amount"]) * quantity // whole
    reversal = {
        "id": new_id(company, "order_items"),
        "order_id": line["order_id"],
        "line_number": max(other["line_number"] for other in order["lines"]) + 1,
        "kind": kind,
        "product_id": line["product_id"],
        "quantity": -quantity,
        "unit_price_amount": line["unit_price_amount"],
        "discount_amount": -discount / 100 if discount else 0,
        "tax_amount": -tax / 100 if tax else 0,
        "original_item_id": line["id"],
        **audit(t),
    }
    order["lines"].append(reversal)
    insert(company, "order_items", reversal, t)
    note_line(company, order, reversal | {"date": london_date(t)}, 1)
    return quantity * pence(line["unit_price_amount"]) - discount + tax


@on("order.return")
def return_goods(company: Company, t: int, order_id: int) -> None:
    """Goods come back, all of them or some: return lines, stock, and money."""
    order, rng = company.orders[order_id], company.rng
    sales = [line for line in order["lines"] if line["kind"] == "sale"]
    wholly = rng.random() < 0.35
    amount = 0
    for line in sales if wholly else rng.sample(sales, rng.randrange(1, len(sales) + 1)):
        quantity = line["quantity"] if wholly else rng.randrange(1, line["quantity"] + 1)
        amount += _reverse(company, t, order, line, quantity, "return")
        move(company, t, line["product_id"], "return", quantity, order_id)
    if wholly:
        update(company, "orders", order["row"], t, status="returned")
    refund(company, t, order, amount, rng.choice(REFUND_REASONS))
    retire(company, order)


@on("order.cancel")
def cancel_order(company: Company, t: int, order_id: int) -> None:
    """An order is cancelled before shipping: every line is reversed, money that has arrived goes back."""
    order = company.orders[order_id]
    for line in list(order["lines"]):
        _reverse(company, t, order, line, line["quantity"], "cancellation")
    update(company, "orders", order["row"], t, status="cancelled", cancelled_at=stamp(t))
    for number, payment in enumerate(order["payments"]):
        if payment["status"] == "pending":
            update(company, "payments", payment, t, status="failed")
        elif order["captured"][number]:
            refund(company, t, order, order["captured"][number], "order cancelled")
    retire(company, order)
