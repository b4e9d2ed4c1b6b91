"""The files that dlt imports, in the form in which the warehouse bulk-loads."""

from __future__ import annotations

from pathlib import Path

from ingestion.destination.target import Target
from ingestion.load.extracts import Reader
from ingestion.sql import literal


def file_format(target: Target) -> str:
    """The form in which the warehouse bulk-loads."""
    return "parquet" if target.engine == "duckdb" else "csv"


def write_files(reader: Reader, select: str, name: str) -> tuple[list[Path], int]:
    """Write a select's rows, in any order, to files in the load's folder. Returns the files and the rows of all.

    Nothing is compressed: the files are read once and deleted. Postgres takes one COPY a file, and several at once.
    """
    kind = file_format(reader.target)
    path = reader.workspace / f"{name}.{kind}"
    options = (
        "format parquet, compression uncompressed" if kind == "parquet" else "format csv, header, per_thread_output"
    )
    row = reader.connection.execute(f"copy ({select}) to {literal(str(path))} ({options}, return_files)").fetchone()
    assert row is not None
    return [Path(str(each)) for each in row[1]], int(row[0])
