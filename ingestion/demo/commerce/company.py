"""The simulated company: its state, and how it writes to its shop's database.

Events of a day happen in the order of time, whoever planned them, so that every row written carries what happened
before it. State is plain structures, so that it can be stored; what a run has yet to write is in `Company.batch`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields
from typing import Any

from ingestion.demo.agenda import Event
from ingestion.demo.clock import stamp

from .shop_schema import TABLES
from .truth import HISTORY_COLUMNS, Changes, Truth, count, note_broken, note_mended, note_state

Row = dict[str, Any]


@dataclass
class Retail:
    """The retail shop's state."""

    codes: list[list[Any]] = field(default_factory=list)  # [stock code, description, price in thousandths]
    customers: list[list[Any]] = field(default_factory=list)  # [number, country]
    next_invoice: int = 536_365
    trading_days: int = 0
    deliveries: list[dict[str, Any]] = field(default_factory=list)  # agreed, but not made yet


@dataclass
class Batch:
    """What a run has yet to write to the systems."""

    shop: dict[str, list[tuple[str, tuple[Any, ...]]]] = field(default_factory=lambda: {table: [] for table in TABLES})
    accounts: dict[int, None] = field(default_factory=dict)
    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)  # name: (content, modified at)
    truth: Changes = field(default_factory=Changes)


@dataclass
class Company:
    """Everything that the next day depends on, and the batch of this run."""

    seed: int
    scale: float
    days: int = 0
    agenda: list[Event] = field(default_factory=list)
    sequence: int = 0
    last_ids: dict[str, int] = field(default_factory=dict)
    users: dict[str, Row] = field(default_factory=dict)
    shoppers: list[str] = field(default_factory=list)
    addresses: dict[int, Row] = field(default_factory=dict)
    homes: dict[str, list[int]] = field(default_factory=dict)  # a user's addresses, the default one first
    deleted: dict[str, Row] = field(default_factory=dict)  # users who will come back
    free_emails: list[str] = field(default_factory=list)  # given up, for somebody else to take
    used_emails: dict[str, int] = field(default_factory=dict)
    shop_emails: dict[str, str] = field(default_factory=dict)  # whose they are; broken and returning users' too
    categories: dict[int, Row] = field(default_factory=dict)
    products: dict[int, Row] = field(default_factory=dict)
    sellable: list[int] = field(default_factory=list)
    prices: dict[int, int] = field(default_factory=dict)  # pence
    stock: dict[int, int] = field(default_factory=dict)
    on_order: dict[int, int] = field(default_factory=dict)
    last_moved: dict[int, int] = field(default_factory=dict)
    unbooked: dict[int, Row] = field(default_factory=dict)  # movements without a product
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)  # those that something may still happen to
    wishes: dict[str, list[Any]] = field(default_factory=dict)  # what the next fitting order shall show
    broken: dict[tuple[str, Any], str] = field(default_factory=dict)
    accounts: dict[int, dict[str, Any]] = field(default_factory=dict)
    account_emails: dict[str, int] = field(default_factory=dict)
    retail: Retail = field(default_factory=Retail)
    truth: Truth = field(default_factory=Truth)
    rng: random.Random = field(default_factory=random.Random)  # of the day
    batch: Batch = field(default_factory=Batch)


_TRANSIENT = {"rng", "batch"}


def to_state(company: Company) -> dict[str, Any]:
    """The company's state as plain structures."""
    state = {item.name: getattr(company, item.name) for item in fields(company) if item.name not in _TRANSIENT}
    return state | {"retail": dict(vars(company.retail)), "truth": dict(vars(company.truth))}


def from_state(state: dict[str, Any]) -> Company:
    """The company of a stored state."""
    return Company(**(state | {"retail": Retail(**state["retail"]), "truth": Truth(**state["truth"])}))


def new_id(company: Company, table: str) -> int:
    """The next number of a table's key."""
    number = company.last_ids.get(table, 0) + 1
    company.last_ids[table] = number
    return number


def audit(t: int) -> Row:
    """The audit columns of a new row."""
    return {"created_at": stamp(t), "updated_at": stamp(t), "version": 1}


def insert(company: Company, table: str, row: Row, t: int) -> None:
    """Insert a row, whose columns stand in the table's order."""
    company.batch.shop[table].append(("I", tuple(row.values())))
    count(company.truth, "shop", table, 1)
    _note_version(company, table, row, t)


def update(company: Company, table: str, row: Row, t: int, **values: Any) -> None:
    """Change a row in place and write it."""
    row.update(values)
    row["updated_at"] = stamp(t)
    row["version"] += 1
    company.batch.shop[table].append(("U", (*row.values(), row["id"])))
    _note_version(company, table, row, t)


def delete(company: Company, table: str, row: Row, t: int) -> None:
    """Delete a row for good."""
    company.batch.shop[table].append(("D", (stamp(t), row["id"])))
    count(company.truth, "shop", table, -1)
    count(company.truth, "shop", f"{table}_changes", 1)
    if table in HISTORY_COLUMNS:
        note_state(company.truth, company.batch.truth, table, row["id"], t, (), deleted=True)


def _note_version(company: Company, table: str, row: Row, t: int) -> None:
    truth = company.truth
    count(truth, "shop", f"{table}_changes", 1)
    key = row["id"]
    reason = company.broken.get((table, key))
    if reason:
        note_broken(truth, "shop", table, key, str(key), t, reason)
        return
    if truth.open_rejects:
        note_mended(truth, table, key, t)
    columns = HISTORY_COLUMNS.get(table)
    if columns:
        note_state(truth, company.batch.truth, table, key, t, tuple([row[column] for column in columns]))
