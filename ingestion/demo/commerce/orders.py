"""The shop's orders, from placing to delivery, with their payments, cancellations, returns and refunds.

An order that something may still happen to is kept in `Company.orders`: its row, its lines, its payments and a few
marks. Money is in pence here and in decimals in the rows.
"""

from __future__ import annotations

from typing import Any

from .catalogue import move, reorder
from .clock import DAY, HOUR, MINUTE, london_date, stamp
from .company import Company, Row, audit, delete, insert, new_id, on, schedule, update
from .truth import note_amount, note_sale
from .vocabulary import COUNTRIES, RATES, REFUND_REASONS

Order = dict[str, Any]

_CHANNELS = ("web", "web", "web", "web", "mobile_app", "mobile_app", "mobile_app", "marketplace", "phone")
_METHODS = ("card", "card", "card", "card", "card", "paypal", "paypal", "bank_transfer", "gift_card")


def pence(amount: float) -> int:
    """A row's amount in pence."""
    return round(amount * 100)


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
    _plan_payments(company, t, order, method)


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


def _note_line(company: Company, order: Order, line: Row, sign: int) -> None:
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


def _add_line(company: Company, t: int, order: Order, line: Row) -> None:
    order["lines"].append(line)
    insert(company, "order_items", line, t)
    if ("order_items", line["id"]) not in company.broken:
        _note_line(company, order, line, 1)


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
    _note_line(company, order, line, -1)
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
    _note_line(company, order, line, 1)
    order["fragile"] = False
    if order["row"]["delivered_at"]:
        retire(company, order)


# --- payment -------------------------------------------------------------------------------------------------------


def _add_payment(company: Company, t: int, order: Order, method: str, amount: int) -> int:
    """Insert a pending payment; returns its place among the order's."""
    row = {
        "id": new_id(company, "payments"),
        "order_id": order["row"]["id"],
        "method": method,
        "status": "pending",
        "amount": amount / 100,
        "currency_code": order["row"]["currency_code"],
        "paid_at": None,
        **audit(t),
    }
    insert(company, "payments", row, t)
    order["payments"].append(row)
    order["captured"].append(0)
    order["refunded"].append(0)
    return len(order["payments"]) - 1


def _plan_payments(company: Company, t: int, order: Order, method: str) -> None:
    rng, order_id, total = company.rng, order["row"]["id"], pence(order["row"]["total_amount"])
    chance = rng.random()
    steady = order["correctable"] or order["late"] or order["fragile"]
    wait = rng.randrange(6 * HOUR, 3 * DAY) if method == "bank_transfer" else rng.randrange(MINUTE, 20 * MINUTE)
    if chance < 0.04 and not steady:
        part = total * rng.randrange(20, 60) // 100
        for number, (way, amount) in enumerate((("gift_card", part), ("card", total - part))):
            place_in_order = _add_payment(company, t, order, way, amount)
            schedule(company, t + wait + 40 * number, "payment.capture", order_id, place_in_order)
        return
    number = _add_payment(company, t, order, method, total)
    if chance < 0.06 and not steady:  # never paid: cancelled in the end
        schedule(company, t + rng.randrange(HOUR, 5 * DAY), "order.cancel", order_id)
    elif chance < 0.10 and not steady:
        schedule(company, t + rng.randrange(MINUTE, 5 * MINUTE), "payment.fail", order_id, number)
    else:
        schedule(
            company, t + max(wait, 5 * HOUR) if order["correctable"] else t + wait, "payment.capture", order_id, number
        )


@on("payment.fail")
def fail_payment(company: Company, t: int, order_id: int, number: int) -> None:
    """A payment fails; the next attempt succeeds."""
    order = company.orders[order_id]
    update(company, "payments", order["payments"][number], t, status="failed")
    retry = _add_payment(company, t, order, "card", pence(order["payments"][number]["amount"]))
    schedule(company, t + company.rng.randrange(2 * MINUTE, 2 * HOUR), "payment.capture", order_id, retry)


@on("payment.capture")
def capture_payment(company: Company, t: int, order_id: int, number: int) -> None:
    """Money arrives; when all of it has, the order is paid."""
    order, rng = company.orders[order_id], company.rng
    payment, row = order["payments"][number], order["row"]
    update(company, "payments", payment, t, status="captured", paid_at=stamp(t))
    order["captured"][number] = pence(payment["amount"])
    key = (london_date(t), payment["method"], payment["currency_code"])
    note_amount(company.truth.payments, key, pence(payment["amount"]))
    if sum(order["captured"]) < pence(row["total_amount"]):
        return
    update(company, "orders", row, t, status="paid", paid_at=stamp(t))
    if rng.random() < 0.035 and not (order["late"] or order["fragile"]):
        schedule(company, t + rng.randrange(10 * MINUTE, 20 * HOUR), "order.cancel", order_id)
    else:
        wait = rng.randrange(2 * HOUR, 6 * HOUR) if rng.random() < 0.25 else rng.randrange(6 * HOUR, 3 * DAY)
        schedule(company, t + wait, "order.ship", order_id)


def _refund(company: Company, t: int, order: Order, amount: int, reason: str) -> None:
    """Pay back, from one payment after the other, no more than each of them brought."""
    for number, payment in enumerate(order["payments"]):
        part = min(amount, order["captured"][number] - order["refunded"][number])
        if part <= 0:
            continue
        amount -= part
        order["refunded"][number] += part
        row = {
            "id": new_id(company, "refunds"),
            "payment_id": payment["id"],
            "order_id": order["row"]["id"],
            "amount": part / 100,
            "currency_code": payment["currency_code"],
            "reason": reason,
            "refunded_at": stamp(t),
            **audit(t),
        }
        insert(company, "refunds", row, t)
        note_amount(company.truth.refunds, (london_date(t), payment["currency_code"]), part)


@on("order.refund")
def refund_late(company: Company, t: int, order_id: int) -> None:
    """Goodwill, long after the order."""
    order = company.orders[order_id]
    _refund(company, t, order, max(50, sum(order["captured"]) * company.rng.randrange(5, 30) // 100), "goodwill")
    retire(company, order)


# --- delivery ------------------------------------------------------------------------------------------------------


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
    _note_line(company, order, reversal | {"date": london_date(t)}, 1)
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
    _refund(company, t, order, amount, rng.choice(REFUND_REASONS))
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
            _refund(company, t, order, order["captured"][number], "order cancelled")
    retire(company, order)


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
