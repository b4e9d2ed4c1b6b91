"""The same warehouse on Postgres: row by row what DuckDB has in raw and publishes, build after build."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.contract.contracts import META_COLUMNS
from ingestion.contract.reading import read_contract
from ingestion.demo.commerce import next_day, serving
from tests.warehouses import build_from, connected, differences
from warehouse.build.build import Request

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


SOURCES = ("accounts", "retail", "shop")


def test_both_engines_publish_the_same_rows_build_after_build(
    running: tuple[Path, Path], company: Path, postgres_database: dict[str, str], tmp_path: Path
) -> None:
    """Three builds on each engine, so that both generations catch up by increments; then one in full."""
    later, duck = running  # of which the first build is there
    folder = tmp_path / "postgres"
    for step, world in enumerate((company, later, later)):
        if step == 2:
            next_day(later, 2)
        with serving(world, faults=[]) as systems:
            if step:
                build_from(duck, systems, tested=False)
            prod = {**systems, **postgres_database, "TARGET": "prod"}
            build_from(folder, prod, tested=step == 2, unit_tested=step == 2)
        assert differences(duck, postgres_database) == {}, f"after build {step + 1}"
    facts_lie_in_months(postgres_database)
    with duckdb.connect(str(duck / "build.duckdb"), read_only=True) as here, connected(postgres_database) as there:
        for source in SOURCES:
            assert every_row(source, lambda sql: asked(there, sql)) == every_row(
                source, lambda sql: here.execute(sql).fetchall()
            ), source
    with serving(later, faults=[]) as systems:
        lines = build_from(folder, {**systems, **postgres_database, "TARGET": "prod"})
        assert "nothing to build" in lines[-1]
        build_from(folder, {**systems, **postgres_database, "TARGET": "prod"}, Request(full=True), tested=False)
    assert differences(duck, postgres_database) == {}, "after a full build"


def asked(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def every_row(source: str, ask: Callable[[str], list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of raw but for the load that brought them, by table."""
    tables = {table.name: [*table.column_names, *META_COLUMNS] for table in read_contract(source).tables}
    tables["rejects"] = ["reject_id", "resource", "record_key", "reasons", "_revision", "_effective_at", "_observed_at"]
    tables["loads"] = ["resource", "source_count", "loaded_count", "known_count", "rejected_count", "deleted_count"]
    return {
        name: sorted(
            tuple(str(value) for value in row) for row in ask(
                f"select {', '.join(c for c in columns if c != '_load_id')} from raw_{source}.{name}"
            )
        )
        for name, columns in tables.items()
    }  # fmt: skip


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
