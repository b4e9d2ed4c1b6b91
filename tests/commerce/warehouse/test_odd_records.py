"""Records that are oddly written, and such as no mart could hold: all others are published, with all tests."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.commerce.warehouse.small_shop import SmallShop, user_id
from tests.commerce.warehouse.test_history_builds import ENGINES
from tests.warehouses import as_environment

pytestmark = pytest.mark.slow

AT = "06-10 12:00:00"


@pytest.fixture(scope="module", params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallShop:
    engine = {}
    if request.param == "postgres":
        engine = {**as_environment(request.getfixturevalue("new_postgres_database")()), "TARGET": "prod"}
    shop = SmallShop(tmp_path_factory.mktemp("odd_records"), engine)
    shop.log("users", AT, id=user_id(0xA), email="u@example.com", status="ACTIVE\u00a0")
    shop.put(AT, id=1, user_id=user_id(0xA).upper(), country_code="gb\t")
    shop.log("categories", AT, id=1, name="Tea")
    shop.log("products", AT, id=1, sku="P|1", name="Mug", category_id=1, currency_code="\u2003gbp")
    orders: list[dict[str, Any]] = [
        {"user_id": user_id(0xA).upper() + " ", "status": "Shipped\t"},
        # In euros: times a rate of eight places, from a million on more than 18 digits.
        {"currency_code": "EUR", "total_amount": 1_000_000, "subtotal_amount": 1_000_000},
        {"currency_code": "eur\u3000", "total_amount": "98765432109876.5", "subtotal_amount": 1},
        {"currency_code": "USD", "total_amount": "1e999"},
        {"currency_code": "jpy"},
    ]
    lines: list[dict[str, Any]] = [
        {"kind": "SALE\u00a0"},
        {"unit_price_amount": 1_000_000},
        {"quantity": 10_000_000, "unit_price_amount": 100_000_000_000},
        # A barcode was scanned into the quantity; the smallest number that there is.
        {"quantity": 5_012_345_678_900, "unit_price_amount": 24.95},
        {"quantity": -(2**63)},
        {"unit_price_amount": "100000000000.01"},
        {"quantity": 150},
    ]
    for number, values in enumerate(orders, start=1):
        usual = {"user_id": user_id(0xA), "placed_at": AT, "shipping_address_id": 1}
        shop.log("orders", AT, id=number, **{**usual, **values})
    for number, values in enumerate(lines, start=1):
        shop.log(
            "order_items",
            AT,
            id=number,
            order_id=5 if number == 7 else min(number, 3),
            product_id=1,
            line_number=number,
            **values,
        )
    shop.log("payments", AT, id=1, order_id=3, paid_at=AT, currency_code="EUR", amount="98765432109876.5")
    for number, moved_at in enumerate([AT, "06-11 12:00:00"], start=1):
        shop.log(
            "inventory_movements", AT, id=number, product_id=1, movement_type="RECEIPT ", quantity=10**7,
            stock_after=number * 10**7, moved_at=moved_at,
        )  # fmt: skip
    shop.publish("06-20T00:00:00", tested=True)
    return shop


def asked(shop: SmallShop, columns: str, table: str) -> list[tuple[Any, ...]]:
    return shop.ask(lambda database: f"select {columns} from {database.published('commerce', table)} order by 1")


def test_what_no_mart_can_hold_is_a_reject(shop: SmallShop) -> None:
    rows = shop.ask(
        lambda database: f"select resource, record_key, reasons from {database.raw('shop', 'rejects')} order by 1, 2"
    )
    assert [(resource, json.loads(key), json.loads(reasons)) for resource, key, reasons in rows] == [
        ("order_items", ["4"], ["range:quantity"]),
        ("order_items", ["5"], ["range:quantity"]),
        ("order_items", ["6"], ["range:unit_price_amount"]),
        ("orders", ["4"], ["type:total_amount"]),
    ]


def test_large_amounts_are_exact(shop: SmallShop) -> None:
    orders = asked(shop, "order_id, total_amount, total_reporting_amount", "fct_orders")
    *orders, unrated = orders
    assert unrated == (5, 10, None)
    rates = {number: reporting / total for number, total, reporting in orders}
    assert rates[1] == 1 and rates[2] == round(rates[2], 8)
    large = Decimal("98765432109876.5")
    assert [total for _, total, _ in orders] == [10, 1_000_000, large]
    assert orders[2][2] == round(large * rates[2], 4)
    assert asked(shop, "payment_id, payment_reporting_amount", "fct_payments") == [(1, orders[2][2])]
    *lines, (_, unrated_amount, nothing) = asked(shop, "line_number, gross_amount, net_reporting_amount", "fct_sales")
    assert (unrated_amount, nothing) == (1500, None)
    assert [gross for _, gross, _ in lines] == [10, 1_000_000, 10**18]
    assert [net for _, _, net in lines] == [10, 1_000_000 * rates[2], 10**18 * rates[2]]
    assert asked(shop, "sum(net_sales_amount)", "agg_sales__daily") == [(sum(net for _, _, net in lines),)]


def test_codes_are_read_whatever_their_case_and_blanks(shop: SmallShop) -> None:
    assert asked(shop, "order_id, order_status, currency_code", "fct_orders") == [
        (1, "shipped", "GBP"), (2, "paid", "EUR"), (3, "paid", "EUR"), (5, "paid", "JPY"),
    ]  # fmt: skip
    customers = "customer_id, is_inferred"
    known = [row for row in asked(shop, f"distinct {customers}", "dim_customers") if row[0] != "unknown"]
    assert known == [(user_id(0xA), False)]
    assert asked(shop, "count(*), count(distinct customer_key)", "fct_orders") == [(4, 1)]
    assert {kind for (kind,) in asked(shop, "distinct line_type", "fct_sales")} == {"sale"}
    assert asked(shop, "on_hand_quantity", "agg_stock_risk__products") == [(2 * 10**7,)]


def test_what_has_no_exchange_rate_is_said(shop: SmallShop) -> None:
    said = "document_count, line_count, unrated_document_count, unrated_line_count"
    assert asked(shop, said, "agg_sales__daily") == [(4, 4, 1, 1)]
    unrated = asked(shop, "currency_code, document_count, line_count, net_amount", "agg_unrated_sales__daily")
    assert unrated == [("JPY", 1, 1, 1500)]
