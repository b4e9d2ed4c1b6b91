"""Old versions go to an archive; what is left gives the same state from the horizon on, and the books still balance."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
import pytest

from ingestion.contract.contracts import ContractError, Table
from ingestion.contract.reading import read_contract
from ingestion.destination.target import current_target
from ingestion.environment import variables
from tests.tiny.club import PROJECT, Club
from tests.tiny.conftest import EVERYWHERE
from warehouse.build.history import rebuild_history
from warehouse.people.forgetting import forget
from warehouse.people.retention import kept_days, retain

# Forgotten here, and nobody else's: all clubs of a process have one crosswalk.
GONE = "gone@example.com"


def tiers(club: Club, number: int) -> list[tuple[Any, ...]]:
    rows = club.ask(
        lambda d: (
            f"select valid_from, tier from {d.published('tiny', 'dim_members')} where member_id = {number} order by 1"
        )
    )
    return [(f"{at:%m-%d}" if at.year > 1900 else "…", tier) for at, tier in rows]


@pytest.mark.parametrize("engine", EVERYWHERE, indirect=True)
def test_what_was_replaced_before_the_horizon_goes(club: Club) -> None:
    for day, tier in (("06-01", "bronze"), ("06-02", "silver")):
        club.member(1, day, tier=tier, email=GONE)
    club.member(2, "06-01")
    club.deliver()
    club.load()
    for day, tier in (("06-04", "gold"), ("06-20", "bronze")):
        club.member(1, day, tier=tier, email=GONE)
    club.member(3, "06-21")
    club.deliver()
    club.build(observed_at="06-22")

    now = {"GRANARY_OBSERVED_AT": "2028-06-14T00:00:00"}  # 1095 days after 15 June 2025
    assert tiers(club, 1) == [("…", "bronze"), ("06-02", "silver"), ("06-04", "gold"), ("06-20", "bronze")]
    said: list[str] = []
    with club.entered(), variables(now):
        assert retain(current_target(), True, said.append) == 2
    assert "club.members: 2 versions from before 2025-06-15 would go" in said
    with club.entered(), variables({**now, "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test"}):
        assert retain(current_target(), False, said.append) == 2
    # The tests of dbt ran over it: every load's records are in raw or in the archive.
    assert [line for line in said if line.startswith("tests: ")]
    for member in (2, 3):
        assert tiers(club, member) == [("…", "bronze")]
    assert tiers(club, 1) == [("…", "gold"), ("06-20", "bronze")]
    archive = f"'{club.warehouse}/archive/club/members/*.parquet'"
    archived = duckdb.sql(f"select tier, _effective_at from {archive} order by _effective_at").fetchall()
    assert archived == [("bronze", datetime(2025, 6, 1)), ("silver", datetime(2025, 6, 2))]  # noqa: DTZ001
    assert club.ask(lambda d: f"select archived_count from {d.granary('archived')}") == [(2,)]
    if not club.engine:  # the archive is the same files beside either engine
        with club.entered(), variables({"DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test"}):
            forget(current_target(), [GONE], False, lambda line: None)
        tokens = duckdb.sql(f"select distinct email from {archive}").fetchall()
        assert len(tokens) == 1 and tokens[0][0].startswith("forgotten_"), "the archive is no hiding place"
    with club.entered(), variables(now):
        assert retain(current_target(), False, said.append) == 0
        assert all(not each.gone and not each.new for each in rebuild_history(current_target(), said.append))
    # What comes after goes on as ever.
    club.member(2, "06-25", tier="gold")
    club.deliver()
    club.build(observed_at="06-26")
    assert tiers(club, 2) == [("…", "bronze"), ("06-25", "gold")]


@pytest.mark.parametrize("limit", [{"days": 0}, {"months": 3}, 1095, {"days": "many"}])
def test_a_limit_that_is_none(limit: object) -> None:
    table = read_contract("club", PROJECT).table("members")
    broken = Table(table.source, table.name, table.columns, table.key, table.key, meta={"retention": limit})
    with pytest.raises(ContractError, match=r"club.members: config.meta.retention is .*: say \{days: 1095\}"):
        kept_days(broken)
