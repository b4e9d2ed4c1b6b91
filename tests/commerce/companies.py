"""Warehouses of the simulated company: built from its systems, or copied from one engine to the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ingestion.demo.commerce import serving
from ingestion.destination.target import current_target
from ingestion.duck import connect, load_extension
from tests.warehouses import attach_published, build_from, connected, settings
from warehouse import dbt
from warehouse.build.build import Request
from warehouse.database import open_database
from warehouse.publish.access import declared_access, grant_access, schema_access


def build_from_demo(
    folder: Path,
    company: Path,
    request: Request = Request(),  # noqa: B008
    *,
    tested: bool = False,
) -> list[str]:
    """Build from all systems of a simulated company, served for as long as the build takes."""
    with serving(company, faults=[]) as systems:
        return build_from(folder, systems, request, tested=tested)


def copy_to_postgres(built: Path, server: Mapping[str, str]) -> None:
    """Copy the marts and runs of a DuckDB warehouse into the empty database that libpq's variables name."""
    connection = connect()
    attach_published(connection, built, "duck")
    load_extension(connection, "postgres_scanner")
    with settings(server):
        connection.execute("attach '' as there (type postgres)")
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where database_name = 'duck' and schema_name in ('core', 'commerce', 'ops')"
        ).fetchall()
        for schema in sorted({"runs", *(schema for schema, _ in tables)}):
            connection.execute(f"create schema there.{schema}")
        for schema, table in tables:
            connection.execute(f"create table there.{schema}.{table} as from duck.{schema}.{table}")
        connection.execute(f"attach '{built / 'runs.duckdb'}' as runs (read_only)")
        runs = "select table_name from duckdb_tables() where database_name = 'runs' and table_name like 'ops_%'"
        for (table,) in connection.execute(runs).fetchall():
            connection.execute(f"create table there.runs.{table} as from runs.{table}")
    connection.close()
    with connected(server) as postgres, postgres.cursor() as cursor:
        cursor.execute("analyze")


def give_rights() -> None:
    """Give readers what a publish gives: rights and policies of schemas that are about to be published."""
    target = current_target()
    declared = declared_access(dbt.parse(target), target)
    schemas = sorted({each.schema for each in declared})
    with open_database(target) as database:
        for schema in schemas:
            database.run(f"alter schema {schema} rename to {schema}__next")
        grant_access(database, declared)
        opened = schema_access(database, schemas)
        for schema in schemas:
            database.run(f"alter schema {schema}__next rename to {schema}")
        for statement in opened:
            database.run(statement)
