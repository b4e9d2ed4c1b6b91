"""The truth's bookkeeping: what a correct warehouse must come to, noted down as things happen.

Nothing here reads the simulated systems: the simulator calls these functions at the moment it changes something.
Money is kept in whole pence (retail: tenths of a penny) and written as decimal text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ingestion.demo.clock import OPEN_END, stamp

# table: the columns whose states have intervals, in the order of the truth tables.
HISTORY_COLUMNS: dict[str, tuple[str, ...]] = {
    "users": ("email", "first_name", "last_name", "status"),
    "addresses": (
        "user_id",
        "kind",
        "line_1",
        "line_2",
        "city",
        "postal_code",
        "region",
        "country_code",
        "is_default",
    ),
    "categories": ("parent_id", "name"),
    "products": ("sku", "name", "category_id", "price_amount", "currency_code", "is_active"),
}

# An interval: [valid_from, valid_to, is_deleted, values].
Interval = list[Any]
# A reject: [source, resource, record_id, broken_at, reason, mended_at, is_current].
Reject = list[Any]


@dataclass
class Truth:
    """The bookkeeping as of the last simulated day; plain structures only."""

    histories: dict[str, dict[Any, list[Interval]]] = field(
        default_factory=lambda: {table: {} for table in HISTORY_COLUMNS}
    )
    # (source, business date, currency, line kind): [lines, quantity, gross, discount, tax] in thousandths
    sales: dict[tuple[str, str, str, str], list[int]] = field(default_factory=dict)
    # (business date, method, currency): [payments, pence]
    payments: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    # (business date, currency): [refunds, pence]
    refunds: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    open_rejects: dict[tuple[str, Any], list[int]] = field(default_factory=dict)  # places in rejects, not mended yet
    retail_rejects: dict[str, list[Reject]] = field(default_factory=dict)  # by file day: as of the last version
    counts: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass
class Changes:
    """Rows of the truth's large tables that this run adds or replaces."""

    histories: dict[str, dict[Any, None]] = field(default_factory=lambda: {table: {} for table in HISTORY_COLUMNS})
    orders: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    stock: dict[tuple[int, str], int] = field(default_factory=dict)
    retail_products: dict[str, dict[str, str]] = field(default_factory=dict)  # by day: description by stock code


def note_state(
    truth: Truth, changes: Changes, table: str, key: Any, t: int, values: tuple[Any, ...], deleted: bool = False
) -> None:
    """From `t` on, the record `key` has these good values, or is deleted bearing its last known good ones.

    Of two changes at the same second the last one wins; equal neighbours are one interval.
    """
    intervals = truth.histories[table].setdefault(key, [])
    changes.histories[table][key] = None
    at = stamp(t)
    if deleted:
        if not intervals:
            return
        values = intervals[-1][3]
    if intervals and intervals[-1][0] == at:
        intervals.pop()
    if intervals:
        if intervals[-1][2:] == [int(deleted), values]:
            intervals[-1][1] = OPEN_END
            return
        intervals[-1][1] = at
    intervals.append([at, OPEN_END, int(deleted), values])


def current_state(truth: Truth, table: str, key: Any) -> Interval | None:
    """The open interval of a record, if it has had a good version."""
    intervals = truth.histories[table].get(key)
    return intervals[-1] if intervals else None


def note_broken(truth: Truth, source: str, resource: str, key: Any, record_id: str | None, t: int, reason: str) -> None:
    """The source now holds a broken version of a record."""
    truth.open_rejects.setdefault((resource, key), []).append(len(truth.rejects))
    truth.rejects.append([source, resource, record_id, stamp(t), reason, None, 1])


def note_mended(truth: Truth, resource: str, key: Any, t: int) -> None:
    """The record has a good version again."""
    for place in truth.open_rejects.pop((resource, key), []):
        truth.rejects[place][5] = stamp(t)


def note_gone(truth: Truth, resource: str, key: Any) -> None:
    """The broken states of a record that only shows its current state can't be seen any more."""
    for place in truth.open_rejects.get((resource, key), []):
        truth.rejects[place][6] = 0


def note_sale(truth: Truth, key: tuple[str, str, str, str], sign: int, measures: tuple[int, int, int, int]) -> None:
    """Add (`sign` 1) or take back (-1) one line: its quantity, and gross, discount and tax in thousandths."""
    total = truth.sales.setdefault(key, [0, 0, 0, 0, 0])
    total[0] += sign
    for i, measure in enumerate(measures):
        total[i + 1] += sign * measure
    if not total[0]:
        del truth.sales[key]


def note_amount(totals: dict[Any, list[int]], key: Any, pence: int) -> None:
    """Add one payment or refund to its day's total."""
    total = totals.setdefault(key, [0, 0])
    total[0] += 1
    total[1] += pence


def count(truth: Truth, source: str, resource: str, records: int) -> None:
    """The source holds so many records more, or fewer."""
    truth.counts[(source, resource)] = truth.counts.get((source, resource), 0) + records
