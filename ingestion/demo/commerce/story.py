"""What happens of itself on a day: the everyday, drawn at random, and the rare, on fixed days.

Rare things don't depend on the scale, so that even a small company of a few weeks shows each of them.
"""

from __future__ import annotations

from typing import Any

from ingestion.demo.agenda import draw_count, on, run_events, schedule, some_time
from ingestion.demo.clock import DAY, HOUR, day_date

from . import accounts, delivery, orders, payments, people
from .catalogue import found
from .company import Company
from .shop_schema import TABLES
from .truth import count

# Importing these puts what they do at events into place.
ACTORS = (accounts, delivery, orders, payments, people)

# (event, how many a day at scale 1, whether the number follows the scale)
EVERYDAY: tuple[tuple[str, float, bool, tuple[Any, ...]], ...] = (
    ("user.sign_up", 2.85, True, ()),
    ("user.marry", 0.25, True, ()),
    ("user.new_email", 0.4, True, ()),
    ("user.new_password", 0.5, True, ()),
    ("user.status", 0.7, True, ()),
    ("user.flip", 0.1, True, (5 * DAY,)),
    ("user.move", 0.7, True, ()),
    ("account.open", 0.52, True, ()),
    ("account.change", 2.0, True, ()),
    ("product.add", 0.09, False, ()),
    ("product.price", 0.4, False, ()),
    ("product.recategorize", 0.06, False, ()),
    ("product.retire", 0.04, False, ()),
    ("stock.adjust", 17.0, True, ("adjustment",)),
    ("stock.adjust", 2.0, True, ("write_off",)),
)

# (event, first day, every so many days, arguments); days to the mending, or None: never mended
RARE: tuple[tuple[str, int, int, tuple[Any, ...]], ...] = (
    ("user.sign_up_broken", 2, 60, ("status", 9)),
    ("user.sign_up_broken", 16, 120, ("email", None)),
    ("user.break", 5, 50, ("status", 6)),
    ("user.break", 7, 55, ("email", 4)),
    ("user.break", 13, 180, ("status", None)),
    ("user.delete", 8, 60, (None,)),
    ("user.delete", 10, 75, (7,)),
    ("user.sign_up_again", 18, 45, ()),
    ("user.flip", 9, 20, (6 * DAY,)),
    ("user.flip", 11, 25, (2 * HOUR,)),
    ("user.same_second", 12, 30, ()),
    ("user.move", 3, 15, ()),
    ("user.marry", 4, 30, ()),
    ("user.new_email", 6, 30, ()),
    ("account.join_shop", 15, 25, ()),
    ("account.break", 4, 70, ("status", 5)),
    ("account.break", 6, 90, ("email", 8)),
    ("account.break", 9, 110, ("id", 4)),
    ("account.break", 12, 130, ("updated_at", 6)),
    ("account.break", 14, 150, ("status_number", 3)),
    ("account.break", 17, 200, ("status", None)),
    ("account.break", 19, 240, ("id", None)),
    ("account.break", 20, 210, ("email", None, True)),
    ("account.break", 22, 230, ("updated_at", 30, True)),
    ("account.break", 23, 260, ("status_number", None)),
    ("product.promote", 5, 14, (7 * DAY,)),
    ("product.promote", 8, 28, (3 * HOUR,)),
    ("product.break", 6, 80, (3,)),
    ("product.break", 21, 365, (None,)),
    ("product.add_broken", 17, 160, (5,)),
    ("product.add_broken", 24, 400, (None,)),
    ("product.rename", 14, 30, ()),
    ("product.recategorize", 6, 30, ()),
    ("category.rename", 12, 60, ()),
    ("category.move", 20, 200, ()),
    ("stock.ruin", 10, 45, ()),
    ("stock.unbooked", 3, 40, (2,)),
    ("stock.unbooked", 19, 250, (None,)),
    ("order.wish", 4, 45, ("quantity_text", 3)),
    ("order.wish", 15, 170, ("quantity_text", None)),
    ("order.wish", 2, 12, ("line_corrected", True)),
    ("order.wish", 3, 40, ("late_refund", 25)),
)
ORDERS_A_DAY = 33.4
_WEEK = (0.95, 0.9, 0.95, 1.0, 1.1, 1.15, 0.95)


@on("order.wish")
def wish(company: Company, t: int, what: str, value: Any) -> None:
    """The next order that fits shall show this."""
    company.wishes.setdefault(what, []).append(value)


def _open_counts(company: Company) -> None:
    """Count what is empty as well."""
    for source, resource in (("accounts", "users"), ("retail", "files"), ("retail", "sales_lines")):
        count(company.truth, source, resource, 0)
    for table in TABLES:
        count(company.truth, "shop", table, 0)
        count(company.truth, "shop", f"{table}_changes", 0)


def live_day(company: Company, day: int) -> None:
    """Let the shop and the accounts live through a day."""
    rng, scale = company.rng, company.scale
    if day == 0:
        _open_counts(company)
        found(company, 0)
        for _ in range(max(12, round(400 * scale))):
            schedule(company, some_time(rng, day, 1, 6), "user.sign_up")
        for _ in range(max(5, round(90 * scale))):
            schedule(company, some_time(rng, day, 1, 6), "account.open")
    else:
        for name, mean, scaled, args in EVERYDAY:
            for _ in range(draw_count(rng, mean * scale if scaled else mean)):
                schedule(company, some_time(rng, day), name, *args)
        for name, first, every, args in RARE:
            if day >= first and (day - first) % every == 0:
                schedule(company, some_time(rng, day), name, *args)
    today = day_date(day)
    season = 1.35 if today.month in (11, 12) else 0.98 if today.month > 2 else 0.85
    for _ in range(draw_count(rng, ORDERS_A_DAY * scale * season * _WEEK[today.weekday()])):
        # Evenings are busy: late orders fall on the next business day while London has summer time.
        schedule(company, some_time(rng, day, 6 if rng.random() < 0.6 else 16), "order.place")
    run_events(company, (day + 1) * DAY)
