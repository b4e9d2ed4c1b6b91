"""The warehouse against the truth that the simulator wrote down by its own means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingestion.duck import load_extension
from tests.warehouses import opened

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(built: Path, company: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The built warehouse with the truth beside it, as `truth`."""
    with opened(built) as connection:
        load_extension(connection, "sqlite_scanner")
        connection.execute(f"attach '{company / 'truth.sqlite'}' as truth (type sqlite, read_only)")
        yield connection


def assert_equal(connection: duckdb.DuckDBPyConnection, ours: str, true: str, at_least: int = 1) -> None:
    """Both selects give the same rows, and not too few of them."""
    found = connection.execute(f"select count(*) from ({true})").fetchone()
    assert found is not None and found[0] >= at_least, f"the truth has only {found} rows: {true}"
    missing = connection.execute(f"({true}) except all ({ours}) limit 5").fetchall()
    surplus = connection.execute(f"({ours}) except all ({true}) limit 5").fetchall()
    assert not missing and not surplus, f"only true: {missing}; only ours: {surplus}"


# The first version of a record reaches back in the warehouse; the truth begins where the record did.
BEGINNING = "timestamp '1900-01-01 00:00:00'"

HISTORIES = {
    "users": (
        "snap_shop__users",
        "user_id, clear(email_token), clear(first_name_token), clear(last_name_token), status",
        "id, email, first_name, last_name, status",
        100,
    ),
    "addresses": (
        "snap_shop__addresses",
        "address_id, user_id, address_kind, clear(line_1_token), clear(line_2_token), city, postal_code, region, "
        "country_code, is_default",
        "id, user_id, kind, line_1, line_2, city, postal_code, region, country_code, is_default = 1",
        100,
    ),
    "categories": (
        "snap_shop__categories",
        "category_id, parent_category_id, category_name",
        "id, parent_id, name",
        30,
    ),
    "products": (
        "snap_shop__products",
        "product_id, sku, product_name, category_id, list_price_amount, currency_code, is_active",
        "id, sku, name, category_id, cast(price_amount as numeric(18, 4)), currency_code, is_active = 1",
        100,
    ),
}


@pytest.mark.parametrize("entity", HISTORIES)
def test_every_interval_is_true(both: duckdb.DuckDBPyConnection, entity: str) -> None:
    snapshot, ours, true, at_least = HISTORIES[entity]
    assert_equal(
        both,
        f"select {ours}, valid_from, valid_to, is_deleted from build.snapshots.{snapshot}",
        f"""select {true},
            case when row_number() over (partition by id order by valid_from) = 1 then {BEGINNING}
                else cast(valid_from as timestamp) end,
            cast(valid_to as timestamp), is_deleted = 1
            from truth.truth_{entity}""",
        at_least,
    )


def test_retail_products_are_called_what_the_catalogue_called_them(both: duckdb.DuckDBPyConnection) -> None:
    """On each day on which a code was sold, the version in force bears the day's description."""
    assert_equal(
        both,
        """select t.stock_code, t.day, versions.description
            from truth.truth_retail_products as t
            inner join build.snapshots.snap_retail__products as versions
                on upper(t.stock_code) = versions.product_code
                and cast(t.day as timestamp) >= versions.valid_from and cast(t.day as timestamp) < versions.valid_to""",
        "select stock_code, day, description from truth.truth_retail_products",
        1000,
    )


def test_accounts_are_cleansed_to_the_truth(both: duckdb.DuckDBPyConnection) -> None:
    assert_equal(
        both,
        """select account_id, clear(email_token), clear(first_name_token), clear(last_name_token), account_status,
                clear(profile_token) ->> '$.avatar', clear(profile_token) ->> '$.bio',
                clear(profile_token) ->> '$.location', prefers_newsletter, preferred_language, preferred_theme
            from build.snapshots.snap_accounts__users where is_current and not is_deleted""",
        """select id, email, first_name, last_name, status, avatar, bio, location, newsletter = 1, language, theme
            from truth.truth_accounts""",
        50,
    )


def test_accounts_and_users_with_one_address_are_one_person(both: duckdb.DuckDBPyConnection) -> None:
    """Nobody's address was reused in this company, so those who share one now are the crosswalk's pairs."""
    missing = both.execute("""
        select t.account_id, t.user_id from truth.truth_people as t
        where not exists (
            select 1 from published.commerce.dim_customers as customers
            where customers.is_current and customers.customer_id = t.user_id and customers.account_id = t.account_id
        )""").fetchall()
    assert not missing
    count = both.execute("select count(*) from truth.truth_people").fetchone()
    assert count is not None and count[0] > 20


SALES = """
    select sources.source_id as source, sales.business_date, sales.currency_code,
        case
            when sources.source_id = 'shop' then sales.line_type
            when sales.line_type = 'cancellation' then 'cancellation' else 'line'
        end as line_kind,
        count(*) as line_count, sum(quantity) as quantity, sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount, sum(tax_amount) as tax_amount
    from published.commerce.fct_sales as sales
    inner join published.core.dim_sources as sources on sales.source_key = sources.source_key
    group by all"""


