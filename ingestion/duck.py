"""DuckDB as the reader of every source: one in-memory connection with the extensions it needs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from ingestion.sql import literal

# It may use the network for nothing: extensions come from the locked requirements.
SETTINGS: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def connect() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB whose time zone is UTC, so that times with an offset are read right."""
    connection = duckdb.connect(config=SETTINGS)
    connection.execute("load icu")
    connection.execute("set timezone = 'UTC'")
    # A terminal's progress bar would be drawn into the middle of the build's own lines.
    connection.execute("set enable_progress_bar = false")
    return connection


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

    Args:
        connection: where to load it.
        name: DuckDB's name of the extension, such as `sqlite_scanner`.

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
    connection.execute(f"load '{path}'")
