"""DuckDB: a consistent copy of the warehouse's files, checked; and the way back.

A backup is a folder: the files, and `backup.json` with their checksums and how many rows each table has. It is taken
under the build's lock, so nothing is written meanwhile; readers go on reading. The ledger of tombstones is no part of
it: who was forgotten since stays forgotten.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from ingestion.destination.lock import build_lock
from ingestion.destination.target import Target
from ingestion.duck import connect
from ingestion.encryption import attach, open_file
from ingestion.privacy.crosswalk import crosswalk_file
from warehouse.build.redaction import apply_tombstones
from warehouse.errors import BuildError

Say = Callable[[str], None]
KEEP = 7
PARTS = ("build.duckdb", "warehouse.duckdb", "warehouse__next.duckdb", "runs.duckdb")
CROSSWALK = "crosswalk.duckdb"
# What is copied is a backup when it has this, which is written last.
MANIFEST = "backup.json"


def back_up(target: Target, folder: Path | None, keep: int, say: Say) -> Path:
    """Copy the warehouse, check the copy, and let go of backups that are no longer kept.

    Args:
        target: a DuckDB warehouse.
        folder: where backups lie; `backups` beside the files unless given.
        keep: how many of the newest are kept.
        say: takes lines of progress.

    Returns:
        The backup's folder.

    Raises:
        BuildError: there is nothing to back up, or the copy isn't what was copied.
    """
    _require_duckdb(target)
    folder = folder or target.folder / "backups"
    started = time.monotonic()
    with build_lock(target):
        if not target.published_file.exists():
            raise BuildError(f"nothing is published in {target.folder} yet: run `make build` first")
        backup = folder / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        partial = backup.with_name(backup.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        files = {file.name: file for file in (target.folder / name for name in PARTS) if file.exists()}
        crosswalk = crosswalk_file(target)
        if crosswalk and crosswalk.exists():
            files[CROSSWALK] = crosswalk
        for name, file in files.items():
            _checkpoint(file)
            shutil.copy2(file, partial / name)
        manifest: dict[str, Any] = {
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": {name: _checksum(partial / name) for name in files},
            "tables": {name: _row_counts(file) for name, file in files.items()},
        }
        for name, counts in manifest["tables"].items():
            if _row_counts(partial / name) != counts:
                raise BuildError(f"the copy of {name} in {partial} lacks rows of the original: is the disk sound?")
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        partial.replace(backup)
    megabytes = sum((backup / name).stat().st_size for name in files) / 1e6
    tables = sum(len(counts) for counts in manifest["tables"].values())
    say(
        f"backup {backup}: {len(files)} files, {tables} tables, {megabytes:,.0f} MB, checked; "
        f"{time.monotonic() - started:.0f} s"
    )
    for old in sorted(_backups(folder))[:-keep]:
        shutil.rmtree(old)
        say(f"let go of {old.name}: the {keep} newest are kept")
    return backup


def restore(target: Target, backup: Path | None, say: Say) -> None:
    """Put a backup in the place of the warehouse, which is set aside.

    Args:
        target: a DuckDB warehouse; its files may be gone.
        backup: the backup's folder; the newest in `backups` unless given.
        say: takes lines of progress.

    Raises:
        BuildError: there is no such backup, or it is damaged; nothing was changed.
        ConfigurationError: it was written with another key; nothing was changed.
    """
    _require_duckdb(target)
    newest = max(_backups(target.folder / "backups"), default=None)
    backup = backup or newest
    if backup is None or not (backup / MANIFEST).exists():
        raise BuildError(f"there is no backup in {backup or target.folder / 'backups'}: say BACKUP=<its folder>")
    manifest = json.loads((backup / MANIFEST).read_text(encoding="utf-8"))
    for name, checksum in manifest["files"].items():
        if not (backup / name).exists() or _checksum(backup / name) != checksum:
            raise BuildError(f"{backup / name} is not what was backed up: take another backup; nothing was changed")
        with closing(connect()) as connection:
            # One from before a change of keys has the former; said before anything is moved.
            attach(connection, backup / name, "copy", read_only=True)
    started = time.monotonic()
    with build_lock(target):
        aside = target.folder / f"before_restore_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        aside.mkdir()
        for name in PARTS:
            for file in (target.folder / name, target.folder / f"{name}.wal"):
                if file.exists():
                    file.replace(aside / file.name)
        # dlt looks at raw for what it knows, where it finds nothing of its own.
        for left in ("pipelines", "pending", "loading"):
            if (target.folder / left).exists():
                (target.folder / left).replace(aside / left)
        for name in manifest["files"]:
            if name in PARTS:
                shutil.copy2(backup / name, target.folder / name)
        # The present crosswalk knows whatever the backup's does, and not who was forgotten since.
        crosswalk = crosswalk_file(target)
        if crosswalk and not crosswalk.exists() and CROSSWALK in manifest["files"]:
            shutil.copy2(backup / CROSSWALK, crosswalk)
        if apply_tombstones(target, say) is not None:
            # Marts that know them are not for readers.
            for file in (target.published_file, target.next_file):
                file.unlink(missing_ok=True)
            say("the backup's marts know persons who were forgotten since: `make build` makes them anew")
    say(
        f"restored {backup} of {manifest['taken_at']} in {time.monotonic() - started:.0f} s; what was there is in "
        f"{aside}. Next: `make build`, which loads what came since"
    )


def _require_duckdb(target: Target) -> None:
    if target.lake:
        raise BuildError(
            "this copies DuckDB's files; a lake's catalogs are backed up with their Postgres, its files by what keeps "
            "them (docs/lake.md, backup)"
        )
    if target.engine != "duckdb":
        raise BuildError("this copies DuckDB's files; a Postgres is backed up by `make backup TARGET=prod`")


def _backups(folder: Path) -> Iterable[Path]:
    return [each.parent for each in folder.glob(f"*/{MANIFEST}")]


def _checkpoint(file: Path) -> None:
    """Write what is in the file's log into the file. Closed again, for a copy of an open file loses its lock."""
    try:
        with closing(open_file(file)) as connection:
            connection.execute("checkpoint")
    except duckdb.IOException as error:
        # A reader has it open, so nothing is in its log: who writes closes it, and that writes the log.
        if file.with_name(f"{file.name}.wal").exists():
            raise BuildError(f"{file} is being written to: close whatever has it open, then back up again") from error


def _checksum(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _row_counts(file: Path) -> dict[str, int]:
    with closing(connect()) as connection:
        attach(connection, file, "copy", read_only=True)
        tables: list[Any] = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'copy' order by all"
        ).fetchall()
        counted = " union all ".join(
            f'select \'{schema}.{table}\' as name, count(*) as n from copy."{schema}"."{table}"'
            for schema, table in tables
        )
        return {str(name): int(n) for name, n in connection.execute(counted).fetchall()} if tables else {}
