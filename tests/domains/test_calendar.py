"""Which dates are plausible, and which years the calendar has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.contract.contracts import ContractError, Table
from ingestion.contract.reading import read_contract
from ingestion.contract.rules import judged, rejected
from tests.domains.garden import Garden, plant

CONTRACT = """
sources:
  - name: nursery
    tables:
      - name: plants
        config: {{meta: {{key: [plant_id]}}}}
        columns:
          - {{name: plant_id, data_type: text, config: {{meta: {{privacy: none, contract: {{required: true}}}}}}}}
          - {{name: sown_on, data_type: date, config: {{meta: {{privacy: none, contract: {{{sown}}}}}}}}}
          - {{name: seen_at, data_type: timestamp, config: {{meta: {{privacy: none, contract: {{required: true}}}}}}}}
          - {{name: height, data_type: bigint, config: {{meta: {{privacy: none, contract: {{{height}}}}}}}}}
"""


def contract(root: Path, sown: str = "", height: str = "") -> Table:
    folder = root / "models" / "staging" / "nursery"
    folder.mkdir(parents=True)
    (folder / "_nursery__sources.yml").write_text(CONTRACT.format(sown=sown, height=height), encoding="utf-8")
    (root / "dbt_project.yml").write_text(
        "vars: {calendar: {earliest: '1970-01-01', latest: '2069-12-31'}}", encoding="utf-8"
    )
    return read_contract("nursery", root).table("plants")


def reasons(table: Table, sown: str | None, seen: str | None, effective: str | None, operation: str = "U") -> list[str]:
    """Why a row is rejected; nothing where it is good."""
    connection = duckdb.connect()
    connection.execute(
        "create table given as select 'fern' as plant_id, cast(? as varchar) as sown_on, cast(? as varchar) as seen_at,"
        " '1' as height, cast(? as varchar) as _operation, 1 as _revision, cast(? as timestamp) as _effective_at",
        [sown, seen, operation, effective],
    )
    types = dict.fromkeys(table.column_names, "VARCHAR")
    connection.execute(f"create table judged as {judged(table, 'given', types)}")
    rows: list[Any] = connection.execute(f"select reasons from ({rejected(table, 'judged', types)})").fetchall()
    return json.loads(rows[0][0]) if rows else []


GOOD = ("2020-02-29", "2020-02-29 12:00:00", "2020-02-29 12:00:00")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (GOOD, []),
        ((None, *GOOD[1:]), []),
        (("1970-01-01", "1970-01-01 00:00:00", "1970-01-01 00:00:00"), []),
        (("2069-12-31", "2069-12-31 23:59:59.999999", "2069-12-31 23:59:59.999999"), []),
        (("1969-12-31", *GOOD[1:]), ["range:sown_on"]),
        (("2070-01-01", "2070-01-01 00:00:00", GOOD[2]), ["range:sown_on", "range:seen_at"]),
        ((GOOD[0], "9999-12-31 00:00:00", "0001-01-01 00:00:00"), ["range:_effective_at", "range:seen_at"]),
        ((GOOD[0], GOOD[1], None), ["missing:_effective_at"]),
        ((GOOD[0], None, GOOD[2]), ["missing:seen_at"]),
        (("soon", *GOOD[1:]), ["type:sown_on"]),
        ((*GOOD[:2], "infinity"), ["range:_effective_at"]),
    ],
)
def test_a_date_outside_the_calendar_is_a_reject(
    tmp_path: Path, row: tuple[str | None, str | None, str | None], expected: list[str]
) -> None:
    assert sorted(reasons(contract(tmp_path), *row)) == sorted(expected)


def test_a_record_whose_dates_are_implausible_can_be_deleted(tmp_path: Path) -> None:
    assert reasons(contract(tmp_path), "1066-10-14", GOOD[1], GOOD[2], operation="D") == []


def test_a_contract_widens_the_calendar_for_one_column(tmp_path: Path) -> None:
    table = contract(tmp_path, sown="earliest: '1900-01-01'")
    assert reasons(table, "1911-05-01", *GOOD[1:]) == []
    assert reasons(table, "1899-12-31", *GOOD[1:]) == ["range:sown_on"]


def test_a_bound_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="'once' is no day such as"):
        contract(tmp_path / "a", sown="latest: once")
    with pytest.raises(ContractError, match="latest bound dates and times, and data_type is bigint"):
        contract(tmp_path / "b", height="latest: '2020-01-01'")


@pytest.mark.slow
def test_the_calendar_has_the_years_that_facts_have(garden: Garden) -> None:
    """Whole years, be it 1996 or 2051; a day that is not known, and a fact that names no column, count for nothing."""
    folder = garden.project / "models" / "marts" / "plants"
    days = ("1900-01-01", "1996-02-29", "2051-07-01")
    rows = " union all ".join(f"select cast('{day}' as date) as seen_date" for day in days)
    plant(folder, "fct_sightings", rows, ["seen_date"])
    plant(folder, "fct_plans", "select cast('2060-01-01' as date) as seen_date", ["seen_date"])
    text = (folder / "fct_sightings.yml").read_text(encoding="utf-8")
    (folder / "fct_sightings.yml").write_text(
        text.replace("access: shared", "access: shared, calendar: [seen_date]"), encoding="utf-8"
    )
    garden.build("plants")
    schema = "core" if garden.engine else "published.core"
    bounds = "cast(min(date_day) as varchar), cast(max(date_day) as varchar), count(*)"
    assert garden.ask(f"select {bounds} from {schema}.dim_time_spine") == [("1996-02-29", "2051-07-01", 20212)]
    known = garden.ask(f"select {bounds} from {schema}.dim_dates where not is_unknown")
    assert known == [("1996-01-01", "2051-12-31", 20454)]
