"""DuckDB: a reporter's key reads the published file, a tenant's an extract of it that has its rows alone.

A file is open while somebody reads it and some seconds more, so that builds find it closed. What was opened stays the
generation that it was; who asks after a publish gets the new file.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from api.catalogue import Catalogue, Mart, marts_of
from api.errors import NO_KEY, bad_request, unauthorized, unavailable
from api.kinds import Kind, kind_of
from api.overdue import Overdue
from api.project import Project
from api.questions import Question, sql_of
from api.reading import Answer, Caller, digest
from api.settings import Settings
from api.stored_keys import StoredKey, found_key, stamp_of
from ingestion.destination.target import Target
from ingestion.duck import connect
from ingestion.encryption import attach
from ingestion.environment import ConfigurationError
from ingestion.sql import quoted
from warehouse.errors import BuildError
from warehouse.people.extract import write_extract
from warehouse.publish.access import READERS, REPORTER, TENANT

IDLE_SECONDS = 3.0
BATCH_ROWS = 16_384
NOT_COMPARED = "the database can't compare a column with that value: see the column's type in /catalog"
NOT_NOW = "the warehouse can't answer now: try again; the log of `make api` says why"

_COLUMNS = """
    select schema_name, table_name, column_name, data_type from duckdb_columns()
    where database_name = 'marts' order by schema_name, table_name, column_index"""


@dataclass
class _Open:
    """A file that is open. `stamp`: which file it was; `columns`: what is in it; `users`: who read it now.

    marts: what the catalogue has of the columns; `cursors`: that nobody uses now.
    """

    connection: duckdb.DuckDBPyConnection
    stamp: tuple[int, int]
    generation: int
    published_at: datetime
    columns: list[tuple[str, str, str, Kind]]
    users: int = 0
    used: float = field(default_factory=time.monotonic)
    marts: tuple[Catalogue, dict[tuple[str, str], Mart]] | None = None
    cursors: list[duckdb.DuckDBPyConnection] = field(default_factory=list)

    def marts_of(self, catalogue: Catalogue) -> dict[tuple[str, str], Mart]:
        """What there is of a catalogue."""
        if self.marts is None or self.marts[0] is not catalogue:
            self.marts = catalogue, marts_of(catalogue, self.columns)
        return self.marts[1]

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor that nobody else uses."""
        with suppress(IndexError):
            return self.cursors.pop()
        cursor = self.connection.cursor()
        cursor.execute("use marts; set timezone = 'UTC'")
        return cursor

    def close(self) -> None:
        """Close the file, which any cursor would keep open."""
        for each in (*self.cursors, self.connection):
            each.close()


