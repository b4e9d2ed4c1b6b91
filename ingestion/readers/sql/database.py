"""A source's database as DuckDB sees it: list columns, read rows, count them.

What differs between SQLite, Postgres, MySQL and SQL Server is here and nowhere else in the package. Conditions
(`where`) are written in the SQL that all of them understand, with the database's own names in double quotes.

How each is read in one state:

- Postgres: every statement of DuckDB's transaction runs in one transaction of the source, repeatable read.
- MySQL and MariaDB: the same holds for tables that DuckDB scans, and not for `mysql_query`, which takes another
  connection. So rows are scanned, but for a table with values that DuckDB can't hold; DuckDB hands conditions and
  counts on to the source.
- SQL Server: one connection over ODBC, and one transaction of it with the isolation level snapshot, if the database
  allows that; else each statement sees what is committed when it begins.
- SQLite: DuckDB may read through several connections, which share no state. Where change tables are read on, this
  does no harm: they only grow, and are read up to a position. Else a copy is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from ingestion.contract.contracts import Table
from ingestion.duck import number
from ingestion.sql import literal, quoted, utc_moment, utc_time

DIALECTS = {
    "sqlite": "sqlite",
    "postgres": "postgres",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mssql": "sqlserver",
    "sqlserver": "sqlserver",
}
# Types of Postgres that DuckDB reads as the text that Postgres writes.
_TEXTS = {"text", "character varying", "character", "name", "uuid", "json", "jsonb"}
# Types of SQL Server that the driver hands on as they are; money has four decimals, which its own text hasn't.
_PLAIN = {"tinyint", "smallint", "int", "integer", "bigint", "bit", "float", "real", "date", "char", "varchar", "nchar",
          "nvarchar", "text", "ntext"}  # fmt: skip
_MONEY, _BYTES = {"money", "smallmoney"}, {"binary", "varbinary", "image", "timestamp", "rowversion"}


@dataclass(frozen=True)
class Relation:
    """A table of a source's database.

    columns: what the database calls the columns that raw names otherwise, by raw's names.
    texts: the columns that raw has as text, by raw's names.
    times: the columns that raw has as a date or time, but for the one by which changes are found.
    """

    name: str
    schema: str
    columns: Mapping[str, str] = field(hash=False)
    texts: frozenset[str] = frozenset()
    times: frozenset[str] = frozenset()

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
    is_unchecked: whether it takes bytes for text that are none in any encoding, as a Postgres in SQL_ASCII does.
    """

    connection: duckdb.DuckDBPyConnection
    dialect: str
    schema: str
    path: Path | None = None
    scales: Mapping[str, int] = field(default_factory=dict)
    is_unchecked: bool = False

    def relation(self, table: Table, name: str | None = None) -> Relation:
        """Where a table of the contract lies, or another of its columns that is called `name`."""
        columns = {column.name: column.source_name for column in table.columns if column.source_name}
        kinds = {column.name: column.data_type for column in table.columns if column.name != table.modified_at}
        texts = frozenset(each for each, kind in kinds.items() if kind == "text")
        times = frozenset(each for each, kind in kinds.items() if kind in ("date", "timestamp"))
        schema = str(table.meta.get("source_schema", self.schema))
        return Relation(name or table.at_source, schema, columns, texts, times)

    def columns(self, table: Relation) -> dict[str, str]:
        """The table's columns and the source's own names of their types, in order; empty where there is no such table.

        Columns of the contract have raw's names, others the database's own.
        The type of a decimal that none of DuckDB's holds is given as `numeric()`: it has more than 38 digits, or on
        Postgres no precision.
        """
        if self.dialect == "sqlite":
            query = f"select name, lower(type) as type from pragma_table_info({literal(table.name)}) order by cid"
        elif self.dialect == "sqlserver":
            query = (
                "select COLUMN_NAME as name, lower(DATA_TYPE) as type from INFORMATION_SCHEMA.COLUMNS "
                f"where TABLE_SCHEMA = N{literal(table.schema)} and TABLE_NAME = N{literal(table.name)} "
                "order by ORDINAL_POSITION"
            )
        else:
            query = (
                "select column_name as name, case when data_type in ('numeric', 'decimal') "
                "and coalesce(numeric_precision, 39) > 38 then 'numeric()' else lower(data_type) end as type "
                "from information_schema.columns "
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
        such as an array, an interval or money: DuckDB would write it in its own way, or not read it at all. MySQL
        writes its long decimals, and a column in which days without a month or a day stand. SQL Server writes all but
        its integers, floats, dates and texts, so that no driver has a say in how they are rounded.
        """
        if self.dialect == "sqlserver":
            return self._over_odbc(table, columns, where)
        kinds = self.columns(table) if self.dialect != "sqlite" else {}
        as_text = [c for c in columns if self.dialect == "sqlite" or kinds.get(c) == "numeric()"]
        if self.dialect == "postgres":
            as_text += [c for c in columns if c in kinds and c in table.texts and kinds[c] not in _TEXTS]
            as_text += self._with_nan(table, [c for c in columns if kinds.get(c) == "numeric"], where)
            if self.is_unchecked:
                as_text += [c for c in columns if c not in as_text and kinds.get(c) in _TEXTS]
        if self.dialect == "mysql":
            as_text += self._with_no_day(table, [c for c in columns if c in table.times], where)
            if as_text:
                return self._written_by_mysql(table, columns, as_text, where)
        condition = f" where {where}" if where else ""
        if self.dialect == "mysql" or (self.dialect == "postgres" and not where and not as_text):
            listed = ", ".join(table.own_as(c) for c in columns)
            return f"(select {listed} from {self._scanned(table)}{condition})"
        written = {c: self._text(table, c) for c in as_text}
        if self.is_unchecked:
            written = {c: f"convert_to({text}, 'SQL_ASCII')" for c, text in written.items()}
        listed = ", ".join(f"{written[c]} as {quoted(c)}" if c in written else table.own_as(c) for c in columns)
        # Whether a text is one at all, SQLite doesn't ask. What is none goes to the contract, which takes no zero byte.
        bytes_of = {c: quoted(c) if self.is_unchecked else f"encode({quoted(c)})" for c in as_text}
        unsure = as_text if self.is_unchecked or self.dialect == "sqlite" else ()
        sound = ", ".join(
            f"coalesce(try(decode({bytes_of[c]})), chr(0) || cast({bytes_of[c]} as varchar)) as {quoted(c)}"
            if c in unsure else quoted(c) for c in columns
        )  # fmt: skip
        return f"(select {sound} from {self._remote(f'select {listed} from {self._named(table)}{condition}')})"

    def moment(self, column: str) -> str:
        """A DuckDB expression for a column of `rows` that holds times: the time in UTC, null where it is none."""
        is_text = self.dialect in ("sqlite", "sqlserver")
        return (utc_time if is_text else utc_moment)(
            f"cast({quoted(column)} as varchar)" if is_text else quoted(column)
        )

    def count(self, table: Relation, where: str | None = None) -> int:
        """The table's rows for which `where` is true, as the source itself counts them."""
        condition = f" where {where}" if where else ""
        if self.dialect == "mysql":
            return number(self.connection, f"select count(*) from {self._scanned(table)}{condition}")
        if self.dialect == "sqlserver":
            condition = _in_sqlserver(condition)
        return number(
            self.connection,
            f"select * from {self._remote(f'select count(*) as n from {self._named(table)}{condition}')}",
        )

    def _over_odbc(self, table: Relation, columns: Sequence[str], where: str | None) -> str:
        kinds = self.columns(table)

        def value(column: str) -> str:
            own, kind = table.own(column), kinds.get(column, "")
            if kind in _PLAIN:
                return own
            if kind in _BYTES:
                return f"convert(varchar(max), cast({own} as varbinary(max)), 2)"
            if kind in _MONEY:
                own = f"cast({own} as decimal(19, 4))"
            # Of a table's own types and those without a length, as long as it takes.
            length = "60" if kind in ("decimal", "numeric", "uniqueidentifier", *_MONEY) or "time" in kind else "max"
            return f"cast({own} as {'varchar' if length == '60' else 'nvarchar'}({length}))"

        listed = ", ".join(f"{value(column)} as {quoted(column)}" for column in columns)
        condition = _in_sqlserver(f" where {where}") if where else ""
        return f"(from {self._remote(f'select {listed} from {self._named(table)}{condition}')})"

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
        return self._true_of(numerics, query)

    def _true_of(self, names: Sequence[str], query: str) -> list[str]:
        """Those names for which a query of one row, with a column for each, says true in the source database."""
        row = self.connection.execute(f"select * from {self._remote(query)}").fetchone() or ()
        return [name for name, found in zip(names, row, strict=True) if found]

    def _with_no_day(self, table: Relation, times: Sequence[str], where: str | None) -> list[str]:
        """Those of a MySQL table's dates and times that somewhere have no month or day, which DuckDB would lose.

        All of them zero is MySQL's way to say that there is none.
        """
        if not times:
            return []
        asked = ", ".join(
            f"max(({own} <> 0) and (month({own}) = 0 or day({own}) = 0)) as {own}"
            for own in (_in_mysql(table.own(c)) for c in times)
        )
        query = f"select {asked} from {_in_mysql(self._named(table))}{_in_mysql(where and f' where {where}')}"
        return self._true_of(times, query)

    def _written_by_mysql(
        self, table: Relation, columns: Sequence[str], as_text: Sequence[str], where: str | None
    ) -> str:
        """Rows of a MySQL table, of which MySQL itself writes some columns as text.

        By another connection, and so in another state than what is scanned: where the table has changed between the
        two, the load's counts don't add up, and nothing is loaded.
        """
        listed = ", ".join(
            _in_mysql(f"nullif(cast({table.own(c)} as char), '0000-00-00') as {quoted(c)}")
            if c in as_text and c in table.times
            else _in_mysql(f"cast({table.own(c)} as char) as {quoted(c)}")
            if c in as_text
            else _in_mysql(table.own_as(c))
            for c in columns
        )
        query = f"select {listed} from {_in_mysql(self._named(table))}{_in_mysql(where and f' where {where}')}"
        return f"(select {', '.join(quoted(c) for c in columns)} from {self._remote(query)})"

    def highest(self, table: Relation, column: str) -> int | None:
        """The highest whole number in a column; None where the table is empty."""
        expression = f"select max({table.own(column)}) as n from"
        if self.dialect == "mysql":
            query = f"{expression} {self._scanned(table)}"
        else:
            query = f"select * from {self._remote(f'{expression} {self._named(table)}')}"
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row and row[0] is not None else None

    def _remote(self, query: str) -> str:
        """A DuckDB relation that runs `query` in the source database itself."""
        if self.dialect == "sqlserver":
            return f"odbc_query(getvariable('source'), {literal(query)})"
        return f"{self.dialect}_query('source', {literal(query)})"

    def _named(self, table: Relation) -> str:
        """A table's name in the source database."""
        return quoted(table.name) if self.dialect == "sqlite" else f"{quoted(table.schema)}.{quoted(table.name)}"

    def _scanned(self, table: Relation) -> str:
        """A table's name in DuckDB."""
        return f"source.{quoted(table.schema)}.{quoted(table.name)}"


def _in_sqlserver(text: str) -> str:
    """SQL in which times that tell that they are in UTC are typed: with a time of SQL Server's, no text compares so."""
    return re.sub(r"'(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?)\+00'", r"cast('\1' as datetime2)", text)


def _in_mysql(text: str | None) -> str:
    """SQL in which names stand in double quotes, and times tell that they are in UTC, as MySQL takes it."""
    return (text or "").replace('"', "`").replace("+00'", "'")
