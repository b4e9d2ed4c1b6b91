"""DuckDB as the reader of every source: one in-memory connection with the extensions it needs."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from ingestion.keys import files_key
from ingestion.sql import literal, quoted

# It may use the network for nothing: extensions come from the locked requirements.
SETTINGS: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


# Databases in memory that a load is done with, with the extensions that they have loaded.
_idle: list[duckdb.DuckDBPyConnection] = []


def connect() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB whose time zone is UTC, so that times with an offset are read right."""
    return _settled(duckdb.connect(config=SETTINGS))


def _settled(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    connection.execute("load icu")
    connection.execute("set timezone = 'UTC'")
    guard(connection)
    # A terminal's progress bar would be drawn into the middle of the build's own lines.
    connection.execute("set enable_progress_bar = false")
    return connection


def guard(connection: duckdb.DuckDBPyConnection) -> None:
    """Where there is a key, have a database in memory encrypt what it writes to disk.

    DuckDB writes by OpenSSL's cipher alone, which the extension httpfs brings.
    """
    if files_key():
        load_extension(connection, "httpfs")
        connection.execute("set temp_file_encryption = true")


@contextmanager
def connected(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """What `connect` gives, for a load: its database is used again by the next load of this process.

    To load an extension, of which DuckDB checks the signature, takes a fifth of what a load of a few rows takes.

    Args:
        spill: where to write what memory doesn't hold.
    """
    database, is_clean = _idle.pop() if _idle else connect(), False
    try:
        with closing(_settled(database.cursor())) as connection:
            connection.execute(f"set temp_directory = {literal(str(spill))}")
            yield connection
            # Where it has written, there it would write for ever; and what a variable holds over ODBC ends with it.
            is_clean = not spill.exists() and not connection.execute("from duckdb_variables()").fetchall()
    finally:
        if is_clean and _emptied(database):
            _idle.append(database)
        else:
            database.close()


def _emptied(database: duckdb.DuckDBPyConnection) -> bool:
    """Detach what is attached, and drop the secrets to it. Where that can't be done, the database is of no more use."""
    attached = "select database_name from duckdb_databases() where not internal and database_name <> 'memory'"
    with suppress(duckdb.Error):
        for (name,) in database.execute(attached).fetchall():
            database.execute(f"detach {quoted(name)}")
        for (name,) in database.execute("select name from duckdb_secrets()").fetchall():
            database.execute(f"drop secret {quoted(name)}")
        return True
    return False


def number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """The one number that a statement answers with, such as how many rows it wrote; 0 where it answers with none."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def fill(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Iterable[str], rows: Sequence[Sequence[object]]
) -> None:
    """Insert rows into a table.

    By `executemany` each value would take as long as a look for modules that may define its type.

    Args:
        connection: where the table is.
        table: its name.
        columns: the columns that a row has a value of, in its order; the table's others are null.
        rows: the values.
    """
    if not rows:
        return
    import pyarrow as pa  # takes as long as DuckDB, and most processes fill nothing

    arrays = [pa.array(values) for values in zip(*rows, strict=True)]
    connection.register("filling", pa.Table.from_arrays(arrays, names=list(columns)))
    connection.execute(f"insert into {quoted(table)} by name from filling")
    connection.unregister("filling")


def copied_csv(path: Path, columns: Mapping[str, str]) -> str:
    """A DuckDB relation of a CSV file with a header, as COPY writes it; nothing about it is guessed.

    Args:
        path: the file.
        columns: DuckDB's type of each column, in the file's order.
    """
    types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    return (
        f"read_csv({literal(str(path))}, header = true, quote = '\"', escape = '\"', columns = {{{types}}}, "
        "max_line_size = 100000000, auto_detect = false)"
    )


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension from its wheel, without the network and without the home directory.

    Raises:
        RuntimeError: as `extension_file`.
    """
    connection.execute(f"load {literal(str(extension_file(name)))}")


def extension_file(name: str) -> Path:
    """Where an extension lies, by DuckDB's name of it, such as `sqlite_scanner`.

    Raises:
        RuntimeError: the wheel for this DuckDB isn't installed.
    """
    try:
        package = importlib.import_module(f"duckdb_extension_{name}")
    except ImportError as error:
        raise RuntimeError(f"the DuckDB extension {name} is not installed: run `make setup`") from error
    folder = Path(str(package.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
    path = folder / f"{name}.duckdb_extension"
    if not path.exists():
        raise RuntimeError(f"the DuckDB extension {name} is not for DuckDB {duckdb.__version__}: run `make setup`")
    return path
