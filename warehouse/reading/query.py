"""Ask the published marts in SQL, and see a small table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import sqlparse

from ingestion.destination.lake import PUBLISHED
from ingestion.destination.target import Target, attach_part
from ingestion.duck import guard
from ingestion.encryption import attach
from ingestion.sql import literal
from warehouse.errors import BuildError
from warehouse.publish.access import REPORTER

LIMIT = 1000
_QUESTIONS = (
    "select",
    "with",
    "from",
    "values",
    "table",
    "show",
    "describe",
    "summarize",
    "explain",
    "pivot",
    "unpivot",
)
# A column, or a dimension as MetricFlow writes it, that a filter compares with a text.
_COMPARED = re.compile(r"(\w+)(?:'\)\s*\}\})?\s*=\s*'((?:[^']|'')*)'")
_SHOWN = 8  # values of such a column
TIMEOUT = "5min"  # of one question to Postgres
# Characters that a terminal obeys. As values they are shown, not sent.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {9: "\\t", 10: "\\n", 13: "\\r"}


def require_published(target: Target) -> None:
    """Raise BuildError where a DuckDB warehouse has published nothing yet; a Postgres says so itself."""
    if target.engine == "duckdb" and not target.has_published:
        raise BuildError(f"nothing is published in {target.folder} yet: run `make build` first")


@contextmanager
def open_published(
    target: Target, *, file: Path | None = None, runs: bool = True, login: str = "", password: str = ""
) -> Iterator[Any]:
    """Open what readers see, to read it alone. Yields a connection by the DB API.

    On DuckDB the published marts are the catalog `marts`, and the runs are the schema `runs`, as they are on Postgres.

    Args:
        target: the warehouse.
        file: DuckDB: a tenant's extract, to be read in the marts' place.
        runs: DuckDB: whether the runs are there.
        login: Postgres: whose session it is; that of libpq's variables unless given.
        password: Postgres: the login's, where libpq has none for it.

    Raises:
        BuildError: nothing is published yet, or the engine refuses.
    """
    runs_file = target.folder / "runs.duckdb"
    if not runs_file.exists():
        require_published(target)
    connection: Any = None
    try:
        if target.engine == "duckdb":
            connection = duckdb.connect()
            guard(connection)
            if runs and runs_file.exists():
                attach(connection, runs_file, "runs", read_only=True)
            # A first build that failed has published nothing, and is a run all the same.
            if file:
                attach(connection, file, "marts", read_only=True)
                connection.execute("use marts")
            elif target.has_published:
                attach_part(connection, target, PUBLISHED, "marts", read_only=True)
                connection.execute("use marts")
        else:
            # libpq reads its own variables for what is not given.
            connection = psycopg2.connect("", user=login or None, password=password or None)
            connection.set_session(readonly=True, autocommit=True)
            ask(connection, "set timezone to 'UTC'")
        yield connection
    except (duckdb.Error, psycopg2.Error) as error:
        raise BuildError(f"the query failed: {str(error).strip().splitlines()[0]}") from error
    finally:
        if connection is not None:
            connection.close()


def ask(connection: Any, sql: str, limit: int | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one statement. Returns the names of its columns and its rows, the first `limit` of them."""
    # A cursor of DuckDB's would be a connection of its own, with `main` as its catalog.
    cursor = connection if isinstance(connection, duckdb.DuckDBPyConnection) else connection.cursor()
    cursor.execute(sql)
    names = [str(column[0]) for column in cursor.description or ()]
    if not names:
        return [], []
    return names, list(cursor.fetchall() if limit is None else cursor.fetchmany(limit))


def query(target: Target, sql: str, say: Callable[[str], None]) -> None:
    """Run one statement on what readers see, which changes nothing, and print its first rows as a table.

    Raises:
        BuildError: nothing is published yet, it is more than one statement, or it fails.
    """
    require_question(sql)
    with open_published(target) as connection:
        _seal(connection, target)
        names, rows = ask(connection, sql, LIMIT)
    print_table(names, rows, say)
    if len(rows) == LIMIT:
        say(f"(the first {LIMIT:,} rows)")


