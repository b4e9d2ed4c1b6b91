"""Postgres: each key signs in as the login that it is, and the server decides what that login sees.

Rows come by COPY, in Arrow, over ADBC.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

import adbc_driver_manager as adbc
import pyarrow as pa
from psycopg2.extensions import adapt

from api.catalogue import Catalogue, Mart, marts_of
from api.connections import Connections, Open, Sums, as_refused
from api.errors import NO_KEY, unauthorized, unavailable
from api.kinds import Kind, kind_of
from api.overdue import Ended, Overdue
from api.project import Project
from api.questions import Question, sql_of
from api.reading import Answer, Caller, digest
from api.settings import Settings
from ingestion.destination.target import Target, libpq
from ingestion.sql import literal, quoted

GENERATION = "_generation"
BATCH_BYTES = 1 << 20

_SESSION = """
    select sessions.login_name::text, sessions.is_good, sessions.rights,
        (select max(generation_number) from {ops}.generation), (select max(published_at) from {ops}.generation)
    from access.api_session() as sessions"""
_COLUMNS = """
    select n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where n.nspname in ({schemas}) and c.relkind in ('r', 'p')
        and has_schema_privilege(n.oid, 'usage') and has_column_privilege(c.oid, a.attnum, 'select')
    order by 1, 2, a.attnum"""


class PostgresReader:
    """Reads a Postgres as whoever sends a key."""

    def __init__(self, target: Target, project: Project, settings: Settings, sums: Sums):
        self.target, self.project = target, project
        self.overdue = Overdue(settings.seconds)
        self.connections = Connections(settings.connections, sums)
        self._marts: dict[str, tuple[float, Caller, Catalogue, dict[tuple[str, str], Mart]]] = {}

    def caller(self, token: str) -> Caller:
        """Who sends this key, asked of the server."""
        rows = self._session(token)
        if not rows or not rows[0][1]:
            self.connections.forget(digest(token))
            raise unauthorized(NO_KEY)
        login, _, rights, generation, published_at = rows[0]
        if generation is None:
            raise unavailable("nothing is published yet: `make build` publishes", 30)
        name = token.partition(".")[0]
        return Caller(digest(token), name, login, generation, published_at.replace(tzinfo=UTC), rights)

    def marts(self, token: str, caller: Caller) -> dict[tuple[str, str], Mart]:
        """The marts that the server lets the caller read."""
        known, catalogue = self._marts.get(caller.key), self.project.said.catalogue
        if known and known[0] > time.monotonic() and known[1] == caller and known[2] is catalogue:
            return known[3]
        schemas = ", ".join(sorted({literal(self.target.schema(schema)) for schema, _ in catalogue.marts}))
        with self.connections.of(token) as opened:
            rows = _rows(opened.connection, _COLUMNS.format(schemas=schemas))
        there = [
            (str(schema).removeprefix(self.target.prefix), str(name), str(column), kind_of(str(kind)))
            for schema, name, column, kind in rows
        ]
        marts = marts_of(catalogue, there)
        self._marts[caller.key] = (time.monotonic() + 60, caller, catalogue, marts)
        return marts

    @contextmanager
    def ask(self, token: str, question: Question, most: int, texts: bool) -> Iterator[Answer]:
        """Ask for rows by one statement, which says as well of which generation they are."""
        relation = f"{quoted(self.target.schema(question.mart.schema))}.{quoted(question.mart.name)}"
        also = f", (select max(generation_number) from {self.target.schema('ops')}.generation) as {GENERATION}"
        sql = sql_of(question, relation, _marked, most, texts=texts, also=also)
        with self.connections.of(token) as opened, opened.connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
            with self._executing(cursor, sql) as (reader, ended):
                batches = _stored(reader, opened, ended)
                first = next(batches, None)
                if first is None or len(first) == 0:
                    yield Answer(self._generation_of_none(token), iter(()))
                else:
                    yield Answer(first.column(first.num_columns - 1)[0].as_py(), _without_last(first, batches))

    def ask_sql(self, token: str, sql: str, most: int) -> tuple[pa.Table, int]:
        """Run a statement of ours between two looks at the generation; again where that changes meanwhile."""
        generation = f"select max(generation_number) from {self.target.schema('ops')}.generation"
        # A pooler has names of its own for the server's database, which relations are named by.
        sql = re.sub(rf'"{re.escape(libpq()["dbname"])}"\.(?="[^"]+"\.")', "", sql)
        for _ in range(20):
            with self.connections.of(token) as opened, opened.connection.cursor() as cursor:
                before = _rows(opened.connection, generation)[0][0]
                with self._executing(cursor, f"select * from (\n{sql}\n) as metrics limit {most}") as (reader, ended):
                    table = pa.Table.from_batches(_read(reader, opened, ended), reader.schema)
                if _rows(opened.connection, generation)[0][0] == before:
                    return table, int(before)
        raise unavailable("generations are published faster than this is answered: ask again")

    def tidy(self) -> None:
        """End what takes too long, and close what nobody used lately."""
        self.overdue.end()
        self.connections.tidy()
        for key in [key for key, (until, *_) in list(self._marts.items()) if until < time.monotonic()]:
            self._marts.pop(key, None)

    def close(self) -> None:
        """Close all connections."""
        self.connections.close()

    def _session(self, token: str) -> list[tuple[Any, ...]]:
        with self.connections.of(token) as opened:
            try:
                return _rows(opened.connection, _SESSION.format(ops=self.target.schema("ops")))
            except adbc.Error as error:
                # A login that is no key has no such function.
                if error.sqlstate == "42501":
                    raise unauthorized(NO_KEY) from error
                if error.sqlstate in ("42P01", "3F000"):
                    raise unavailable("nothing is published yet: `make build` publishes", 30) from error
                raise

    def _generation_of_none(self, token: str) -> int:
        """No row says of which generation there is none: the one that is published now."""
        return self.caller(token).generation

    @contextmanager
    def _executing(self, cursor: Any, sql: str) -> Iterator[tuple[pa.RecordBatchReader, Ended]]:
        with self.overdue.watched(cursor.adbc_cancel) as ended:
            try:
                cursor.execute(sql)
                reader = cursor.fetch_record_batch()
            except adbc.Error as error:
                raise ended() or as_refused(error) from error
            yield reader, ended


def _rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _read(reader: pa.RecordBatchReader, opened: Open, ended: Ended) -> Iterator[pa.RecordBatch]:
    """Batches as they come. A connection of which they weren't all read is of no more use."""
    opened.is_busy = True
    try:
        yield from reader
    except (pa.ArrowException, OSError) as error:
        raise ended() or as_refused(error) from error
    opened.is_busy = False


def _stored(reader: pa.RecordBatchReader, opened: Open, ended: Ended) -> Iterator[pa.RecordBatch]:
    for batch in _read(reader, opened, ended):
        # Types of extensions, such as exact numbers, are the text that they come as.
        columns = [getattr(column, "storage", column) for column in batch.columns]
        yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _without_last(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    batch: pa.RecordBatch | None = first
    while batch is not None:
        yield pa.RecordBatch.from_arrays(batch.columns[:-1], names=batch.schema.names[:-1])
        batch = next(rest, None)


def _marked(kind: Kind, value: Any) -> str:
    """A value in SQL: COPY takes no parameters, so it is quoted as psycopg2 quotes all of them."""
    text = adapt(str(value))
    text.encoding = "utf-8"
    return f"cast({text.getquoted().decode()} as {kind.written})"
