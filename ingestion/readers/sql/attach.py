"""How a source's database is attached for reading, by its URL."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import duckdb

from ingestion.duck import load_extension
from ingestion.load.extracts import Reader, SourceError, first_line
from ingestion.readers.settings import variable
from ingestion.readers.sql import odbc
from ingestion.readers.sql.database import DIALECTS, Database
from ingestion.sql import literal

_PORTS = {"postgres": "5432", "mysql": "3306"}


def attach(reader: Reader, url: str, schema: str | None, copy: bool = False) -> Database:
    """Attach a source's database for reading.

    Args:
        reader: what a load works with; a copy lies in its workspace.
        url: `sqlite:////path`, `postgresql://user:password@host:port/database`, `mysql://…`, `mariadb://…` or
            `mssql://…`. What stands behind a `?` are settings of libpq, DuckDB's MySQL extension, or the ODBC driver.
        schema: the schema (Postgres; `public` unless given, SQL Server; `dbo`) or database (MySQL; the URL's) that
            holds the tables.
        copy: SQLite only: read a consistent copy rather than the living file.

    Raises:
        SourceError: the URL isn't understood, or the database refuses.
    """
    source, connection = reader.contract.name, reader.connection
    parts = urlsplit(url)
    dialect = DIALECTS.get(parts.scheme.split("+")[0])
    if dialect is None:
        raise SourceError(
            f"{source}: {variable(source, 'credentials')} starts with '{parts.scheme}': use sqlite, postgresql, mysql, "
            "mariadb or mssql"
        )
    if dialect == "sqlserver":
        return odbc.attach(reader, parts, schema)
    load_extension(connection, f"{dialect}_scanner")
    path = sqlite_path(source, parts.path) if dialect == "sqlite" else None
    where = str(path or parts.hostname or parts.path)
    try:
        if path:
            if copy:
                path = _copy_sqlite(path, reader.workspace / "source.sqlite")
            connection.execute(f"attach {literal(str(path))} as source (type sqlite, read_only)")
        else:
            if dialect == "mysql":
                # A TIMESTAMP is told in the session's time zone, and arrives without it.
                connection.execute("set mysql_session_time_zone = '+00:00'")
                # MySQL lets 2025-00-00 stand for a day that isn't known; one such would end the reading of all.
                connection.execute("set mysql_incomplete_dates_as_nulls = true")
            settings = dict(parse_qsl(parts.query))
            if dialect == "postgres":
                # What PGOPTIONS asks is asked of the warehouse's server, such as a role that only that has.
                settings.setdefault("options", "")
            database = unquote(parts.path.lstrip("/"))
            # In a secret, and not in the connection string: DuckDB quotes that in its errors.
            secret = {
                "host": settings.pop("host", parts.hostname or "localhost"),
                "port": settings.pop("port", str(parts.port or _PORTS[dialect])),
                "user": unquote(parts.username or ""),
                "password": settings.pop("password", unquote(parts.password or "")),
                "database": database,
            }
            given = ", ".join(f"{name} {literal(value)}" for name, value in secret.items() if value)
            connection.execute(f"create or replace temporary secret source_login (type {dialect}, {given})")
            options = " ".join(f"{name}={_option(value)}" for name, value in settings.items())
            connection.execute(f"attach {literal(options)} as source (type {dialect}, secret source_login, read_only)")
            schema = schema or ("public" if dialect == "postgres" else database)
        # SQLite opens anything; only asking what is in it tells whether it is a database.
        probe = {
            "sqlite": "select count(*) as n from sqlite_master",
            "postgres": "select current_setting('server_encoding') as n",
            "mysql": "select 1 as n",
        }[dialect]
        [(answer,)] = connection.execute(f"select * from {dialect}_query('source', {literal(probe)})").fetchall()
    except (duckdb.Error, sqlite3.Error) as error:
        raise SourceError(
            f"{source}: the database at {where} refuses: {first_line(error)}; check that it runs and that "
            f"{variable(source, 'credentials')} names it with a user that may read"
        ) from error
    columns = [column for table in reader.contract.tables for column in table.columns]
    scales = {column.name: column.scale for column in columns if column.scale is not None}
    return Database(connection, dialect, schema or "main", path, scales, answer == "SQL_ASCII")


def _option(value: str) -> str:
    """A value of a connection string, in quotes where it needs them."""
    return value if re.fullmatch(r"[\w./:@+-]+", value) else "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"


def sqlite_path(source: str, path: str) -> Path:
    """The file that a URL's path names: `sqlite:////data/file.sqlite` is absolute, with three slashes it's relative."""
    file = Path(unquote(path).removeprefix("/"))
    if not file.exists():
        raise SourceError(f"{source}: there is no SQLite file at {file}: check {variable(source, 'credentials')}")
    return file


def _copy_sqlite(path: Path, copy: Path) -> Path:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as original, closing(sqlite3.connect(copy)) as target:
        original.backup(target)
    return copy
