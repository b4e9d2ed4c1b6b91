"""The payments of the shop's orders, in one part or two, and refunds."""

from __future__ import annotations

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR, MINUTE, stamp

from .clock import london_date
from .company import Company, audit, insert, new_id, update
from .open_orders import Order, pence, retire
from .truth import note_amount


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


def plan_payments(company: Company, t: int, order: Order, method: str) -> None:
    """Decide how a new order is paid: at once or in two parts, on the second attempt, or never."""
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


def refund(company: Company, t: int, order: Order, amount: int, reason: str) -> None:
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
    refund(company, t, order, max(50, sum(order["captured"]) * company.rng.randrange(5, 30) // 100), "goodwill")
    retire(company, order)