class DuckReader:
    """Reads DuckDB's published file for whoever sends a key."""

    def __init__(self, target: Target, project: Project, settings: Settings, extracts: Path):
        self.target, self.project, self.settings = target, project, settings
        self.overdue = Overdue(settings.seconds)
        self._lock, self._extracting = threading.Lock(), threading.Lock()
        self._open: list[tuple[Path, _Open]] = []
        self.extracts = extracts
        extracts.mkdir(mode=0o700)

    def caller(self, token: str) -> Caller:
        """Who sends this key, by the keys' file, and what is published."""
        key = self._key(token)
        with self._published() as published:
            pass
        rights = hashlib.sha256(",".join(key.tenants).encode()).hexdigest()[:16]
        return Caller(digest(token), key.name, key.login, published.generation, published.published_at, rights)

    def marts(self, token: str, caller: Caller) -> dict[tuple[str, str], Mart]:
        """The marts that are in the caller's file: of the published one what reporters read."""
        catalogue = self.project.said.catalogue
        with self._file(token) as opened:
            there = opened.marts_of(catalogue)
        hidden = {(each.schema, each.name) for each in catalogue.declared if REPORTER not in READERS[each.access]}
        if self._key(token).tenants or hidden.isdisjoint(there):
            return there
        return {key: mart for key, mart in there.items() if key not in hidden}

    @contextmanager
    def ask(self, token: str, question: Question, most: int, texts: bool) -> Iterator[Answer]:
        """Ask for rows of the file that is published now."""
        parameters: list[Any] = []

        def mark(kind: Kind, value: Any) -> str:
            parameters.append(value)
            return f"cast(? as {kind.written})"

        relation = f"marts.{quoted(self.target.schema(question.mart.schema))}.{quoted(question.mart.name)}"
        sql = sql_of(question, relation, mark, most, texts=texts)
        with self._file(token) as opened, self._executed(opened, sql, parameters) as (_, batches):
            yield Answer(opened.generation, batches)

    def ask_sql(self, token: str, sql: str, most: int) -> tuple[pa.Table, int]:
        """Run a statement of ours on the caller's file."""
        limited = f"select * from (\n{sql}\n) as metrics limit {most}"
        with self._file(token) as opened, self._executed(opened, limited, []) as (schema, batches):
            return pa.Table.from_batches(batches, schema), opened.generation

    def tidy(self) -> None:
        """End what takes too long, and close what nobody reads."""
        self.overdue.end()
        self._close_unused(IDLE_SECONDS)

    def close(self) -> None:
        """Close what nobody reads, and delete the extracts."""
        self._close_unused(0)
        shutil.rmtree(self.extracts, ignore_errors=True)

    def _key(self, token: str) -> StoredKey:
        found = found_key(self.target.folder, token)
        if found is None or found.expires_at <= datetime.now(UTC):
            raise unauthorized(NO_KEY)
        return found

    @contextmanager
    def _executed(
        self, opened: _Open, sql: str, parameters: list[Any]
    ) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        connection, is_read = opened.cursor(), False
        try:
            with self.overdue.watched(connection.interrupt) as ended:
                try:
                    reader = connection.execute(sql, parameters).to_arrow_reader(BATCH_ROWS)
                except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
                    raise ended() or bad_request(NOT_COMPARED) from error
                except duckdb.CatalogException as error:
                    raise unavailable("what is published has changed: ask /catalog, and again", 1) from error
                except duckdb.Error as error:
                    raise ended() or unavailable(NOT_NOW) from error

                def batches() -> Iterator[pa.RecordBatch]:
                    nonlocal is_read
                    try:
                        yield from reader
                    except (duckdb.Error, pa.ArrowException, OSError) as error:
                        raise ended() or unavailable(NOT_NOW) from error
                    is_read = True

                yield reader.schema, batches()
        finally:
            if is_read:
                opened.cursors.append(connection)
            else:
                connection.close()

    @contextmanager
    def _file(self, token: str) -> Iterator[_Open]:
        """The file of whoever sends a key."""
        key = self._key(token)
        with self._published() as published:
            if not key.tenants:
                yield published
                return
            path = self._extract(published, key.tenants)
        with self._opened(path) as extract:
            yield extract

    def _published(self) -> Any:
        return self._opened(self.target.published_file)

    @contextmanager
    def _opened(self, path: Path) -> Iterator[_Open]:
        with self._lock:
            stamp = stamp_of(path)
            opened = next((each for at, each in self._open if at == path and each.stamp == stamp), None)
            if opened is None:
                opened = _open(path, stamp, self.target)
                self._open.append((path, opened))
            opened.users += 1
        try:
            yield opened
        finally:
            with self._lock:
                opened.users -= 1
                opened.used = time.monotonic()

    def _extract(self, published: _Open, tenants: tuple[str, ...]) -> Path:
        """The extract of some tenants from an open published file, which is made where it isn't there yet."""
        said = self.project.said
        folder = self.extracts / f"{published.generation}_{published.stamp[0]}_{said.fingerprint[:16]}"
        path = folder / f"{hashlib.sha256(','.join(tenants).encode()).hexdigest()[:16]}.duckdb"
        with self._extracting:
            if path.exists():
                return path
            folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".writing")
            partial.unlink(missing_ok=True)
            # In the connection that has the file open: a second one, when closed, would let go of the first one's lock.
            connection = published.connection.cursor()
            # What the project has and nobody has published yet is nobody's to read.
            there = {(schema, name) for schema, name, _, _ in published.columns}
            declared = [each for each in said.catalogue.declared if (each.schema, each.name) in there]
            try:
                write_extract(connection, self.target, TENANT, list(tenants), declared, partial, lambda line: None)
            except (BuildError, ConfigurationError, duckdb.Error) as error:
                raise unavailable("this tenant's rows can't be read now: the log of `make api` says why") from error
            finally:
                connection.close()
            partial.replace(path)
        for old in self.extracts.iterdir():
            if old != folder and not any(at.parent == old for at, _ in self._open):
                shutil.rmtree(old, ignore_errors=True)
        return path

    def _close_unused(self, seconds: float) -> None:
        now = time.monotonic()
        with self._lock:
            unused = [
                each for each in self._open
                if each[1].users == 0 and (now - each[1].used > seconds or stamp_of(each[0]) != each[1].stamp)
            ]  # fmt: skip
            self._open = [each for each in self._open if each not in unused]
        for _, each in unused:
            each.close()


def _open(path: Path, stamp: tuple[int, int], target: Target) -> _Open:
    if stamp == (0, 0):
        raise unavailable("nothing is published yet: `make build` publishes", 30)
    connection = connect()
    try:
        attach(connection, path, "marts", read_only=True)
        row = connection.execute(
            f"select max(generation_number), max(published_at) from marts.{target.schema('ops')}.generation"
        ).fetchone()
        there = [
            (str(schema).removeprefix(target.prefix), str(name), str(column), kind_of(str(kind)))
            for schema, name, column, kind in connection.execute(_COLUMNS).fetchall()
        ]
    except (duckdb.Error, ConfigurationError) as error:
        connection.close()
        raise unavailable("the published file can't be opened now: try again") from error
    if row is None or row[0] is None:
        connection.close()
        raise unavailable("nothing is published yet: `make build` publishes", 30)
    return _Open(connection, stamp, int(row[0]), row[1].replace(tzinfo=UTC), there)
