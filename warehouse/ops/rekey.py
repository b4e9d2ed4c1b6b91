"""Every file of the warehouse anew under another key, or under one for the first time.

The key from now on is PRIVACY__FILES_KEY; what is there may be written with it already, with the one that
PRIVACY__FILES_KEY_BEFORE names, or in the clear. Each file is copied, compared and exchanged by its name, so that at
every moment it is whole under one of the keys. Whatever ends this in between, the same command again does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import psycopg2

from ingestion.destination.lock import build_lock
from ingestion.destination.target import Target
from ingestion.duck import connect
from ingestion.encryption import attach, parquet, parquet_options
from ingestion.environment import ConfigurationError
from ingestion.keys import BEFORE, KEY, files_key
from ingestion.privacy.crosswalk import SCHEMA, crosswalk_file
from ingestion.privacy.postgres import reseal
from ingestion.sql import literal, quoted
from warehouse.errors import BuildError
from warehouse.ops.backup import PARTS

# Copies that a publish, a run or a load was about to put into a file's place when it was killed.
_LEFT_OVER = (".previous", ".copying", ".writing", ".fresh", ".rekeyed")


def rekey(target: Target, say: Callable[[str], None]) -> None:
    """Write what lies on disk anew under the present key: DuckDB's files, or the crosswalk's column on Postgres.

    Args:
        target: the warehouse, which nothing builds meanwhile; readers go on with what they have open.
        say: takes a line for each file.

    Raises:
        ConfigurationError: there is no key at all, or one of the files opens with none of them.
        BuildError: a file can't be read, or a copy isn't what was copied; that file is as it was.
    """
    key, before = files_key(), files_key(BEFORE)
    if not key and not before:
        raise ConfigurationError(f"there is no key: set {KEY}, and {BEFORE} to the one before, if there was one")
    crosswalk = crosswalk_file(target)
    parts = [target.folder / name for name in PARTS] if target.in_files else []
    with build_lock(target):
        for file in [*parts, *([crosswalk] if crosswalk else [])]:
            for suffix in _LEFT_OVER:
                file.with_suffix(suffix).unlink(missing_ok=True)
            if file.exists():
                _rekey(file, [key, before, ""], say)
        _rekey_archive(target.folder / "archive", [key, before, ""], say)
        if crosswalk is None:
            target.folder.mkdir(parents=True, exist_ok=True)
            try:
                count = reseal(target.schema(SCHEMA), key, before, target.folder)
            except psycopg2.Error as error:
                reason = str(error).strip().splitlines()[0]
                raise BuildError(f"the crosswalk can't be written anew: {reason}; nothing of it was changed") from error
            say(f"{target.schema(SCHEMA)}.identifiers: {count:,} values are {_now(key)}")
    if not key:
        say(f"what is written from now on is in the clear; delete {BEFORE}")
    elif before:
        say(f"everything is under the new key; delete {BEFORE}. Backups and extracts from before keep the former one")
    else:
        say("backups, extracts and the disk's free blocks may hold what was written in the clear before")


def _now(key: str) -> str:
    return "encrypted with the present key" if key else "in the clear now"


def _rekey(file: Path, keys: list[str], say: Callable[[str], None]) -> None:
    started = time.monotonic()
    present = _key_of(file, keys)
    if present == keys[0]:
        say(f"{file}: {_now(present)} already")
        return
    fresh = file.with_suffix(".rekeyed")
    log = file.with_name(f"{file.name}.wal")
    try:
        with closing(connect()) as connection:
            # Under its own name, which the definitions of its views give. What is in its log is written by that.
            attach(connection, file, file.stem, read_only=not log.exists(), key=present)
            attach(connection, fresh, "fresh", key=keys[0])
            connection.execute(f"copy from database {quoted(file.stem)} to fresh")
            connection.execute("checkpoint fresh")
            tables = _compared(connection, file)
        fresh.chmod(file.stat().st_mode)
        fresh.replace(file)
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise BuildError(
            f"{file} could not be written anew, and is as it was: {reason}; close what has it open, then say it again"
        ) from None
    finally:
        fresh.unlink(missing_ok=True)
    say(f"{file}: {tables} tables are {_now(keys[0])}, {time.monotonic() - started:.1f} s")


def _rekey_archive(folder: Path, keys: list[str], say: Callable[[str], None]) -> None:
    """The same of the versions that raw no longer keeps, which are Parquet files beside either engine."""
    count, files = 0, sorted(folder.glob("*/*/*.parquet"))
    for file in files:
        fresh = file.with_suffix(".rekeyed")
        with closing(connect()) as connection:
            relation = _opened_by(connection, file, keys)
            if relation is None:
                continue
            try:
                options = parquet_options(connection, keys[0])
                connection.execute(f"copy (from {relation}) to {literal(str(fresh))} ({options})")
                fresh.replace(file)
            finally:
                fresh.unlink(missing_ok=True)
        count += 1
    if files:
        say(f"{folder}: {count} of {len(files)} files were written anew and are {_now(keys[0])}")


def _opened_by(connection: duckdb.DuckDBPyConnection, file: Path, keys: list[str]) -> str | None:
    """The relation of a Parquet file by whichever key opens it; None where that is the first one."""
    for key in dict.fromkeys(keys):
        with suppress(ConfigurationError):
            relation = parquet(connection, [file], key)
            return None if key == keys[0] else relation
    raise _closed(file)


def _closed(file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{file} opens neither with {KEY} nor with {BEFORE}: set {BEFORE} to the key that it was written with; "
        "the files that are named above are done"
    )


def _key_of(file: Path, keys: list[str]) -> str:
    """With which of these keys, of which one may be none, a file opens."""
    for key in dict.fromkeys(keys):
        try:
            with closing(connect()) as connection:
                attach(connection, file, "tried", read_only=True, key=key)
            return key
        except ConfigurationError:
            continue
        except duckdb.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise BuildError(f"{file} can't be opened: {reason}; close what writes to it, then say it again") from None
    raise _closed(file)


def _compared(connection: duckdb.DuckDBPyConnection, file: Path) -> int:
    """Compare the numbers of rows of all tables. Returns how many tables there are."""
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = ? order by all", [file.stem]
    ).fetchall()
    for schema, table in tables:
        name = f"{quoted(schema)}.{quoted(table)}"
        counts = connection.execute(
            f"select (select count(*) from {quoted(file.stem)}.{name}), (select count(*) from fresh.{name})"
        ).fetchone()
        if counts is None or counts[0] != counts[1]:
            raise BuildError(f"the copy of {file} lacks rows of {name}: is the disk sound? The file is as it was")
    return len(tables)
