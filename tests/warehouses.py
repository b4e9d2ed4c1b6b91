"""Whole warehouses for tests: build one in this process, read what it published, compare two."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import psycopg2

from ingestion.destination.target import current_target, libpq
from ingestion.duck import connect, load_extension
from ingestion.environment import variables
from ingestion.project import PROJECT_ROOT
from tests.crosswalks import VARIABLE
from warehouse.build.build import Request, build

SETTINGS = (
    "SOURCES__",
    "PG",
    "GRANARY_",
    "TARGET",
    "WAREHOUSE_DIR",
    "SANDBOX_NAME",
    "LAKE_URL",
    "AWS_",
    "DBT_EXCLUDE_",
    "DBT_WRITE_",
)


@contextmanager
def settings(values: Mapping[str, str]) -> Iterator[None]:
    """These environment variables, and no other setting of Granary's."""
    before = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
    for name in before:
        del os.environ[name]
    try:
        with variables(values):
            yield
    finally:
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            del os.environ[name]
        os.environ.update(before)


def build_from(
    folder: Path,
    sources: Mapping[str, str],
    request: Request = Request(),  # noqa: B008
    *,
    tested: bool = True,
    unit_tested: bool = False,
) -> list[str]:
    """Build the warehouse in `folder` from these sources. Returns the lines that a person would have read.

    `tested` is whether dbt's own tests run: they take two thirds of a small build, and what compares the tables
    with others does without. Unit tests know nothing of the data, so they run where `unit_tested` asks for them.

    On Postgres where `sources` holds TARGET=prod and libpq's variables. Errors are the build's own.
    """
    lines: list[str] = []
    left_out = ["unit_test"] * (not unit_tested) + ["test"] * (not tested)
    # Nobody reads dbt's artifacts, which take it as long as the parse.
    faster = {"DBT_WRITE_JSON": "false"} | ({"DBT_EXCLUDE_RESOURCE_TYPES": " ".join(left_out)} if left_out else {})
    with settings({"TARGET": "dev", **sources, **faster, "WAREHOUSE_DIR": str(folder)}):
        build(current_target(), request, lines.append)
    return lines


@contextmanager
def command(
    words: Sequence[str], warehouse: Path, sources: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of the warehouse as a process of its own, which may be killed and does not outlive the block.

    What it says is added to the log.
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SOURCES__", "PG"))}
    environment = {**plain, "TARGET": "dev", **sources, "WAREHOUSE_DIR": str(warehouse)}
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "warehouse", *words],
            cwd=PROJECT_ROOT, env=environment, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def as_environment(postgres: dict[str, str]) -> dict[str, str]:
    """libpq's settings as the environment variables of the same meaning."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    return {names[key]: value for key, value in postgres.items() if key in names}


def connected(server: Mapping[str, str], user: str | None = None) -> psycopg2.extensions.connection:
    """A connection that commits each statement, to the Postgres that libpq's variables name, as its user or another."""
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    login = {names[key]: value for key, value in server.items() if key in names}
    connection = psycopg2.connect(**(login | ({"user": user} if user else {})))
    connection.autocommit = True
    return connection


@contextmanager
def opened(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection with the published marts as `published` and everything else as `build`.

    Its macro `clear` gives what a token stands for.
    """
    connection = connect()
    attach_published(connection, folder, "published")
    connection.execute(f"attach '{folder / 'build.duckdb'}' as build (read_only)")
    connection.execute(f"attach '{os.environ[VARIABLE]}' as crosswalk (read_only)")
    connection.execute(
        "create temp macro clear(asked) as (select value from crosswalk.privacy.identifiers where token = asked)"
    )
    connection.execute("use published")
    try:
        yield connection
    finally:
        connection.close()


def reading_lake(engine: Mapping[str, str], warehouse: Path) -> closing[duckdb.DuckDBPyConnection]:
    """A DuckDB connection that has what a lake publishes as its own tables, by the line that readers are given."""
    with settings({**engine, "WAREHOUSE_DIR": str(warehouse)}):
        lake = current_target().lake
        assert lake is not None
        # A reader says who it is, too.
        line = lake.readers_line().replace("ducklake:postgres:", f"ducklake:postgres:user={engine.get('PGUSER')} ")
        statements = [*lake.opening(), line, "use warehouse"]
    connection = connect()
    for statement in statements:
        connection.execute(statement)
    return closing(connection)


def attach_published(connection: duckdb.DuckDBPyConnection, warehouse: Path | Mapping[str, str], name: str) -> None:
    """Attach what a warehouse publishes, for reading.

    Args:
        connection: where to attach it.
        warehouse: the folder of a DuckDB warehouse, or of a lake whose catalogs are files; or libpq's variables of a
            Postgres.
        name: what the connection calls it.
    """
    if isinstance(warehouse, Path) and (catalog := warehouse / "published.ducklake").exists():
        for extension in ("httpfs", "ducklake"):
            load_extension(connection, extension)
        connection.execute(f"attach 'ducklake:{catalog}' as {name} (read_only)")
        return
    if isinstance(warehouse, Path):
        connection.execute(f"attach '{warehouse / 'warehouse.duckdb'}' as {name} (read_only)")
        return
    load_extension(connection, "postgres_scanner")
    with settings(warehouse):
        dsn = " ".join(f"{key}={value}" for key, value in libpq().items() if value)
    connection.execute(f"attach '{dsn}' as {name} (type postgres, read_only)")


def published_tables(connection: duckdb.DuckDBPyConnection, catalog: str) -> list[str]:
    """The published tables but those that tell of the loads themselves, as `schema.table`."""
    rows = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables() "
        "where database_name = ? and schema_name <> 'ops' order by 1",
        [catalog],
    ).fetchall()
    return [str(row[0]) for row in rows]


def differences(one: Path, other: Path | Mapping[str, str], least: int = 14) -> dict[str, tuple[int, int]]:
    """The tables that two warehouses publish differently, with the numbers of rows that only one or the other has.

    Args:
        one: a DuckDB warehouse's folder.
        other: another's, or libpq's variables of a Postgres.
        least: how many tables there are at least.
    """
    connection = connect()
    attach_published(connection, one, "one")
    attach_published(connection, other, "other")
    tables = published_tables(connection, "one")
    assert len(tables) >= least, f"too few tables to compare: {tables}"
    found = {}
    for table in tables:
        row = connection.execute(f"""
            select
                (select count(*) from (select * from one.{table} except all select * from other.{table})),
                (select count(*) from (select * from other.{table} except all select * from one.{table}))
        """).fetchone()
        assert row is not None
        if row != (0, 0):
            found[table] = (int(row[0]), int(row[1]))
    connection.close()
    return found
