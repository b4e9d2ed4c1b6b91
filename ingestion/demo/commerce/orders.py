"""The shop's orders, from placing to the lines that come late, are corrected or mended."""

from __future__ import annotations

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR, stamp

from .clock import london_date
from .company import Company, Row, audit, delete, insert, new_id, update
from .open_orders import Order, note_line, pence, retire
from .payments import plan_payments
from .vocabulary import COUNTRIES, RATES

_CHANNELS = ("web", "web", "web", "web", "mobile_app", "mobile_app", "mobile_app", "marketplace", "phone")
_METHODS = ("card", "card", "card", "card", "card", "paypal", "paypal", "bank_transfer", "gift_card")


@on("order.place")
def place_order(company: Company, t: int, user_id: str | None = None) -> None:
    """Somebody orders: the order, its lines, and a pending payment."""
    rng = company.rng
    if user_id is None:
        if not company.shoppers:
            return
        user_id = company.shoppers[int(len(company.shoppers) * rng.random() ** 1.4)]
    elif user_id not in company.users:
        return
    address_id = company.homes[user_id][0]
    _, currency, tax_rate, _ = COUNTRIES[company.addresses[address_id]["country_code"]]
    method = rng.choice(_METHODS)
    order_id = new_id(company, "orders")
    row = {
        "id": order_id,
        "user_id": user_id,
        "status": "placed",
        "channel": rng.choice(_CHANNELS),
        "currency_code": currency,
        "shipping_address_id": address_id,
        "subtotal_amount": 0,
        "discount_amount": 0,
        "tax_amount": 0,
        "shipping_amount": 0,
        "total_amount": 0,
        "placed_at": stamp(t),
        "paid_at": None,
        "shipped_at": None,
        "delivered_at": None,
        "cancelled_at": None,
        **audit(t),
    }
    order: Order = {"row": row, "date": london_date(t), "lines": [], "payments": [], "captured": [], "refunded": []}
    order.update(late=None, fragile=False, correctable=False)
    wordy = bool(company.wishes.get("quantity_text"))
    lines = _choose_lines(company, t, order_id, RATES[currency], tax_rate, 2 if wordy else None)
    sums = [sum(pence(line[column]) for line in lines) for column in ("discount_amount", "tax_amount")]
    subtotal = sum(line["quantity"] * pence(line["unit_price_amount"]) for line in lines)
    shipping = 0 if subtotal > 5000 else 395 * RATES[currency] // 1000
    row["shipping_amount"] = shipping / 100
    _set_amounts(row, subtotal, sums[0], sums[1])
    company.orders[order_id] = order
    insert(company, "orders", row, t)

    if wordy:
        # The quantity of two is entered as a word; the order's amounts are right all the same.
        order["fragile"], lines[0]["quantity"] = True, "two"
        company.broken[("order_items", lines[0]["id"])] = "type:quantity"
        days = company.wishes["quantity_text"].pop()
        if days is not None:
            schedule(company, t + days * DAY, "order.mend_line", order_id, lines[0]["id"])
    elif company.wishes.get("line_corrected") and len(lines) > 1:
        company.wishes["line_corrected"].pop()
        order["correctable"], method = True, "bank_transfer"
        schedule(company, t + rng.randrange(HOUR, 5 * HOUR), "order.correct", order_id)
    elif len(lines) > 1 and rng.random() < 0.02:
        order["late"] = lines.pop()
        schedule(company, t + DAY - t % DAY + rng.randrange(12 * HOUR), "order.late_line", order_id)
    for line in lines:
        _add_line(company, t, order, line)
    plan_payments(company, t, order, method)


def _choose_lines(
    company: Company, t: int, order_id: int, rate: int, tax_rate: int, first_quantity: int | None
) -> list[Row]:
    """The lines of a new order; nothing is written yet. `first_quantity`: how many of the first product."""
    rng = company.rng
    chosen: dict[int, None] = {}
    for _ in range(min(6, 1 + int(rng.expovariate(0.54)))):
        chosen[company.sellable[int(len(company.sellable) * rng.random() ** 1.6)]] = None
    lines: list[Row] = []
    for product_id in chosen:
        price = company.prices[product_id] * rate // 1000
        quantity = 1 if rng.random() < 0.7 else rng.randrange(2, 5)
        quantity = first_quantity if first_quantity and not lines else quantity
        discount = quantity * price // 10 if rng.random() < 0.15 else 0
        lines.append(
            _line(company, t, order_id, len(lines) + 1, "sale", product_id, quantity, price, discount, tax_rate)
        )
    if rng.random() < 0.08:
        price = 250 * rate // 1000
        lines.append(_line(company, t, order_id, len(lines) + 1, "service", None, 1, price, 0, tax_rate))
    return lines


def _line(
    company: Company,
    t: int,
    order_id: int,
    number: int,
    kind: str,
    product_id: int | None,
    quantity: int,
    price: int,
    discount: int,
    tax_rate: int,
) -> Row:
    return {
        "id": new_id(company, "order_items"),
        "order_id": order_id,
        "line_number": number,
        "kind": kind,
        "product_id": product_id,
        "quantity": quantity,
        "unit_price_amount": price / 100,
        "discount_amount": discount / 100,
        "tax_amount": ((quantity * price - discount) * tax_rate + 50) // 100 / 100,
        "original_item_id": None,
        **audit(t),
    }


def _set_amounts(row: Row, subtotal: int, discount: int, tax: int) -> None:
    row["subtotal_amount"] = subtotal / 100
    row["discount_amount"] = discount / 100
    row["tax_amount"] = tax / 100
    row["total_amount"] = (subtotal - discount + tax + pence(row["shipping_amount"])) / 100


def _add_line(company: Company, t: int, order: Order, line: Row) -> None:
    order["lines"].append(line)
    insert(company, "order_items", line, t)
    if ("order_items", line["id"]) not in company.broken:
        note_line(company, order, line, 1)


@on("order.late_line")
def add_late_line(company: Company, t: int, order_id: int) -> None:
    """A line reaches the database a day after its order."""
    order = company.orders[order_id]
    line, order["late"] = order["late"], None
    line.update(audit(t))
    _add_line(company, t, order, line)


@on("order.correct")
def correct_order(company: Company, t: int, order_id: int) -> None:
    """A line was entered by mistake: it is deleted, and the order and its payment come to less."""
    order = company.orders[order_id]
    row, line = order["row"], order["lines"].pop()
    delete(company, "order_items", line, t)
    note_line(company, order, line, -1)
    gross = line["quantity"] * pence(line["unit_price_amount"])
    _set_amounts(
        row,
        pence(row["subtotal_amount"]) - gross,
        pence(row["discount_amount"]) - pence(line["discount_amount"]),
        pence(row["tax_amount"]) - pence(line["tax_amount"]),
    )
    update(company, "orders", row, t)
    update(company, "payments", order["payments"][0], t, amount=row["total_amount"])


@on("order.mend_line")
def mend_line(company: Company, t: int, order_id: int, line_id: int) -> None:
    """The word becomes the number that it means."""
    order = company.orders[order_id]
    line = next(line for line in order["lines"] if line["id"] == line_id)
    company.broken.pop(("order_items", line_id))
    update(company, "order_items", line, t, quantity=2)
    note_line(company, order, line, 1)
    order["fragile"] = False
    if order["row"]["delivered_at"]:
        retire(company, order)
