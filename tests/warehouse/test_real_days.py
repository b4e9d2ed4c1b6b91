"""The 152 real trading days: every figure that plain SQL over the files counted, on both engines, by any path."""

from __future__ import annotations

import os
import shutil
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ingestion.contracts import PROJECT_ROOT
from ingestion.destination import current_target
from ingestion.duck import connect, load_extension
from ingestion.run import load_all
from tests.warehouse.warehouses import build_from, differences, opened, settings

REAL_DAYS = PROJECT_ROOT.parent / "shared" / "data" / "online_retail" / "daily"
NOT_TESTED = "THE REAL TRADING DAYS ARE NOT HERE: THE WAREHOUSE WAS NOT TESTED ON THEM"

# From the README of the data, where they were counted apart from any code of this project.
FIGURES = {
    "count(*)": 225_438,
    "count(distinct document_number)": 11_670,
    "count(distinct product_code)": 3_588,
    "sum(quantity)": 2_101_980,
    "sum(quantity * unit_price_amount)": Decimal("4000082.001"),
    "sum(gross_amount)": Decimal("4000082.001"),
    "count(*) filter (where line_type = 'cancellation')": 4_096,
    "sum(gross_amount) filter (where line_type = 'cancellation')": Decimal("-403228.140"),
    "count(*) filter (where customer_key = '00000000-0000-0000-0000-000000000000')": 63_895,
    "count(*) filter (where unit_price_amount = 0)": 1_360,
    "count(distinct customer_key) - 1": 2_879,
}
MONTHS = {
    "2010-12-01": (2_025, 342_228, "748957.020"),
    "2011-01-01": (1_476, 308_966, "560000.260"),
    "2011-02-01": (1_393, 277_989, "498062.650"),
    "2011-03-01": (1_983, 351_872, "683267.080"),
    "2011-04-01": (1_744, 289_098, "493207.121"),
    "2011-05-01": (2_162, 380_391, "723333.510"),
    "2011-06-01": (887, 151_436, "293254.360"),
}


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


def assert_figures(connection: duckdb.DuckDBPyConnection, fact: str) -> None:
    for expression, value in FIGURES.items():
        row = connection.execute(f"select {expression} from {fact}").fetchone()
        assert row == (value,), f"{expression} is {row}, not {value}"
    months = connection.execute(f"""
        select cast(date_trunc('month', business_date) as date), count(distinct document_number), sum(quantity),
            sum(gross_amount)
        from {fact} group by 1""").fetchall()
    assert {str(month): (documents, units, value) for month, documents, units, value in months} == {
        month: (documents, units, Decimal(value)) for month, (documents, units, value) in MONTHS.items()
    }


def test_every_figure_on_duckdb(at_once: Path) -> None:
    with opened(at_once) as connection:
        assert_figures(connection, "commerce.fct_sales")


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
            build_from(warehouse, source)
    assert differences(at_once, warehouse) == {}


@pytest.mark.postgres
def test_every_figure_on_postgres(
    real_days: Path, at_once: Path, postgres_database: dict[str, str], tmp_path: Path
) -> None:
    build_from(tmp_path, {"SOURCES__RETAIL__BUCKET_URL": str(real_days), "TARGET": "prod", **postgres_database})
    connection = connect()
    load_extension(connection, "postgres_scanner")
    dsn = (
        f"host={postgres_database['PGHOST']} port={postgres_database.get('PGPORT', '5432')} "
        f"user={postgres_database['PGUSER']} dbname={postgres_database['PGDATABASE']}"
    )
    connection.execute(f"attach '{dsn}' as pg (type postgres, read_only)")
    assert_figures(connection, "pg.commerce.fct_sales")
    connection.close()
    assert differences(at_once, postgres_database) == {}
