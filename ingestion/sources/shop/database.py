"""The shop's database as DuckDB sees it: attach, list columns, run a query there.

What differs between SQLite, Postgres and MySQL is here and nowhere else in the package.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb

from ingestion.contract_sql import literal, quoted
from ingestion.duck import load_extension
from ingestion.loading import SourceError

DIALECTS = {
    "sqlite": "sqlite",
    "postgres": "postgres",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}


@dataclass(frozen=True)
class Database:
    """An attached shop database, under the DuckDB alias `shop`."""

    connection: duckdb.DuckDBPyConnection
    dialect: str
    schema: str
    path: Path | None = None

    def columns(self, table: str) -> dict[str, str]:
        """The table's columns and the source's own type names, in order; empty where there is no such table."""
        if self.dialect == "sqlite":
            query = f"select name, type from pragma_table_info({literal(table)}) order by cid"
        else:
            query = (
                f"select column_name, data_type from information_schema.columns "
                f"where table_schema = {literal(self.schema)} and table_name = {literal(table)} order by ordinal_position"
            )
        rows = self.connection.execute(f"select * from {self.remote(query)}").fetchall()
        return {str(name): str(kind).lower() for name, kind in rows}

    def remote(self, query: str) -> str:
        """A DuckDB relation that runs `query` in the source database itself."""
        return f"{self.dialect}_query('shop', {literal(query)})"

    def identifier(self, name: str) -> str:
        """A name quoted as the source database quotes it."""
        return f"`{name}`" if self.dialect == "mysql" else quoted(name)

    def table(self, name: str) -> str:
        """A table's full name in the source database."""
        return self.identifier(name) if self.dialect == "sqlite" else f"{self.identifier(self.schema)}.{self.identifier(name)}"

    def select(self, table: str, columns: list[str], where: str = "true") -> str:
        """A DuckDB relation with these columns of the table's rows for which the source finds `where` true.

        SQLite lets any value stand in any column and gives decimals as doubles, so its values are read as the
        text that they are written as; the contract then judges them like a file's.
        """
        listed = ", ".join(
            f"cast({self.identifier(c)} as text) as {self.identifier(c)}" if self.dialect == "sqlite" else self.identifier(c)
            for c in columns
        )
        return f"(select * from {self.remote(f'select {listed} from {self.table(table)} where {where}')})"

    def scan(self, table: str, columns: list[str]) -> str:
        """A DuckDB relation with these columns of the whole table, read in parallel where the engine can."""
        if self.dialect == "sqlite":
            return self.select(table, columns)
        listed = ", ".join(quoted(c) for c in columns)
        return f"(select {listed} from shop.{quoted(self.schema)}.{quoted(table)})"

    def number(self, query: str) -> int:
        """One whole number that the source database itself computes."""
        row = self.connection.execute(f"select * from {self.remote(query)}").fetchone()
        return int(row[0]) if row and row[0] is not None else 0


def attach(connection: duckdb.DuckDBPyConnection, url: str, schema: str | None, workspace: Path, copy: bool) -> Database:
    """Attach the shop's database for reading.

    Args:
        connection: DuckDB.
        url: `sqlite:////path`, `postgresql://user:password@host:port/database`, `mysql://…` or `mariadb://…`.
        schema: the schema (Postgres; `public` unless given) or database (MySQL; the URL's) that holds the tables.
        workspace: where a copy may lie.
        copy: SQLite only: read a consistent copy rather than the living file.

    Raises:
        SourceError: the URL isn't understood, or the database refuses.
    """
    parts = urlsplit(url)
    dialect = DIALECTS.get(parts.scheme.split("+")[0])
    if dialect is None:
        raise SourceError(f"shop: the URL starts with '{parts.scheme}': use sqlite, postgresql, mysql or mariadb")
    load_extension(connection, f"{dialect}_scanner")
    if dialect == "sqlite":
        path = Path(unquote(parts.path)[1:] if parts.path.startswith("//") else unquote(parts.path))
        if not path.exists():
            raise SourceError(f"shop: there is no SQLite file at {path}: check SOURCES__SHOP__CREDENTIALS")
        if copy:
            path = _copy_sqlite(path, workspace / "shop.sqlite")
        target, options = str(path), "type sqlite, read_only"
        schema = schema or "main"
    else:
        path = None
        names = {"postgres": ("dbname", "password"), "mysql": ("database", "password")}[dialect]
        settings = {
            "host": parts.hostname or "localhost",
            "port": str(parts.port or {"postgres": 5432, "mysql": 3306}[dialect]),
            "user": unquote(parts.username or ""),
            names[1]: unquote(parts.password or ""),
            names[0]: parts.path.lstrip("/"),
        }
        for pair in parts.query.split("&"):
            key, _, value = pair.partition("=")
            if key:
                settings[key] = unquote(value)
        target = " ".join(f"{key}={_dsn_value(value, dialect)}" for key, value in settings.items() if value)
        options = f"type {dialect}, read_only"
        schema = schema or ("public" if dialect == "postgres" else settings["database"])
    try:
        connection.execute(f"attach {literal(target)} as shop ({options})")
        database = Database(connection, dialect, schema, path)
        database.number("select 1")
    except duckdb.Error as error:
        where = parts.hostname or parts.path
        raise SourceError(
            f"shop: the database at {where} refuses: {_first_line(error)}; check that it runs and that "
            "SOURCES__SHOP__CREDENTIALS names it with a user that may read"
        ) from error
    return database


def _dsn_value(value: str, dialect: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'" if dialect == "postgres" else f'"{value}"' if " " in value else value


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _copy_sqlite(path: Path, copy: Path) -> Path:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy
