"""Ask the published marts in SQL, and see a small table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import psycopg2

from ingestion.destination import Target
from warehouse.errors import BuildError

LIMIT = 1000


def query(target: Target, sql: str, say: Callable[[str], None]) -> None:
    """Run one statement on what readers see, and print its first rows as a table.

    Raises:
        BuildError: nothing is published yet, or the statement fails.
    """
    if not sql.strip():
        raise BuildError('no question was asked: make query Q="select * from core.dim_dates limit 5"')
    if target.engine == "duckdb" and not target.published_file.exists():
        raise BuildError(f"nothing is published in {target.folder} yet: run `make build` first")
    connection: Any = None
    try:
        if target.engine == "duckdb":
            connection = duckdb.connect(str(target.published_file), read_only=True)
            runs = target.folder / "runs.duckdb"
            if runs.exists():
                # As on Postgres, `runs.ops_runs` is a table then.
                connection.execute(f"attach '{runs}' as runs (read_only)")
        else:
            connection = psycopg2.connect("")  # libpq reads its own variables
            connection.set_session(readonly=True)
        cursor = connection.cursor()
        cursor.execute(sql)
        names = [str(column[0]) for column in cursor.description or ()]
        rows = cursor.fetchmany(LIMIT)
    except (duckdb.Error, psycopg2.Error) as error:
        raise BuildError(f"the query failed: {str(error).strip().splitlines()[0]}") from error
    finally:
        if connection is not None:
            connection.close()
    print_table(names, rows, say)
    if len(rows) == LIMIT:
        say(f"(the first {LIMIT:,} rows)")


def print_table(names: list[str], rows: list[tuple[Any, ...]], say: Callable[[str], None]) -> None:
    """Print rows under their names, numbers to the right."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    widths = [
        max(len(name), *(len(row[i]) for row in cells), 1) if cells else len(name) for i, name in enumerate(names)
    ]
    numeric = [
        bool(rows) and all(isinstance(row[i], int | float) or row[i] is None for row in rows) for i in range(len(names))
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
