"""A list of touched keys tells each of two generations what this one has not seen, whichever saw it first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commerce.warehouse.small_shop import SmallShop
from tests.commerce.warehouse.test_history_builds import (
    first_days,
    late_ones,
    order,
    until_end_of_june,
    versions_of_facts,
)
from tests.warehouses import as_environment

pytestmark = pytest.mark.slow


@pytest.mark.postgres
def test_a_generation_takes_in_what_the_other_one_saw(
    new_postgres_database: Callable[[], dict[str, str]], tmp_path: Path
) -> None:
    """On Postgres, where what a view reads is decided when it is made."""
    shop = SmallShop(tmp_path, {**as_environment(new_postgres_database()), "TARGET": "prod"})
    first_days(shop)
    until_end_of_june(shop)
    shop.publish("06-30T12:00:00")
    order(shop, 19, user=5, at="06-30 13:00:00", product=4, address=3)
    shop.publish("06-30T14:00:00")
    late_ones(shop)
    shop.publish("07-01T12:00:00")
    facts = []
    for number, hour in ((20, 13), (21, 14)):
        order(shop, number, user=5, at=f"07-01 {hour}:00:00", product=4, address=3)
        shop.publish(f"07-01T{hour}:30:00")
        # The generation that was published before this one.
        facts.append(
            {what: value for what, value in versions_of_facts(shop).items() if not what.endswith((" 20", " 20.1"))}
        )
    first, second = facts
    assert first["product of line 6.1"] == "06-08" and first["payment 8"] == "06-15"
    assert second == first
