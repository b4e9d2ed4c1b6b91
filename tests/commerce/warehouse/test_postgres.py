"""The same warehouse on Postgres: row by row what DuckDB publishes, whole generations, readers' rights."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from ingestion.demo.commerce import next_day, serving
from tests.warehouses import build_from, connected, differences
from warehouse.build.build import Request

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture(scope="module")
def company_copy(company: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("postgres") / "company"
    shutil.copytree(company, folder)
    return folder


def test_both_engines_publish_the_same_rows_build_after_build(
    company_copy: Path, postgres_database: dict[str, str], tmp_path: Path
) -> None:
    """Three builds on each engine, so that both generations catch up by increments; then one in full."""
    duck, folder = tmp_path / "duck", tmp_path / "postgres"
    for step in range(3):
        if step:
            next_day(company_copy, 2)
        with serving(company_copy, faults=[]) as systems:
            build_from(duck, systems, tested=False)
            prod = {**systems, **postgres_database, "TARGET": "prod"}
            build_from(folder, prod, tested=step == 2, unit_tested=step == 2)
        assert differences(duck, postgres_database) == {}, f"after build {step + 1}"
    facts_lie_in_months(postgres_database)
    with serving(company_copy, faults=[]) as systems:
        lines = build_from(folder, {**systems, **postgres_database, "TARGET": "prod"})
        assert "nothing to build" in lines[-1]
        build_from(folder, {**systems, **postgres_database, "TARGET": "prod"}, Request(full=True), tested=False)
    assert differences(duck, postgres_database) == {}, "after a full build"


def facts_lie_in_months(server: dict[str, str]) -> None:
    """Each month has its rows, all of them and no other's; a question about a month reads that month."""
    with closing(connected(server)) as connection, connection.cursor() as cursor:
        for fact, day in (("fct_sales", "business_date"), ("fct_orders", "placed_date"), ("fct_payments", "paid_date")):
            cursor.execute(f"""
                select to_char({day}, 'YYYY_MM'), count(distinct tableoid), min(tableoid::regclass::text)
                from commerce.{fact} group by 1 order by 1""")
            months = cursor.fetchall()
            assert len(months) > 3
            for month, tables, name in months:
                assert tables == 1 and name.startswith(f"partitions.{fact}_{month or 'undated'}_")
        cursor.execute("explain select count(*) from commerce.fct_sales "
                       "where business_date >= '2024-02-01' and business_date < '2024-03-01'")  # fmt: skip
        plan = " ".join(row[0] for row in cursor.fetchall())
        assert "fct_sales_2024_02_" in plan and "fct_sales_2024_01_" not in plan
        cursor.execute("select count(*) from information_schema.role_table_grants "
                       "where table_schema = 'partitions' and grantee <> current_user")  # fmt: skip
        assert cursor.fetchone() == (0,)
