"""A source's database as DuckDB sees it: attach, list columns, read rows, count them.

What differs between SQLite, Postgres and MySQL is here and nowhere else in the package. Conditions (`where`) are
written in the SQL that all of them understand, with the database's own names in double quotes.

How each is read in one state:

- Postgres: every statement of DuckDB's transaction runs in one transaction of the source, repeatable read.
- MySQL and MariaDB: the same holds for tables that DuckDB scans, and not for `mysql_query`, which takes another
  connection. So rows are scanned only; DuckDB hands conditions and counts on to the source.
- SQLite: DuckDB may read through several connections, which share no state. Where change tables are read on, this
  does no harm: they only grow, and are read up to a position. Else a copy is read.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import duckdb

from ingestion.contract.contracts import Table
from ingestion.duck import load_extension
from ingestion.load.extracts import Reader, SourceError, first_line
from ingestion.readers.settings import variable
from ingestion.sql import literal, quoted, utc_moment, utc_time

DIALECTS = {
    "sqlite": "sqlite",
    "postgres": "postgres",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}
# Types of Postgres that DuckDB reads as the text that Postgres writes.
_TEXTS = {"text", "character varying", "character", "name", "uuid", "json", "jsonb"}
_PORTS = {"postgres": "5432", "mysql": "3306"}


@dataclass(frozen=True)
class Relation:
    """A table of a source's database.

    columns: what the database calls the columns that raw names otherwise, by raw's names.
    texts: the columns that raw has as text, by raw's names.
    """

    name: str
    schema: str
    columns: Mapping[str, str] = field(hash=False)
    texts: frozenset[str] = frozenset()

    def own(self, column: str) -> str:
        """The database's own name of a column, in double quotes."""
        return quoted(self.columns.get(column, column))

    def own_as(self, column: str) -> str:
        """The column under raw's name, in a select."""
        return quoted(column) if column not in self.columns else f"{self.own(column)} as {quoted(column)}"


@dataclass(frozen=True)
class Database:
    """A source's database, attached under the DuckDB alias `source`.

    path: SQLite's file.
    scales: the digits after the point that the contract wants, of columns of this name that are decimals in it.
    """

    connection: duckdb.DuckDBPyConnection
    dialect: str
    schema: str
    path: Path | None = None
    scales: Mapping[str, int] = field(default_factory=dict)

    def relation(self, table: Table, name: str | None = None) -> Relation:
        """Where a table of the contract lies, or another of its columns that is called `name`."""
        columns = {column.name: column.source_name for column in table.columns if column.source_name}
        texts = frozenset(column.name for column in table.columns if column.data_type == "text")
        return Relation(name or table.at_source, str(table.meta.get("source_schema", self.schema)), columns, texts)

    def columns(self, table: Relation) -> dict[str, str]:
        """The table's columns and the source's own names of their types, in order; empty where there is no such table.

        Columns of the contract have raw's names, others the database's own.
        The type of a Postgres numeric that no decimal of DuckDB's holds is given as `numeric()`: it has no precision,
        or more than 38 digits.
        """
        if self.dialect == "sqlite":
            query = f"select name, lower(type) as type from pragma_table_info({literal(table.name)}) order by cid"
        else:
            query = (
                "select column_name as name, case when data_type = 'numeric' and coalesce(numeric_precision, 39) > 38 "
                "then 'numeric()' else lower(data_type) end as type from information_schema.columns "
                f"where table_schema = {literal(table.schema)} and table_name = {literal(table.name)} "
                "order by ordinal_position"
            )
        rows = self.connection.execute(f"select * from {self._remote(query)}").fetchall()
        known = {own: name for name, own in table.columns.items()}
        return {known.get(str(name), str(name)): str(kind) for name, kind in rows}

    def rows(self, table: Relation, columns: Sequence[str], where: str | None = None) -> str:
        """A DuckDB relation with these columns, and no others, of the table's rows for which `where` is true.

        The columns have raw's names; in `where` they have the database's own.

        SQLite lets any value stand in any column and gives decimals as doubles, so its values are read as the
        text that they are written as; the contract then judges them like a file's. For the same reason Postgres
        writes a numeric as text that DuckDB's decimals can't hold, NaN among them, and what the contract has as text,
        such as an array, an interval or money: DuckDB would write it in its own way, or not read it at all.
        """
        kinds = self.columns(table) if self.dialect == "postgres" else {}
        as_text = [
            c for c in columns
            if self.dialect == "sqlite" or kinds.get(c) == "numeric()"
            or (c in kinds and c in table.texts and kinds[c] not in _TEXTS)
        ]  # fmt: skip
        as_text += self._with_nan(table, [c for c in columns if kinds.get(c) == "numeric"], where)
        condition = f" where {where}" if where else ""
        if self.dialect == "mysql" or (self.dialect == "postgres" and not where and not as_text):
            listed = ", ".join(table.own_as(c) for c in columns)
            return f"(select {listed} from {self._scanned(table)}{condition})"
        listed = ", ".join(
            f"{self._text(table, c)} as {quoted(c)}" if c in as_text else table.own_as(c) for c in columns
        )
        # Whether a text is one at all, SQLite doesn't ask. What is none goes to the contract, which takes no zero byte.
        sound = ", ".join(
            f"coalesce(try(decode(encode({quoted(c)}))), chr(0) || cast(encode({quoted(c)}) as varchar)) as {quoted(c)}"
            if self.dialect == "sqlite" else quoted(c) for c in columns
        )  # fmt: skip
        return f"(select {sound} from {self._remote(f'select {listed} from {self._named(table)}{condition}')})"

    def moment(self, column: str) -> str:
        """A DuckDB expression for a column of `rows` that holds times: the time in UTC, null where it is none."""
        return (utc_time if self.dialect == "sqlite" else utc_moment)(quoted(column))

    def count(self, table: Relation, where: str | None = None) -> int:
        """The table's rows for which `where` is true, as the source itself counts them."""
        condition = f" where {where}" if where else ""
        if self.dialect == "mysql":
            return self._number(f"select count(*) from {self._scanned(table)}{condition}")
        return self._number(
            f"select * from {self._remote(f'select count(*) as n from {self._named(table)}{condition}')}"
        )

    def _text(self, table: Relation, column: str) -> str:
        """A column's value as the text that the source writes, in the source's own SQL.

        SQLite writes 15 digits of a real. A decimal that has more is written in full, so that the contract sees it.
        """
        name = table.own(column)
        text = f"cast({name} as text)"
        if self.dialect != "sqlite" or column not in self.scales:
            return text
        is_longer = f"abs({name}) >= 1e{15 - self.scales[column]} and cast({text} as real) <> {name}"
        return f"case when typeof({name}) = 'real' and {is_longer} then printf('%!.26g', {name}) else {text} end"

    def _with_nan(self, table: Relation, numerics: Sequence[str], where: str | None) -> list[str]:
        """Those of a Postgres table's numerics in which NaN stands, which DuckDB would read as zero."""
        if not numerics:
            return []
        asked = ", ".join(f"coalesce(bool_or({table.own(c)} = 'NaN'), false) as {quoted(c)}" for c in numerics)
        condition = f" where {where}" if where else ""
        query = f"select {asked} from {self._named(table)}{condition}"
        row = self.connection.execute(f"select * from {self._remote(query)}").fetchone() or ()
        return [name for name, found in zip(numerics, row, strict=True) if found]

    def highest(self, table: Relation, column: str) -> int | None:
        """The highest whole number in a column; None where the table is empty."""
        expression = f"select max({table.own(column)}) as n from"
        if self.dialect == "mysql":
            query = f"{expression} {self._scanned(table)}"
        else:
            query = f"select * from {self._remote(f'{expression} {self._named(table)}')}"
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row and row[0] is not None else None

    def _number(self, query: str) -> int:
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _remote(self, query: str) -> str:
        """A DuckDB relation that runs `query` in the source database itself."""
        return f"{self.dialect}_query('source', {literal(query)})"

    def _named(self, table: Relation) -> str:
        """A table's name in the source database."""
        return quoted(table.name) if self.dialect == "sqlite" else f"{quoted(table.schema)}.{quoted(table.name)}"

    def _scanned(self, table: Relation) -> str:
        """A table's name in DuckDB."""
        return f"source.{quoted(table.schema)}.{quoted(table.name)}"


