"""The tables of truth.sqlite, and writing the bookkeeping into them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from .company import Company
from .open_orders import note_order
from .truth import HISTORY_COLUMNS, Interval

_INTERVAL = "valid_from text, valid_to text, is_deleted integer"
_ACCOUNT = (
    "id text primary key, email text, first_name text, last_name text, status text, avatar text, bio text, "
    "location text, newsletter integer, language text, theme text, created_at text, updated_at text"
)

# Amounts are decimal text, so that nothing is rounded on the way: three places in truth_sales_daily, two elsewhere.
TABLES = {
    "truth_users": f"id text, {_INTERVAL}, email text, first_name text, last_name text, status text, "
    "primary key (id, valid_from)",
    "truth_addresses": f"id integer, {_INTERVAL}, user_id text, kind text, line_1 text, line_2 text, city text, "
    "postal_code text, region text, country_code text, is_default integer, primary key (id, valid_from)",
    "truth_categories": f"id integer, {_INTERVAL}, parent_id integer, name text, primary key (id, valid_from)",
    "truth_products": f"id integer, {_INTERVAL}, sku text, name text, category_id integer, price_amount text, "
    "currency_code text, is_active integer, primary key (id, valid_from)",
    "truth_accounts": _ACCOUNT,
    "truth_accounts_last_good": _ACCOUNT,
    "truth_people": "account_id text, user_id text, primary key (account_id, user_id)",
    "truth_retail_products": "stock_code text, day text, description text, primary key (day, stock_code)",
    "truth_sales_daily": "source text, business_date text, currency_code text, line_kind text, line_count integer, "
    "quantity integer, gross_amount text, discount_amount text, tax_amount text, "
    "primary key (source, business_date, currency_code, line_kind)",
    "truth_orders": "order_id integer primary key, status text, user_id text, channel text, currency_code text, "
    "placed_at text, paid_at text, shipped_at text, delivered_at text, cancelled_at text, subtotal_amount text, "
    "discount_amount text, tax_amount text, shipping_amount text, total_amount text, captured_amount text, "
    "refunded_amount text",
    "truth_payments_daily": "business_date text, method text, currency_code text, payment_count integer, amount text, "
    "primary key (business_date, method, currency_code)",
    "truth_refunds_daily": "business_date text, currency_code text, refund_count integer, amount text, "
    "primary key (business_date, currency_code)",
    "truth_stock": "product_id integer primary key, quantity integer",
    "truth_stock_daily": "product_id integer, day text, quantity integer, primary key (product_id, day)",
    "truth_rejects": "source text, resource text, record_id text, broken_at text, reason text, mended_at text, "
    "is_current integer",
    "truth_counts": "source text, resource text, records integer, primary key (source, resource)",
}


def create_truth(connection: sqlite3.Connection) -> None:
    """Create the truth's tables."""
    for table, columns in TABLES.items():
        connection.execute(f"create table if not exists {table} ({columns})")


def write_truth(connection: sqlite3.Connection, company: Company) -> None:
    """Bring the attached database `truth` to the company's last day, inside the caller's transaction.

    Small tables are written anew, of the large ones only the rows that this run touched.
    """
    truth, changes = company.truth, company.batch.truth
    for table in HISTORY_COLUMNS:
        keys = changes.histories[table]
        connection.executemany(f"delete from truth.truth_{table} where id = ?", ((key,) for key in keys))
        histories = truth.histories[table]
        _insert(
            connection, f"truth_{table}", (_interval_row(table, key, i) for key in keys for i in histories.get(key, ()))
        )
    for order in company.orders.values():
        note_order(company, order)
    _insert(connection, "truth_orders", changes.orders.values(), "or replace ")
    stock = ((product_id, day, quantity) for (product_id, day), quantity in changes.stock.items())
    _insert(connection, "truth_stock_daily", stock, "or replace ")
    for day, products in changes.retail_products.items():
        connection.execute("delete from truth.truth_retail_products where day = ?", (day,))
        _insert(connection, "truth_retail_products", ((code, day, text) for code, text in products.items()))

    accounts = sorted(company.accounts.values(), key=lambda account: int(account["number"]))
    good = [account for account in accounts if account["current"]]
    _rewrite(connection, "truth_accounts", (account["good"] for account in good))
    lost = (account["good"] for account in accounts if account["good"] and not account["current"])
    _rewrite(connection, "truth_accounts_last_good", lost)
    users = {
        intervals[-1][3][0]: user_id
        for user_id, intervals in truth.histories["users"].items()
        if intervals and not intervals[-1][2]
    }
    people = ((a["good"][0], users[a["email"]]) for a in good if a["email"] in users)
    _rewrite(connection, "truth_people", people)
    sales = (
        (*key, total[0], total[1], *(f"{_signed(amount, 3)}" for amount in total[2:]))
        for key, total in sorted(truth.sales.items())
    )
    _rewrite(connection, "truth_sales_daily", sales)
    for table, totals in (("truth_payments_daily", truth.payments), ("truth_refunds_daily", truth.refunds)):
        _rewrite(connection, table, ((*key, total[0], _signed(total[1], 2)) for key, total in sorted(totals.items())))
    _rewrite(connection, "truth_stock", sorted(company.stock.items()))
    retail = [reject for day in sorted(truth.retail_rejects) for reject in truth.retail_rejects[day]]
    _rewrite(connection, "truth_rejects", [*truth.rejects, *retail])
    _rewrite(connection, "truth_counts", ((*key, records) for key, records in sorted(truth.counts.items())))


def _interval_row(table: str, key: Any, interval: Interval) -> tuple[Any, ...]:
    values = interval[3]
    if table == "products":
        values = tuple(
            f"{value:.2f}" if name == "price_amount" else value
            for name, value in zip(HISTORY_COLUMNS[table], values, strict=True)
        )
    return (key, *interval[:3], *values)


def _signed(amount: int, places: int) -> str:
    """A whole number of the smallest unit as decimal text."""
    unit = 10**places
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // unit}.{abs(amount) % unit:0{places}}"


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]], conflict: str = "") -> None:
    width = len(connection.execute(f"select * from truth.{table} limit 0").description)
    connection.executemany(f"insert {conflict}into truth.{table} values ({', '.join('?' * width)})", rows)


def _rewrite(connection: sqlite3.Connection, table: str, rows: Iterable[Any]) -> None:
    connection.execute(f"delete from truth.{table}")
    _insert(connection, table, rows)