def require_question(sql: str) -> None:
    """Raise BuildError where a text is not one statement that asks something."""
    if not sql.strip():
        raise BuildError("no question was asked: make query Q='select * from core.dim_dates limit 5'")
    bare = sqlparse.format(sql, strip_comments=True)
    if len([each for each in sqlparse.split(bare) if each.strip("; \t\r\n")]) > 1:
        raise BuildError("the query failed: it is more than one statement: ask one at a time")
    first = re.split(r"\W", bare.lstrip(" \t\r\n("), maxsplit=1)[0].lower()
    if first not in _QUESTIONS:
        raise BuildError(f"the query failed: {first} is no question: begin with one of {', '.join(_QUESTIONS)}")


def sealing(target: Target) -> str:
    """DuckDB: the statements after which a connection reads what is attached and nothing else, for good."""
    allowed = ""
    if target.lake:
        # What is attached lies there, each file with a key that only its catalog has.
        allowed = f"set allowed_directories = [{literal(target.lake.data_path(PUBLISHED))}]; "
    return f"{allowed}set enable_external_access = false; set lock_configuration = true"


def _seal(connection: Any, target: Target) -> None:
    """Let a connection do nothing but read what readers see, in a bounded time."""
    if isinstance(connection, duckdb.DuckDBPyConnection):
        connection.execute(sealing(target))
        return
    connection.autocommit = False
    with connection.cursor() as cursor:
        # Roles are the server's: another warehouse may have made them, and this one's readers not let in.
        cursor.execute(
            """select 1 from pg_roles as r, pg_namespace as n
            where r.rolname = %s and n.nspname = 'ops'
                and has_schema_privilege(r.oid, n.oid, 'usage') and pg_has_role(r.oid, 'member')""",
            [REPORTER],
        )
        if cursor.fetchone():
            cursor.execute(f"set local role {REPORTER}")
        cursor.execute(f"set local statement_timeout = '{TIMEOUT}'")


def spelled_otherwise(
    connection: duckdb.DuckDBPyConnection, where: str, texts: Callable[[str], str | None]
) -> list[str]:
    """Of each name that a filter compares with a text that isn't there: which values there are, the nearest first.

    Args:
        connection: where the relations of `texts` can be read.
        where: a filter that found nothing, in SQL.
        texts: a DuckDB relation with what a name holds as its column `value`; None where that is no text.
    """
    said = []
    for name, escaped in _COMPARED.findall(where):
        value, relation = escaped.replace("''", "'"), texts(name)
        if relation is None:
            continue
        rows = connection.execute(
            f"select distinct value from {relation} where value is not null order by lower(value) <> lower(?), "
            f"jaro_winkler_similarity(value, ?) desc, 1 limit {_SHOWN + 1}",
            [value, value],
        ).fetchall()
        values = [str(row[0]) for row in rows]
        # Where it is there, it is the nearest, for nothing is nearer to a text than itself.
        if values and value not in values:
            listed = ", ".join(map(repr, values[:_SHOWN])) + (", …" if len(values) > _SHOWN else "")
            said.append(f"no row has {name} = {value!r}; there are {listed}")
    return said


def print_table(names: list[str], rows: list[tuple[Any, ...]], say: Callable[[str], None]) -> None:
    """Print rows under their names, numbers to the right."""
    cells = [["" if value is None else str(value).translate(_CONTROLS) for value in row] for row in rows]
    widths = [
        max(len(name), *(len(row[i]) for row in cells), 1) if cells else len(name) for i, name in enumerate(names)
    ]
    numeric = [
        bool(rows) and all(isinstance(row[i], int | float | Decimal) or row[i] is None for row in rows)
        for i in range(len(names))
    ]
    say(
        "  ".join(
            name.rjust(widths[i]) if numeric[i] else name.ljust(widths[i]) for i, name in enumerate(names)
        ).rstrip()
    )
    say("  ".join("-" * width for width in widths))
    for row in cells:
        say(
            "  ".join(
                cell.rjust(widths[i]) if numeric[i] else cell.ljust(widths[i]) for i, cell in enumerate(row)
            ).rstrip()
        )
