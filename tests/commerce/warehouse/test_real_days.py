"""The 152 real trading days: every figure that plain SQL over the files counted, on both engines, by any path."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from ingestion.duck import connect
from ingestion.load.run import load_all
from tests.commerce.days import feed, late_and_corrected
from tests.commerce.real_days import REAL_DAYS, wrong_figures
from tests.prove.same import expect_same
from tests.prove.tally import Tally
from tests.warehouses import attach_published, build_from, differences, opened, settings

pytestmark = [pytest.mark.slow, pytest.mark.battery]

NOT_TESTED = "THE REAL TRADING DAYS ARE NOT HERE: THE WAREHOUSE WAS NOT TESTED ON THEM"


@pytest.fixture(scope="module")
def real_days() -> Path:
    if not REAL_DAYS.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(NOT_TESTED)
        pytest.skip(NOT_TESTED)
    return REAL_DAYS


@pytest.fixture(scope="module")
def at_once(real_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("at_once")
    build_from(folder, {"SOURCES__RETAIL__BUCKET_URL": str(real_days)})
    return folder


def test_every_figure_on_duckdb(at_once: Path) -> None:
    with opened(at_once) as connection:
        assert wrong_figures(connection, "commerce.fct_sales") == []


def test_descriptions_repeats_and_countries_are_kept(at_once: Path) -> None:
    """Rows without a description lie in raw as they came; lines that repeat another to the letter are lines."""
    with opened(at_once) as connection:
        lines = "build.raw_retail.sales_lines"
        assert connection.execute(f"select count(*) from {lines} where description is null").fetchone() == (865,)
        assert connection.execute(f"""
            select count(*) - count(distinct (
                invoice_no, stock_code, description, quantity, invoice_date, unit_price, customer_id, country
            )) from {lines}""").fetchone() == (1_877,)
        # Customers seen in more than one country have more than one version or one that the day's rule chose.
        assert connection.execute(f"""
            select count(*) from (
                select customer_id from {lines} where customer_id is not null
                group by 1 having count(distinct country) > 1)""").fetchone() == (5,)


def test_a_day_at_a_time_is_all_at_once(real_days: Path, at_once: Path, tmp_path: Path) -> None:
    """152 loads of one day each, with a build after every 38th; then the published tables are the same."""
    drop, warehouse = tmp_path / "drop", tmp_path / "warehouse"
    drop.mkdir()
    source = {"SOURCES__RETAIL__BUCKET_URL": str(drop)}
    for number, day in enumerate(sorted(real_days.iterdir()), start=1):
        shutil.copy2(day, drop / day.name)
        if number % 38:
            with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(warehouse), **source}):
                _, failures = load_all(current_target(), lambda line: None, ["retail"])
            assert not failures
        else:
            build_from(warehouse, source, tested=False)
    assert differences(at_once, warehouse) == {}


def test_late_days_and_a_wrong_file_leave_no_trace(real_days: Path, tmp_path: Path) -> None:
    """Eight days, five of them late, one wrong at first; all 152, and Postgres, are for `make prove`."""
    days, tally = sorted(real_days.iterdir())[:8], Tally()
    bunches = late_and_corrected(days, tmp_path / "wrong", 12, random.Random(20261121))
    assert len(bunches) >= 3 and sum(map(len, bunches)) == len(days) + 1
    whole = feed("all at once", [days], tmp_path / "whole", {}, tally, print)
    path = feed("late and corrected", bunches, tmp_path / "path", {}, tally, print, tests_every=9)
    expect_same("late and corrected", whole, path, tally)


@pytest.mark.postgres
def test_every_figure_on_postgres(
    real_days: Path, at_once: Path, postgres_database: dict[str, str], tmp_path: Path
) -> None:
    prod = {"SOURCES__RETAIL__BUCKET_URL": str(real_days), "TARGET": "prod", **postgres_database}
    build_from(tmp_path, prod, tested=False)
    with connect() as connection:
        attach_published(connection, postgres_database, "pg")
        assert wrong_figures(connection, "pg.commerce.fct_sales") == []
    assert differences(at_once, postgres_database) == {}