def attach(reader: Reader, url: str, schema: str | None, copy: bool = False) -> Database:
    """Attach a source's database for reading.

    Args:
        reader: what a load works with; a copy lies in its workspace.
        url: `sqlite:////path`, `postgresql://user:password@host:port/database`, `mysql://…` or `mariadb://…`. What
            stands behind a `?` are settings of libpq, or of DuckDB's MySQL extension.
        schema: the schema (Postgres; `public` unless given) or database (MySQL; the URL's) that holds the tables.
        copy: SQLite only: read a consistent copy rather than the living file.

    Raises:
        SourceError: the URL isn't understood, or the database refuses.
    """
    source, connection = reader.contract.name, reader.connection
    parts = urlsplit(url)
    dialect = DIALECTS.get(parts.scheme.split("+")[0])
    if dialect is None:
        raise SourceError(
            f"{source}: {variable(source, 'credentials')} starts with '{parts.scheme}': use sqlite, postgresql, mysql "
            "or mariadb"
        )
    load_extension(connection, f"{dialect}_scanner")
    path = _sqlite_path(source, parts.path) if dialect == "sqlite" else None
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
        probe = "select count(*) as n from sqlite_master" if path else "select 1 as n"
        connection.execute(f"select * from {dialect}_query('source', '{probe}')").fetchall()
    except (duckdb.Error, sqlite3.Error) as error:
        raise SourceError(
            f"{source}: the database at {where} refuses: {first_line(error)}; check that it runs and that "
            f"{variable(source, 'credentials')} names it with a user that may read"
        ) from error
    columns = [column for table in reader.contract.tables for column in table.columns]
    scales = {column.name: column.scale for column in columns if column.scale is not None}
    return Database(connection, dialect, schema or "main", path, scales)


def _option(value: str) -> str:
    """A value of a connection string, in quotes where it needs them."""
    return value if re.fullmatch(r"[\w./:@+-]+", value) else "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"


def _sqlite_path(source: str, path: str) -> Path:
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
