"""One way to ask either engine: the build's own statements, which are few and portable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import psycopg2

from ingestion.destination.lake import BUILD, MARTS, PUBLISHED
from ingestion.destination.target import Target, attach_part
from ingestion.encryption import open_file, spill_beside
from ingestion.sql import quoted
from warehouse.errors import BuildError, PassingError

NEXT = "__next"


@dataclass(frozen=True)
class Database:
    """An open warehouse. Names of schemas are given without the prefix of a sandbox."""

    target: Target
    connection: Any

    def run(self, statement: str, parameters: list[Any] | dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement; `%s` stands for a parameter. Returns its rows, if it has any."""
        if self.target.engine == "duckdb":
            cursor = self.connection.execute(statement.replace("%s", "?"), parameters or [])
            return list(cursor.fetchall()) if cursor.description else []
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall()) if cursor.description else []

    def interrupt(self) -> None:
        """End the statement that another thread runs here."""
        if self.target.engine == "duckdb":
            self.connection.interrupt()
        else:
            self.connection.cancel()

    def granary(self, table: str) -> str:
        """A table of the build's own schema."""
        return self._name("granary", table, "")

    def built(self, schema: str, table: str) -> str:
        """A relation that a build makes for itself, which no reader sees."""
        return self._name(schema, table, "")

    def raw(self, source: str, table: str) -> str:
        """A table of a source's raw schema."""
        return self._name(f"raw_{source}", table, "")

    def next(self, schema: str, table: str) -> str:
        """A table of the generation that is being built."""
        return self._name(schema, table, "marts.")

    def published(self, schema: str, table: str) -> str:
        """A table of the generation that readers see."""
        return self._name(schema, table, "published.")

    def next_schema(self, schema: str) -> str:
        """The name of a schema in the generation that is being built."""
        return self._name(schema, "", "marts.").rstrip(".")

    def _name(self, schema: str, table: str, generation: str) -> str:
        name = self.target.schema(schema)
        if self.target.engine == "duckdb":
            return f"{generation}{name}.{table}"
        return f"{name}{NEXT if generation == 'marts.' else ''}.{table}"

    def exists(self, qualified: str) -> bool:
        """Whether there is a table of this name, as one of the methods above gives it."""
        if self.target.lake:
            # What all catalogs of a lake have would be asked of Postgres, table by table.
            try:
                self.connection.execute(f"select 1 from {qualified} limit 0")
            except (duckdb.CatalogException, duckdb.BinderException):
                return False
            return True
        parts = qualified.split(".")
        catalog = parts[0] if len(parts) == 3 else None
        condition = "table_schema = %s and table_name = %s" + (" and table_catalog = %s" if catalog else "")
        values = [*parts[-2:], *([catalog] if catalog else [])]
        return bool(self.run(f"select 1 from information_schema.tables where {condition}", values))

    def columns(self, qualified: str) -> list[str]:
        """The names of the columns of a table that is there."""
        if self.target.engine == "duckdb":
            return [str(row[0]) for row in self.connection.execute(f"describe {qualified}").fetchall()]
        query = "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
        return [str(row[0]) for row in self.run(query, [qualified])]

    def tables(self, schema: str) -> set[str]:
        """The names of the tables and views of a schema beside the generations, which may not be there."""
        if self.target.engine == "duckdb":
            catalog = self.target.build_file.stem
            kinds = (("table", "duckdb_tables()"), ("view", "duckdb_views()"))
            listed = " union all ".join(
                f"select {kind}_name from {of} where database_name = '{catalog}' and schema_name = '{schema}'"
                for kind, of in kinds
            )
            return {str(row[0]) for row in self.run(listed)}
        return {
            str(row[0])
            for row in self.run("select relname from pg_class where relnamespace = to_regnamespace(%s)", [schema])
        }


@contextmanager
def open_database(target: Target) -> Iterator[Database]:
    """Open the warehouse; on DuckDB the generation to build is attached as `marts`, the published one as `published`.

    Raises:
        BuildError: the engine refuses, when it is opened or what it is asked then.
    """
    with Session(target) as session:
        yield session.database


class Session:
    """A warehouse that is opened when it is asked first, and again when it is asked after it was let go.

    As a context it closes at the end, and what the engine refuses becomes a BuildError.

    few: it is about a few rows, which holds from the next `databases` on. DuckDB then works on each statement with one
        thread: to share one among several costs more than it brings, and the cores have other statements.
    """

    def __init__(self, target: Target):
        self.target, self.few = target, False
        self._open: list[Database] = []

    @property
    def database(self) -> Database:
        """The warehouse, open."""
        return self.databases(1)[0]

    def databases(self, count: int) -> list[Database]:
        """The warehouse, open so many times, the one of `database` first."""
        while len(self._open) < count:
            if self._open and self.target.engine == "duckdb":
                connection = self._open[0].connection.cursor()
                # A cursor begins where its database does, which is in memory where the file is attached.
                connection.execute(f"use {quoted(self.target.build_file.stem)}; set timezone = 'UTC'")
            else:
                connection = _connected(self.target)
            self._open.append(Database(self.target, connection))
        if self.few and self.target.engine == "duckdb":
            self._open[0].connection.execute("set threads = 1")
        return self._open[:count]

    def let_go(self) -> None:
        """Close it: dbt and dlt open DuckDB's files with settings of their own, and a publish renames them."""
        while self._open:
            self._open.pop().connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.let_go()
        if isinstance(error, duckdb.Error | psycopg2.Error):
            raise BuildError(f"the warehouse says: {str(error).strip().splitlines()[0]}") from error


def _connected(target: Target) -> Any:
    connection: Any
    try:
        if target.engine == "postgres":
            connection = psycopg2.connect("")  # libpq reads its own variables
            connection.autocommit = True
            return connection
        target.folder.mkdir(parents=True, exist_ok=True)
        connection = _opened_lake(target) if target.lake else open_file(target.build_file)
        # As dbt's own sessions are (profiles.yml).
        connection.execute("set timezone = 'UTC'")
        connection.execute("set preserve_insertion_order = false")
        connection.execute("set checkpoint_threshold = '2GB'")
        connection.execute("set disabled_optimizers = 'common_subplan'")
        connection.execute(f"set memory_limit = '{os.environ.get('DUCKDB_MEMORY_LIMIT', '4GB')}'")
        # Before the first publish attaching makes the file. Later `prepare_next` does, from what is published:
        # an empty one would have everything built again.
        if target.lake or target.next_file.exists() or not target.has_published:
            attach_part(connection, target, MARTS, "marts")
        if target.has_published:
            attach_part(connection, target, PUBLISHED, "published", read_only=True)
        return connection
    except (duckdb.Error, psycopg2.Error) as error:
        first = str(error).strip().splitlines()[0]
        if target.in_files:
            hint = f"close whatever else has a file in {target.folder} open for writing, then build again"
        else:
            hint = "check that it runs and that PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE name it"
        raise PassingError(f"the warehouse can't be opened: {first}; {hint}") from error


def _opened_lake(target: Target) -> duckdb.DuckDBPyConnection:
    """A database in memory, in which the lake stands where a file's own tables would."""
    assert target.lake
    connection = target.lake.connected()
    name = target.build_file.stem
    attach_part(connection, target, BUILD, name)
    spill_beside(connection, target.build_file)
    connection.execute(f"use {quoted(name)}")
    # Another snapshot may be published since somebody attached it here.
    connection.execute("detach database if exists published")
    return connection
