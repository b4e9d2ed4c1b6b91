"""A tenant's extract holds its rows, what everybody reads, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from ingestion.destination.target import current_target
from ingestion.project import PROJECT_ROOT
from tests.commerce.warehouse.test_metrics import ENGINES
from tests.warehouses import settings
from warehouse.errors import BuildError
from warehouse.people.extract import extract_tenant

pytestmark = pytest.mark.slow

TENANTS_TABLES = (
    "fct_sales",
    "fct_orders",
    "fct_payments",
    "fct_refunds",
    "fct_inventory_movements",
    "agg_sales__daily",
)


@pytest.fixture(scope="module", params=ENGINES)
def environment(request: pytest.FixtureRequest, built: Path) -> dict[str, str]:
    if request.param == "postgres":
        return dict(request.getfixturevalue("marts_on_postgres")())
    return {"TARGET": "dev", "WAREHOUSE_DIR": str(built)}


@pytest.mark.parametrize(
    ("tenants", "others"), [(["retail"], ["shop", "accounts"]), (["shop", "accounts"], ["retail"])]
)
def test_an_extract_holds_a_tenants_rows(
    environment: dict[str, str], built: Path, tmp_path: Path, tenants: list[str], others: list[str]
) -> None:
    with settings(environment):
        path = extract_tenant(current_target(), tenants, tmp_path, lambda line: None)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute(f"attach '{built / 'warehouse.duckdb'}' as whole (read_only)")
        counted = 0
        for table in TENANTS_TABLES:
            ((own, all_of_it, strange),) = connection.execute(f"""
                select
                    (select count(*) from commerce.{table}),
                    (select count(*) from whole.commerce.{table} join whole.core.dim_sources using (source_key)
                     where source_id in {tuple(tenants) if len(tenants) > 1 else f"('{tenants[0]}')"}),
                    (select count(*) from commerce.{table} join whole.core.dim_sources using (source_key)
                     where source_id in {tuple(others) if len(others) > 1 else f"('{others[0]}')"})""").fetchall()
            assert (own, strange) == (all_of_it, 0), table
            counted += own
        assert counted > 0
        # Every join to a dimension finds its row.
        ((lost,),) = connection.execute("""
            select count(*) from commerce.fct_sales as s
            left join commerce.dim_customers as c on s.customer_version_key = c.customer_version_key
            left join commerce.dim_products as p on s.product_version_key = p.product_version_key
            left join core.dim_sources as d on s.source_key = d.source_key
            where c.customer_key is null or p.product_key is null or d.source_key is null""").fetchall()
        assert lost == 0
        tables = {row[0] for row in connection.execute(
            "select table_name from duckdb_tables() where database_name != 'whole'").fetchall()}  # fmt: skip
        assert "dim_dates" in tables and tables.isdisjoint({"agg_customers__lifetime", "ops_rejects", "ops_loads"})


@pytest.mark.parametrize(
    ("tenants", "message"),
    [([], "whose rows"), (["shop'; drop"], "whose rows"), (["nobody"], "no fact has a row of nobody")],
)
def test_an_extract_of_nobody(built: Path, tmp_path: Path, tenants: list[str], message: str) -> None:
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(built)}), pytest.raises(BuildError, match=message):
        extract_tenant(current_target(), tenants, tmp_path, lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_an_extract_is_a_tenants_or_a_roles(built: Path, tmp_path: Path) -> None:
    words = ["extract", "retail", "--role", "researcher", "--folder", str(tmp_path)]
    environment = {**os.environ, "TARGET": "dev", "WAREHOUSE_DIR": str(built)}
    done = subprocess.run(
        [sys.executable, "-m", "warehouse", *words], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1 and "say TENANT=… or ROLE=…, not both" in done.stderr
    assert list(tmp_path.iterdir()) == []
