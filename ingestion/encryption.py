"""Encryption at rest: the one way in which DuckDB's files are opened.

Where PRIVACY__FILES_KEY is set, in the environment or in `.dlt/secrets.toml`, every DuckDB file is written encrypted
by DuckDB itself (AES-256 in GCM), its log and what memory doesn't hold too. A database that is encrypted can only be
attached, so what is opened as a file otherwise is attached to one in memory then. Where the variable isn't set, files
are opened as they always were.

To write, DuckDB wants OpenSSL's cipher, which the extension httpfs brings; it comes from the locked requirements.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

import duckdb

from ingestion.duck import guard, load_extension
from ingestion.environment import ConfigurationError
from ingestion.keys import BEFORE, KEY, files_key
from ingestion.sql import literal, quoted

# What DuckDB 1.5.5 says, which has no codes, and what is said in its place.
_REFUSED = {
    **dict.fromkeys(
        ("without a key", "is encrypted, but"),
        f"it is encrypted, and {KEY} is not set: set the key that it was written with",
    ),
    **dict.fromkeys(
        ("Wrong encryption key", "AES tag differs"),
        f"it is encrypted with another key than {KEY}: set the one that it was written with, or, where keys were "
        f"changed, say `make rotate KEY=files` with the former one in {BEFORE}",
    ),
    "is not encrypted": f"it is in the clear, and {KEY} is set: `make rotate KEY=files` encrypts what there is",
}


def attach(
    connection: duckdb.DuckDBPyConnection, file: Path, alias: str, *, read_only: bool = False, key: str | None = None
) -> None:
    """Attach a DuckDB file, which is made where it isn't there and may be written.

    Args:
        connection: where to attach it.
        file: the file.
        alias: what the connection calls it.
        read_only: whether it is only read.
        key: what it is encrypted with; that of `files_key` unless given. Nothing: it is in the clear.

    Raises:
        ConfigurationError: the file is encrypted and there is no key, or another, or it is not and there is one.
        duckdb.Error: it can't be opened for another reason, such as that somebody writes to it.
    """
    key = files_key() if key is None else key
    if key:
        load_extension(connection, "httpfs")
    try:
        connection.execute(attach_statement(file, alias, read_only=read_only, key=key))
    except duckdb.Error as error:
        raise refused(file, error) or error from None


def attach_statement(file: Path, alias: str, *, read_only: bool = False, key: str = "") -> str:
    """The statement that attaches a file, key included: whoever runs it shows it to nobody."""
    options = [*(["read_only"] if read_only else []), *([f"encryption_key {literal(key)}"] if key else [])]
    return f"attach {literal(str(file))} as {quoted(alias)}" + (f" ({', '.join(options)})" if options else "")


def refused(file: Path, error: duckdb.Error) -> ConfigurationError | None:
    """What it means that DuckDB refuses a file; None where that has nothing to do with keys."""
    for words, what in _REFUSED.items():
        if words in str(error):
            return ConfigurationError(f"{file} can't be opened: {what}")
    return None


def parquet_options(connection: duckdb.DuckDBPyConnection, key: str | None = None) -> str:
    """What stands in the parentheses of a COPY that writes a Parquet file: with its key, where there is one.

    Args:
        connection: where it is written; its database knows the key from then on.
        key: what the file is encrypted with; that of `files_key` unless given.
    """
    return ", ".join(["format parquet", *(f"encryption_config {each}" for each in _parquet_key(connection, key))])


def parquet(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], key: str | None = None) -> str:
    """A DuckDB relation of Parquet files that were written with `parquet_options`, by the names of their columns.

    Raises:
        ConfigurationError: a file is encrypted and there is no key, or another, or it is not and there is one.
    """
    given = "".join(f", encryption_config = {each}" for each in _parquet_key(connection, key))
    each_one = []
    for file in files:
        each_one.append(f"from read_parquet({literal(str(file))}{given})")
        try:
            connection.execute(f"{each_one[-1]} limit 0")
        except duckdb.Error as error:
            raise refused(file, error) or error from None
    # Of several encrypted files DuckDB 1.5.5 falls over its own `union_by_name`.
    return f"({' union all by name '.join(each_one)})"


def _parquet_key(connection: duckdb.DuckDBPyConnection, key: str | None) -> list[str]:
    """Have a database know a key, which for Parquet has 32 bytes. Gives what names it: one or nothing."""
    key = files_key() if key is None else key
    if not key:
        return []
    load_extension(connection, "httpfs")
    made = base64.b64encode(hmac.digest(key.encode(), b"granary parquet", "sha256")).decode()
    name = hashlib.sha256(made.encode()).hexdigest()
    connection.execute(f"pragma add_parquet_key('{name}', '{made}')")
    return [f"{{footer_key: '{name}'}}"]


def open_file(file: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection to a DuckDB file, whose tables have their names without a catalog. Its cursors begin in memory.

    Raises:
        ConfigurationError, duckdb.Error: as `attach`.
    """
    if files_key():
        connection = duckdb.connect()
        try:
            guard(connection)
            attach(connection, file, file.stem, read_only=read_only)
            spill_beside(connection, file)
            connection.execute(f"use {quoted(file.stem)}")
        except BaseException:
            connection.close()
            raise
        return connection
    try:
        return duckdb.connect(str(file), read_only=read_only)
    except duckdb.Error as error:
        raise refused(file, error) or error from None


def spill_beside(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Write what memory doesn't hold where DuckDB would for the file itself, not where the command was started."""
    connection.execute(f"set temp_directory = {literal(f'{file}.tmp')}")
