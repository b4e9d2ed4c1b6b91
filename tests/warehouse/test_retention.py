"""Old versions go to an archive; what is left gives the same state from the horizon on, and the books still balance."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.contract.contracts import ContractError, Table, read_contract
from ingestion.destination.target import current_target
from tests.warehouse.small_shop import SmallShop, user_id
from tests.warehouse.test_history_builds import ENGINES_OF_BATTERY
from warehouse.build.history import rebuild_history
from warehouse.people.forgetting import forget
from warehouse.people.retention import kept_days, retain

pytestmark = pytest.mark.slow


@pytest.fixture(params=ENGINES_OF_BATTERY)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> SmallShop:
    """Users with versions on days of June 2025, in two loads, published."""
    engine: dict[str, str] = {}
    if request.param == "postgres":
        engine = {"TARGET": "prod", **request.getfixturevalue("postgres_database")}
    shop = SmallShop(tmp_path, engine)
    shop.log("users", "06-01 00:00:00", id=user_id(1), email="a@example.com", status="active")
    shop.log("users", "06-02 00:00:00", id=user_id(1), email="a@example.com", status="inactive")
    shop.log("users", "06-01 00:00:00", id=user_id(2), email="b@example.com", status="active")
    shop.build("06-03T00:00:00")
    shop.log("users", "06-04 00:00:00", id=user_id(1), email="a@example.com", status="suspended")
    shop.log("users", "06-20 00:00:00", id=user_id(1), email="a@example.com", status="active")
    shop.log("users", "06-21 00:00:00", id=user_id(3), email="c@example.com", status="active")
    shop.publish("06-22T00:00:00")
    return shop


def statuses(shop: SmallShop, number: int) -> list[tuple[Any, ...]]:
    rows = shop.ask(
        lambda d: (
            "select valid_from, customer_status from "
            f"{d.published('commerce', 'dim_customers')} where customer_id = '{user_id(number)}' order by 1"
        )
    )
    return [(f"{at:%m-%d}" if at.year > 1900 else "…", status) for at, status in rows]


def test_what_was_replaced_before_the_horizon_goes(shop: SmallShop) -> None:
    now = {"GRANARY_OBSERVED_AT": "2028-06-14T00:00:00"}  # 1095 days after 15 June 2025
    assert statuses(shop, 1) == [("…", "active"), ("06-02", "inactive"), ("06-04", "suspended"), ("06-20", "active")]
    said: list[str] = []
    with shop.entered(now):
        assert retain(current_target(), True, said.append) == 2
    assert "shop.users: 2 versions from before 2025-06-15 would go" in said
    with shop.entered({**now, "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test"}):
        assert retain(current_target(), False, said.append) == 2
    # The tests of dbt ran over it: every load's records are in raw or in the archive.
    assert [line for line in said if line.startswith("tests: ")]
    for user in (2, 3):
        assert statuses(shop, user) == [("…", "active")]
    assert statuses(shop, 1) == [("…", "suspended"), ("06-20", "active")]
    archived = duckdb.sql(
        f"select status, _effective_at from '{shop.warehouse}/archive/shop/users/*.parquet' order by _effective_at"
    ).fetchall()
    assert archived == [("active", datetime(2025, 6, 1)), ("inactive", datetime(2025, 6, 2))]  # noqa: DTZ001
    rows = shop.ask(lambda d: f"select archived_count from {d.granary('archived')}")
    assert rows == [(2,)]
    if not shop.engine:  # the archive is the same files beside either engine
        the_archive_is_no_hiding_place(shop)
    with shop.entered(now):
        assert retain(current_target(), False, said.append) == 0
        assert all(not each.gone and not each.new for each in rebuild_history(current_target(), said.append))
    # What comes after goes on as ever.
    shop.log("users", "06-25 00:00:00", id=user_id(2), email="b@example.com", status="inactive")
    shop.publish("06-26T00:00:00")
    assert statuses(shop, 2) == [("…", "active"), ("06-25", "inactive")]


def the_archive_is_no_hiding_place(shop: SmallShop) -> None:
    with shop.entered({"DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test"}):
        forget(current_target(), ["a@example.com"], False, lambda line: None)
    tokens = duckdb.sql(f"select distinct email from '{shop.warehouse}/archive/shop/users/*.parquet'").fetchall()
    assert len(tokens) == 1 and tokens[0][0].startswith("forgotten_")


@pytest.mark.parametrize("limit", [{"days": 0}, {"months": 3}, 1095, {"days": "many"}])
def test_a_limit_that_is_none(limit: object) -> None:
    table = read_contract("shop").table("users")
    broken = Table(table.source, table.name, table.columns, table.key, table.key, meta={"retention": limit})
    with pytest.raises(ContractError, match=r"shop.users: config.meta.retention is .*: say \{days: 1095\}"):
        kept_days(broken)
