"""A person is forgotten everywhere, the money stays, nothing brings them back: neither the source, nor a restore."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.destination.target import current_target
from ingestion.privacy.tombstones import read_tombstones
from tests.commerce.warehouse.small_shop import SmallShop, account, user_id
from tests.crosswalks import identifiers
from warehouse.build import redaction
from warehouse.errors import BuildError
from warehouse.ops.backup import back_up, restore
from warehouse.people.forgetting import forget

pytestmark = [pytest.mark.slow, pytest.mark.battery]

EVE = {"email": "eve@example.com", "first_name": "Evelyn", "last_name": "Poe"}
DOT = {"email": "dot@example.com", "first_name": "Dorothy", "last_name": "Poe"}


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallShop:
    """Two people with the same family name, each with an order, an account and a reject; built and published twice."""
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
    engine: dict[str, str] = {}
    if request.param == "postgres":
        engine = {"TARGET": "prod", **request.getfixturevalue("postgres_database")}
    shop = SmallShop(tmp_path, {**engine, "DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test"})
    shop.log("categories", "06-01 00:00:00", id=1, name="Tea")
    shop.log("products", "06-01 00:00:00", id=1, sku="P1", name="Mug", category_id=1)
    for number, person in ((1, EVE), (2, DOT)):
        shop.log("users", "06-01 00:00:00", id=user_id(number), **{**person, "email": f"old{number}@example.com"})
        shop.log("users", "06-05 00:00:00", id=user_id(number), **person)
        shop.log("users", "06-06 00:00:00", id=user_id(number), **{**person, "status": "no state"})
        shop.put("06-01 00:00:00", id=number, user_id=user_id(number), city=f"Town {number}", postal_code=f"PC{number}")
        at = "06-10 12:00:00"
        shop.log("orders", at, id=number, user_id=user_id(number), placed_at=at, shipping_address_id=number)
        shop.log("order_items", at, id=number, order_id=number, product_id=1)
    shop.accounts = [account(number, "06-07T00:00:00", **each) for number, each in ((1, EVE), (2, DOT))]
    shop.publish("06-20T00:00:00")
    shop.log("orders", "06-20 12:00:00", id=3, user_id=user_id(1), placed_at="06-20 12:00:00", shipping_address_id=1)
    shop.log("order_items", "06-20 12:00:00", id=3, order_id=3, product_id=1)
    shop.publish("06-21T00:00:00")
    return shop


def forgotten(shop: SmallShop, *asked: str, dry: bool = False) -> list[str]:
    """Forget. Returns what was said."""
    said: list[str] = []
    with shop.entered():
        forget(current_target(), asked, dry, said.append)
    return said


def of_customer(shop: SmallShop, where: Callable[[Any], Any], number: int) -> list[tuple[Any, ...]]:
    """What a generation says of a customer, tokens told as what they stand for."""
    known = identifiers()
    rows = shop.ask(
        lambda database: (
            "select valid_from, email_token, first_name_token, last_name_token, city, postal_code, account_id "
            f"from {where(database)('commerce', 'dim_customers')} where customer_id = '{user_id(number)}' order by 1"
        )
    )
    return [tuple(known.get(str(value), value) for value in row[1:]) for row in rows]


def sales(shop: SmallShop) -> Decimal:
    [(amount,)] = shop.ask(lambda d: f"select sum(net_amount) from {d.published('commerce', 'fct_sales')}")
    return Decimal(amount)


def published(database: Any) -> Any:
    return database.published


def following(database: Any) -> Any:
    return database.next


def assert_forgotten(shop: SmallShop) -> None:
    """Nothing leads from either generation, from raw or from rejects to Eve; Dot is there as she was."""
    for generation in (published, following):
        ours = of_customer(shop, generation, 1)
        assert ours and all(row[3:5] == (None, None) for row in ours), ours
        assert all(str(value).startswith("forgotten_") for row in ours for value in row[:3]), ours
        assert of_customer(shop, generation, 2)[-1] == ("dot@example.com", "Dorothy", "Poe", "Town 2", "PC2", "acc_2")
    values = set(identifiers().values())
    assert not {"eve@example.com", "old1@example.com", "Evelyn"} & values
    assert {"dot@example.com", "Poe"} <= values, "who has a name in common keeps it"
    rejects = shop.ask(lambda d: f"select record from {d.raw('shop', 'rejects')} order by length(record)")
    assert len(rejects) == 2 and rejects[0] == ("{}",) and user_id(2) in rejects[1][0]
    cities = shop.ask(
        lambda d: f"select distinct city from {d.raw('shop', 'addresses')} where user_id = '{user_id(1)}'"
    )
    assert cities == [(None,)]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_person_is_forgotten_and_stays_so(shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in ("shop:nobody", "nobody@example.com", "acc_1"):
        with pytest.raises(BuildError, match="nobody is known as"):
            forgotten(shop, asked)
    before = sales(shop)
    assert of_customer(shop, published, 1)[-1] == ("eve@example.com", "Evelyn", "Poe", "Town 1", "PC1", "acc_1")
    if not shop.engine:
        with shop.entered():
            back_up(current_target(), None, 7, lambda line: None)
    assert forgotten(shop, "EVE@example.com", dry=True) == [
        "would forget accounts:acc_1", f"would forget shop:{user_id(1)}",
    ]  # fmt: skip
    assert of_customer(shop, published, 1)[-1][0] == "eve@example.com"

    # Cut short once raw doesn't know her any more, and before the marts are told: the next one finishes it.
    said: list[str] = []
    with monkeypatch.context() as cut, shop.entered():
        cut.setattr(redaction, "shred", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forget(current_target(), [f"shop:{user_id(1)}"], False, said.append)
    assert said[:2] == ["forgetting accounts:acc_1", f"forgetting shop:{user_id(1)}"]
    assert not str(of_customer(shop, published, 1)[-1][0]).startswith("forgotten_"), "the marts aren't told yet"
    assert forgotten(shop)[0] == "0 persons gone from raw, 0 identifiers from the crosswalk"
    assert_forgotten(shop)
    assert sales(shop) == before == Decimal(30)
    with shop.entered():
        tombstones = read_tombstones(current_target())
    assert {(each.source, each.person) for each in tombstones} == {("shop", user_id(1)), ("accounts", "acc_1")}

    # The source goes on to tell of her, and of an order that is hers.
    shop.log("users", "06-22 00:00:00", id=user_id(1), **{**EVE, "last_name": "Poe-Roe"})
    shop.log("users", "06-22 01:00:00", id=user_id(1), **{**EVE, "status": "no state either"})
    shop.put("06-22 00:00:00", id=1, user_id=user_id(1), city="Town 9", postal_code="PC9")
    shop.log("orders", "06-22 12:00:00", id=4, user_id=user_id(1), placed_at="06-22 12:00:00", shipping_address_id=1)
    shop.log("order_items", "06-22 12:00:00", id=4, order_id=4, product_id=1)
    shop.accounts = [account(1, "06-22T00:00:00", **EVE, profile={"bio": "Evelyn Poe-Roe"})]
    shop.publish("06-23T00:00:00")
    assert sales(shop) == before + 10
    assert not [value for value in identifiers().values() if "eve@" in value or "Evelyn" in value or "Roe" in value]
    ours = of_customer(shop, published, 1)
    assert all(str(value).startswith("forgotten_") for row in ours for value in row[:3]), ours
    assert ours[-1][5] == "acc_1"
    assert forgotten(shop) == [
        "nobody is to be forgotten: the warehouse knows nobody whom the ledger of tombstones names"
    ]

    # A restore brings back what was; the ledger of tombstones isn't part of it.
    if shop.engine:
        shop.ask(lambda d: f"update {d.raw('shop', 'addresses')} set city = 'Town 1' where user_id = '{user_id(1)}'")
        said = shop.publish("06-24T00:00:00")
        assert "1 person gone from raw, 0 identifiers from the crosswalk" in said, "a build sees to it, too"
    else:
        said = []
        with shop.entered():
            restore(current_target(), None, said.append)
        assert said[0].startswith("2 persons gone from raw")
        assert not list(shop.warehouse.glob("warehouse*.duckdb")), "marts that know her are not for readers"
        for day in (24, 25):
            shop.publish(f"06-{day}T00:00:00")
            shop.log("orders", f"06-{day} 01:00:00", id=day, user_id=user_id(2), placed_at=f"06-{day} 01:00:00")
        assert_forgotten(shop)
