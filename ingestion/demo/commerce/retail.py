"""The retail shop: a file of sales lines for every trading day, as its till writes and its courier delivers it."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections import Counter
from typing import Any

from ingestion.demo.clock import DAY, HOUR, MINUTE, day_text, stamp

from .clock import is_trading_day
from .company import Company, Retail
from .truth import count, note_sale
from .vocabulary import RETAIL_AWKWARD, RETAIL_COLOURS, RETAIL_COUNTRIES, RETAIL_NOTES, RETAIL_STYLES, RETAIL_THINGS

HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
UK = "United Kingdom"

# A line: {invoice, code, description, quantity, at, price (thousandths), customer, country, catalogue, reason}.
# `description` is what the clerk wrote, `catalogue` what the catalogue says; `reason` is why the line is broken.
Line = dict[str, Any]

# What becomes of the file of the n-th trading day; of other days it is drawn.
_FATES = {8: "late", 12: "corrected", 20: "truncated", 30: "late", 300: "truncated"}


def trade_day(company: Company, rng: random.Random, day: int) -> None:
    """Sell for a day, agree on the file's delivery, and make the deliveries that are due."""
    retail = company.retail
    if not retail.codes:
        _found(retail, rng, company.scale)
    if is_trading_day(day):
        retail.trading_days += 1
        _move_catalogue(retail, rng)
        _agree_delivery(retail, rng, day, _sell(retail, rng, day, company.scale))
    end = (day + 1) * DAY
    due = sorted((d for d in retail.deliveries if d["at"] < end), key=lambda d: (d["at"], d["day"]))
    retail.deliveries = [d for d in retail.deliveries if d["at"] >= end]
    for delivery in due:
        _deliver(company, delivery)