def test_every_day_of_sales_is_true(both: duckdb.DuckDBPyConnection) -> None:
    assert_equal(
        both,
        f"select source, business_date, currency_code, line_kind, line_count, quantity, gross_amount from ({SALES})",
        """select source, cast(business_date as date), currency_code, line_kind, line_count, quantity,
                cast(gross_amount as numeric(18, 4))
            from truth.truth_sales_daily where line_count > 0""",
        500,
    )
    assert_equal(
        both,
        f"select source, business_date, line_kind, currency_code, discount_amount, tax_amount from ({SALES})",
        """select source, cast(business_date as date), line_kind, currency_code,
                cast(discount_amount as numeric(18, 4)), cast(tax_amount as numeric(18, 4))
            from truth.truth_sales_daily where line_count > 0""",
        500,
    )


def test_every_order_is_true(both: duckdb.DuckDBPyConnection) -> None:
    moments = ", ".join(
        f"cast({name} as timestamp)" for name in ("placed_at", "paid_at", "shipped_at", "delivered_at", "cancelled_at")
    )
    amounts = ("subtotal", "discount", "tax", "shipping", "total", "captured", "refunded")
    assert_equal(
        both,
        f"""select order_id, order_status, placed_at, paid_at, shipped_at, delivered_at, cancelled_at,
                {", ".join(f"{name}_amount" for name in amounts)}
            from published.commerce.fct_orders""",
        f"""select order_id, status, {moments},
                {", ".join(f"cast({name}_amount as numeric(18, 4))" for name in amounts)}
            from truth.truth_orders""",
        500,
    )


def test_orders_keep_their_customers(both: duckdb.DuckDBPyConnection) -> None:
    """Deleted users, and users whose every version was broken, are still who ordered."""
    assert_equal(
        both,
        """select orders.order_id, customers.customer_id
            from published.commerce.fct_orders as orders
            inner join published.commerce.dim_customers as customers
                on orders.customer_version_key = customers.customer_version_key""",
        "select order_id, user_id from truth.truth_orders",
        500,
    )


def test_every_day_of_payments_and_refunds_is_true(both: duckdb.DuckDBPyConnection) -> None:
    assert_equal(
        both,
        """select payments.paid_date, methods.payment_method_id, payments.currency_code, count(*), sum(payment_amount)
            from published.commerce.fct_payments as payments
            inner join published.commerce.dim_payment_methods as methods
                on payments.payment_method_key = methods.payment_method_key
            where payment_status = 'captured' group by all""",
        """select cast(business_date as date), method, currency_code, payment_count, cast(amount as numeric(18, 4))
            from truth.truth_payments_daily where payment_count > 0""",
        100,
    )
    assert_equal(
        both,
        """select refunded_date, currency_code, count(*), sum(refund_amount)
            from published.commerce.fct_refunds group by all""",
        """select cast(business_date as date), currency_code, refund_count, cast(amount as numeric(18, 4))
            from truth.truth_refunds_daily where refund_count > 0""",
        10,
    )


STOCK = """
    select product_id, quantity from truth.truth_stock
    where product_id in (select product_id from truth.truth_stock_daily)"""


def test_stock_is_true_now_and_on_every_day_it_moved(both: duckdb.DuckDBPyConnection) -> None:
    assert_equal(
        both,
        """select cast(products.product_id as bigint), sum(movements.quantity)
            from published.commerce.fct_inventory_movements as movements
            inner join published.commerce.dim_products as products
                on movements.product_version_key = products.product_version_key
            group by 1""",
        STOCK,
        50,
    )
    # The truth's days are UTC days, the warehouse's are business days: they differ by what moved in the last hour.
    assert_equal(
        both,
        """select product_id, day, stock from (
                select cast(products.product_id as bigint) as product_id, cast(moved_at as date) as day,
                    sum(quantity) over (partition by products.product_id order by moved_at) as stock,
                    row_number() over (
                        partition by products.product_id, cast(moved_at as date)
                        order by moved_at desc, inventory_movement_id desc
                    ) as recency
                from published.commerce.fct_inventory_movements as movements
                inner join published.commerce.dim_products as products
                    on movements.product_version_key = products.product_version_key
            ) where recency = 1""",
        "select product_id, cast(day as date), quantity from truth.truth_stock_daily",
        500,
    )
    assert_equal(
        both,
        """select cast(products.product_id as bigint), daily.closing_quantity
            from published.commerce.fct_inventory_daily as daily
            inner join published.commerce.dim_products as products
                on daily.product_version_key = products.product_version_key
            where daily.business_date = (select max(business_date) from published.commerce.fct_inventory_daily)""",
        STOCK,
        50,
    )


def test_every_reject_is_there_with_its_reason(both: duckdb.DuckDBPyConnection) -> None:
    assert_equal(
        both,
        """select source_id, resource_name, reasons, count(*)
            from published.ops.ops_rejects where resource_name <> 'files' group by all""",
        """select source, resource, '["' || reason || '"]', count(*)
            from truth.truth_rejects where is_current = 1 group by all""",
        5,
    )


def test_rejects_that_were_mended_are_resolved(both: duckdb.DuckDBPyConnection) -> None:
    assert_equal(
        both,
        """select resource_name, count(*) filter (where is_resolved), count(*)
            from published.ops.ops_rejects where source_id = 'shop' group by all""",
        """select resource, count(*) filter (where mended_at is not null), count(*)
            from truth.truth_rejects where source = 'shop' group by all""",
        3,
    )


def test_what_the_sources_hold_is_what_was_counted(both: duckdb.DuckDBPyConnection) -> None:
    assert_equal(
        both,
        "select source_id, resource_name, sum(source_count) from published.ops.ops_loads group by all",
        """select source, replace(resource, '_changes', ''), records from truth.truth_counts
            where source <> 'shop' or resource like '%\\_changes' escape '\\'""",
        10,
    )