def _found(retail: Retail, rng: random.Random, scale: float) -> None:
    names = [f"{a} {b} {c}" for a in RETAIL_COLOURS for b in RETAIL_STYLES for c in RETAIL_THINGS]
    names = rng.sample(names, 300 - len(RETAIL_AWKWARD))
    for number, name in enumerate(names):
        # The awkward ones are among the popular ones, so that they are sold often.
        if number % 8 == 4 and number // 8 < len(RETAIL_AWKWARD):
            _add_code(retail, rng, RETAIL_AWKWARD[number // 8])
        _add_code(retail, rng, name)
    for number in range(max(30, round(400 * scale))):
        retail.customers.append([12_346 + number * 7, rng.choice(RETAIL_COUNTRIES)])


def _add_code(retail: Retail, rng: random.Random, description: str) -> None:
    code = f"{20_001 + len(retail.codes) * 17}{rng.choice(('', '', '', 'A', 'B'))}"
    price = rng.randrange(8, 250) * 50 if rng.random() < 0.9 else rng.randrange(100, 3000)
    retail.codes.append([code, description, price])


def _move_catalogue(retail: Retail, rng: random.Random) -> None:
    """Descriptions and prices change; a code comes and goes back to its old description."""
    number = retail.trading_days
    if number % 6 == 3:
        entry = retail.codes[_popular(retail, rng)]
        entry[1] = entry[1].removesuffix(" NEW") if entry[1].endswith(" NEW") else f"{entry[1]} NEW"
    if number % 25 == 10:
        retail.codes[0][1] = (
            f"{retail.codes[0][1].split(' / ')[0]}{'' if ' / ' in retail.codes[0][1] else ' / EDITION 2'}"
        )
    for _ in range(rng.randrange(3)):
        entry = retail.codes[rng.randrange(len(retail.codes))]
        entry[2] = max(60, entry[2] * rng.randrange(90, 115) // 100)


def _popular(retail: Retail, rng: random.Random) -> int:
    return int(len(retail.codes) * rng.random() ** 2.6)


def _sell(retail: Retail, rng: random.Random, day: int, scale: float) -> list[Line]:
    """A day's lines, in the order of time: sales, then what the till adds to them."""
    target = max(14, round(80 * scale * rng.uniform(0.75, 1.25)))
    at = day * DAY + 8 * HOUR + rng.randrange(30) * MINUTE
    step = max(MINUTE, 9 * HOUR * 9 // target)
    lines: list[Line] = []
    while len(lines) < target:
        at = min(at + rng.randrange(1, step // MINUTE + 2) * MINUTE, day * DAY + 20 * HOUR)
        lines += _invoice(retail, rng, at)
    sold = Counter(line["code"] for line in lines)
    later = day * DAY + 20 * HOUR
    for _ in range(max(1, target // 40)):
        lines.append(_cancellation(retail, rng, rng.choice(lines[:target]), later + rng.randrange(10) * MINUTE))
    for _ in range(max(1, target // 50)):
        code, description, _ = retail.codes[rng.randrange(len(retail.codes))]
        if code not in sold:
            lines.append(_write_off(retail, rng, later + rng.randrange(10, 30) * MINUTE, code, description))
    lines += _service(retail, rng, later + 40 * MINUTE)
    if rng.random() < 0.5:
        double = rng.randrange(target)
        lines.insert(double, dict(lines[double]))
    _write_notes(rng, lines)
    _break_lines(retail, rng, lines)
    return lines


def _line(
    invoice: str, code: str, description: str, quantity: int, at: int, price: int, customer: str, country: str
) -> Line:
    return {
        "invoice": invoice,
        "code": code,
        "description": description,
        "quantity": quantity,
        "at": stamp(at),
        "price": price,
        "customer": customer,
        "country": country,
        "catalogue": description,
        "reason": None,
    }


def _next_invoice(retail: Retail) -> str:
    retail.next_invoice += 1
    return str(retail.next_invoice)


def _invoice(retail: Retail, rng: random.Random, at: int) -> list[Line]:
    """An invoice's lines; foreign customers pay postage, some customers are not known."""
    invoice = _next_invoice(retail)
    number, country = rng.choice(retail.customers)
    customer = f"{number}.0"
    if rng.random() < 0.25:
        customer, country = "", UK
    lines = []
    for _ in range(1 + int(rng.expovariate(0.25))):
        code, description, price = retail.codes[_popular(retail, rng)]
        quantity = rng.choice((1, 1, 2, 3, 4, 6, 6, 12, 12, 24, 48))
        lines.append(_line(invoice, code, description, quantity, at, price, customer, country))
    if len(lines) > 3 and rng.random() < 0.02:  # entered over two minutes
        lines[-1]["at"] = stamp(at + MINUTE)
    if country != UK:
        lines.append(_line(invoice, "POST", "POSTAGE", rng.randrange(1, 4), at, 18_000, customer, country))
    return lines


def _cancellation(retail: Retail, rng: random.Random, line: Line, at: int) -> Line:
    quantity = rng.randrange(1, line["quantity"] + 1)
    return line | {"invoice": f"C{_next_invoice(retail)}", "quantity": -quantity, "at": stamp(at)}


def _write_off(retail: Retail, rng: random.Random, at: int, code: str, description: str) -> Line:
    """Stock written off or found: price zero, no customer, a clerk's note or nothing as description."""
    quantity = rng.choice((-120, -24, -12, -3, -1, 5, 60))
    line = _line(_next_invoice(retail), code, rng.choice((*RETAIL_NOTES, "")), quantity, at, 0, "", UK)
    return line | {"catalogue": description}


def _service(retail: Retail, rng: random.Random, at: int) -> list[Line]:
    """Lines that are no goods."""
    lines = []
    if rng.random() < 0.4:
        lines.append(
            _line(_next_invoice(retail), "DOT", "DOTCOM POSTAGE", 1, at, rng.randrange(5_000, 90_000, 10), "", UK)
        )
    if rng.random() < 0.15:
        lines.append(_line(_next_invoice(retail), "M", "Manual", 1, at, rng.randrange(500, 40_000, 10), "", UK))
    if rng.random() < 0.05:
        lines.append(_line(_next_invoice(retail), "BANK CHARGES", "Bank Charges", 1, at, 15_000, "", UK))
    return lines


def _write_notes(rng: random.Random, lines: list[Line]) -> None:
    """On some lines the clerk's note stands for the description, always on fewer than bear the description."""
    places: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        if line["quantity"] > 0 and line["price"] and line["code"] != "POST":
            places.setdefault(line["code"], []).append(place)
    for found in places.values():
        if len(found) >= 3 and rng.random() < 0.25:
            lines[rng.choice(found)]["description"] = rng.choice(RETAIL_NOTES)


def _break_lines(retail: Retail, rng: random.Random, lines: list[Line]) -> None:
    """Every ninth trading day has a line that can't be read."""
    number, rest = divmod(retail.trading_days, 9)
    places = _single(lines)
    if rest != 3 or not places:
        return
    line = lines[rng.choice(places)]
    impossible = f"{line['at'][:5]}02-30{line['at'][10:]}"
    broken = (
        ("quantity", "six", "type:quantity"),
        ("invoice", "", "missing:invoice_no"),
        ("at", impossible, "type:invoice_date"),
    )
    field, value, reason = broken[number % 3]
    line.update({field: value, "reason": reason})


def _single(lines: list[Line]) -> list[int]:
    """The places of sold lines whose code no other line has.

    Only they are broken, dropped or changed later, so that a code's notes stay fewer than its descriptions.
    """
    seen = Counter(line["code"] for line in lines)
    return [
        i for i, line in enumerate(lines) if seen[line["code"]] == 1 and not line["reason"] and line["quantity"] > 0
    ]


# --- delivery ------------------------------------------------------------------------------------------------------


def _agree_delivery(retail: Retail, rng: random.Random, day: int, lines: list[Line]) -> None:
    """When the file comes: usually late in the evening; some days later, some again, some broken first."""
    draw = rng.random()
    drawn = "late" if draw < 0.03 else "corrected" if draw < 0.06 else "on time"
    fate = _FATES.get(retail.trading_days, drawn)
    suffix = ".csv.gz" if rng.random() < 0.6 or fate == "truncated" else ".csv"
    delivery = {
        "day": day,
        "name": day_text(day) + suffix,
        "lines": lines,
        "truncated": False,
        "replaces": None,
        "again": False,
    }
    evening = day * DAY + 23 * HOUR + 30 * MINUTE
    if fate == "late":
        at = (day + rng.randrange(1, 6)) * DAY + 2 * HOUR + rng.randrange(HOUR)
        retail.deliveries.append(delivery | {"at": at})
        return
    retail.deliveries.append(delivery | {"at": evening, "truncated": fate == "truncated"})
    if fate == "truncated":
        retail.deliveries.append(delivery | {"again": True, "at": (day + 1) * DAY + 6 * HOUR + rng.randrange(HOUR)})
    elif fate == "corrected":
        again = delivery | {"again": True, "lines": _corrected(rng, lines), "replaces": lines}
        retail.deliveries.append(again | {"at": (day + rng.randrange(3, 13)) * DAY + 10 * HOUR + rng.randrange(HOUR)})


def _corrected(rng: random.Random, lines: list[Line]) -> list[Line]:
    """A later version of a file: some lines gone, some quantities changed."""
    places = _single(lines)
    chosen = rng.sample(places, min(4, len(places)))
    return [
        line | {"quantity": line["quantity"] + 1} if place in chosen[2:] else line
        for place, line in enumerate(lines)
        if place not in chosen[:2]
    ]


def _deliver(company: Company, delivery: dict[str, Any]) -> None:
    """Put a file into the folder, and note what it comes to."""
    content = _content(delivery["lines"])
    if delivery["name"].endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    if delivery["truncated"]:
        content = content[: len(content) * 3 // 5]
    company.batch.files[delivery["name"]] = (content, delivery["at"])
    if not delivery["again"]:
        count(company.truth, "retail", "files", 1)
    if delivery["truncated"]:
        return
    if delivery["replaces"] is not None:
        _note_file(company, delivery, delivery["replaces"], -1)
    _note_file(company, delivery, delivery["lines"], 1)


def _content(lines: list[Line]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for line in lines:
        price = str(line["price"] / 1000)
        values = (line["invoice"], line["code"], line["description"], line["quantity"], line["at"], price)
        writer.writerow((*values, line["customer"], line["country"]))
    return text.getvalue().encode()


def _note_file(company: Company, delivery: dict[str, Any], lines: list[Line], sign: int) -> None:
    """Add a file's lines to the truth, or take back those of the version before."""
    truth, date = company.truth, day_text(delivery["day"])
    count(truth, "retail", "sales_lines", sign * len(lines))
    products: dict[str, str] = {}
    rejects = []
    for number, line in enumerate(lines, 1):
        if line["reason"]:
            delivered = stamp(delivery["at"])
            rejects.append(["retail", "sales_lines", f"{date}:{number}", delivered, line["reason"], None, 1])
            continue
        kind = "cancellation" if line["invoice"].startswith("C") else "line"
        measures = (line["quantity"], line["quantity"] * line["price"], 0, 0)
        note_sale(truth, ("retail", date, "GBP", kind), sign, measures)
        if line["price"] > 0:
            products[line["code"]] = line["catalogue"]
    company.batch.truth.retail_products[date] = products
    truth.retail_rejects[date] = rejects
