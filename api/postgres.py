"""Postgres: each key signs in as the login that it is, and the server decides what that login sees.

Rows come by COPY, in Arrow, over ADBC. Connections are kept for some seconds, by the key that opened them; the secret
is not kept.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from urllib.parse import quote, urlencode

import adbc_driver_manager as adbc
import adbc_driver_postgresql.dbapi as postgres
import pyarrow as pa
from psycopg2.extensions import adapt

from api.catalogue import Catalogue, Mart, marts_of
from api.errors import RefusedError, bad_request, unauthorized, unavailable
from api.kinds import Kind, kind_of
from api.overdue import Ended, Overdue
from api.questions import Question, sql_of
from api.reading import Answer, Caller, digest
from api.settings import Settings
from ingestion.destination.target import Target, libpq
from ingestion.sql import literal, quoted

# Requests and rows of a key by what was read, since it was last asked.
Sums = Callable[[str], dict[str, tuple[int, int]]]
GENERATION = "_generation"
IDLE_SECONDS, OLD_SECONDS, WAIT_SECONDS = 15.0, 120.0, 20.0
BATCH_BYTES = 1 << 20
NO_KEY = "this key is unknown, over or revoked: ask whoever runs the warehouse for one (`make api-key LOGIN=…`)"

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


@dataclass
class _Open:
    """A connection; `opened` and `used` are monotonic seconds. `is_busy`: rows of it weren't read to their end."""

    connection: Any
    opened: float
    used: float
    is_busy: bool = False


class PostgresReader:
    """Reads a Postgres as whoever sends a key."""

    def __init__(self, target: Target, catalogue: Catalogue, settings: Settings, sums: Sums):
        self.target, self.catalogue, self.settings, self.sums = target, catalogue, settings, sums
        self.overdue = Overdue(settings.seconds)
        self._lock = threading.Lock()
        self._idle: dict[str, list[_Open]] = defaultdict(list)
        self._all = threading.BoundedSemaphore(settings.connections)
        self._of_key: dict[str, threading.BoundedSemaphore] = {}
        self._marts: dict[str, tuple[float, Caller, dict[tuple[str, str], Mart]]] = {}

    def caller(self, token: str) -> Caller:
        """Who sends this key, asked of the server."""
        rows = self._session(token)
        if not rows or not rows[0][1]:
            self.forget(digest(token))
            raise unauthorized(NO_KEY)
        login, _, rights, generation, published_at = rows[0]
        if generation is None:
            raise unavailable("nothing is published yet: `make build` publishes", 30)
        name = token.partition(".")[0]
        return Caller(digest(token), name, login, generation, published_at.replace(tzinfo=UTC), rights)

    def marts(self, token: str, caller: Caller) -> dict[tuple[str, str], Mart]:
        """The marts that the server lets the caller read."""
        known = self._marts.get(caller.key)
        if known and known[0] > time.monotonic() and known[1] == caller:
            return known[2]
        schemas = ", ".join(sorted({literal(self.target.schema(schema)) for schema, _ in self.catalogue.marts}))
        with self._connection(token) as opened:
            rows = _rows(opened.connection, _COLUMNS.format(schemas=schemas))
        there = [
            (str(schema).removeprefix(self.target.prefix), str(name), str(column), kind_of(str(kind)))
            for schema, name, column, kind in rows
        ]
        marts = marts_of(self.catalogue, there)
        self._marts[caller.key] = (time.monotonic() + 60, caller, marts)
        return marts

    @contextmanager
    def ask(self, token: str, question: Question, most: int, texts: bool) -> Iterator[Answer]:
        """Ask for rows by one statement, which says as well of which generation they are."""
        relation = f"{quoted(self.target.schema(question.mart.schema))}.{quoted(question.mart.name)}"
        also = f", (select max(generation_number) from {self.target.schema('ops')}.generation) as {GENERATION}"
        sql = sql_of(question, relation, _marked, most, texts=texts, also=also)
        with self._connection(token) as opened, opened.connection.cursor() as cursor:
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
        for _ in range(20):
            with self._connection(token) as opened, opened.connection.cursor() as cursor:
                before = _rows(opened.connection, generation)[0][0]
                with self._executing(cursor, f"select * from ({sql}) as metrics limit {most}") as (reader, ended):
                    table = pa.Table.from_batches(_read(reader, opened, ended), reader.schema)
                if _rows(opened.connection, generation)[0][0] == before:
                    return table, int(before)
        raise unavailable("generations are published faster than this is answered: ask again")

    def tidy(self) -> None:
        """End what takes too long, tell the audit who read what, and close what nobody used lately."""
        self.overdue.end()
        now = time.monotonic()
        with self._lock:
            over: list[tuple[str, _Open]] = []
            for key, idle in list(self._idle.items()):
                old = [each for each in idle if now - each.used > IDLE_SECONDS or now - each.opened > OLD_SECONDS]
                self._idle[key] = [each for each in idle if each not in old]
                over += [(key, each) for each in old]
            for key in [key for key, (until, *_) in self._marts.items() if until < now]:
                self._marts.pop(key, None)
        self._close_all(over)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, defaultdict(list)
        self._close_all([(key, each) for key, some in idle.items() for each in some])

    def _close_all(self, connections: list[tuple[str, _Open]]) -> None:
        for key, each in connections:
            # The audit is told in the key's own session, and it can't be on a replica: the file of accesses has all.
            with suppress(adbc.Error):
                for what, (requests, rows) in self.sums(key).items():
                    _write(each.connection, f"select audit.api_access({literal(what)}, {requests}, {rows})")
            _close(each.connection)

    def forget(self, key: str) -> None:
        """Close a key's connections."""
        with self._lock:
            idle = self._idle.pop(key, [])
        for each in idle:
            _close(each.connection)

    def _session(self, token: str) -> list[tuple[Any, ...]]:
        sql = _SESSION.format(ops=self.target.schema("ops"))
        try:
            with self._connection(token) as opened:
                return _rows(opened.connection, sql)
        except RefusedError as error:
            if error.status == 401 or not isinstance(error.__cause__, adbc.Error):
                raise
        # A connection that was kept may have been closed by the server; a login that is no key has no such function.
        self.forget(digest(token))
        with self._connection(token) as opened:
            try:
                return _rows(opened.connection, sql)
            except adbc.Error as error:
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
                raise ended() or _refused(error) from error
            yield reader, ended

    @contextmanager
    def _connection(self, token: str) -> Iterator[_Open]:
        """A connection of this key's login, which is kept for the next where all went well."""
        key = digest(token)
        own = self._of_key.setdefault(key, threading.BoundedSemaphore(max(1, self.settings.connections // 2)))
        with _turn(own), _turn(self._all):
            opened = self._taken(key) or self._opened(token)
            is_whole = False
            try:
                yield opened
                is_whole = not opened.is_busy
            except adbc.Error as error:
                raise _refused(error) from error
            finally:
                if is_whole:
                    opened.used = time.monotonic()
                    with self._lock:
                        self._idle[key].append(opened)
                else:
                    _close(opened.connection)

    def _taken(self, key: str) -> _Open | None:
        now = time.monotonic()
        with self._lock:
            idle = self._idle.get(key) or []
            while idle:
                each = idle.pop()
                if now - each.opened < OLD_SECONDS:
                    return each
        return None

    def _opened(self, token: str) -> _Open:
        name, _, secret = token.partition(".")
        if not re.fullmatch(r"[a-z][a-z0-9_]{1,62}", name) or not re.fullmatch(r"[\w-]{20,100}", secret, re.ASCII):
            raise unauthorized("this is no key: send `Authorization: Bearer` and what `make api-key` printed")
        where = libpq()
        # Whatever the server's rules are, only who knows the secret gets in.
        settings = {
            "host": where["host"], "port": where["port"], "dbname": where["dbname"], "user": name, "password": secret,
            "require_auth": "scram-sha-256", "application_name": "granary api", "connect_timeout": "10",
        }  # fmt: skip
        try:
            connection = postgres.connect("postgresql:///?" + urlencode(settings, quote_via=quote), autocommit=True)
        except adbc.Error as error:
            said = str(error)
            if "require_auth" in said or "method requirement" in said:
                raise unavailable(
                    "the server lets this login in without its secret: in pg_hba.conf, keys (the role granary_api_key) "
                    "have to be asked for scram-sha-256",
                    60,
                ) from error
            if re.search(r"auth?enti|no such user|is not permitted to log in", said, re.IGNORECASE):
                raise unauthorized(NO_KEY) from error
            raise unavailable("the warehouse can't be reached now: try again; `make api` says why") from error
        now = time.monotonic()
        return _Open(connection, now, now)


@contextmanager
def _turn(semaphore: threading.BoundedSemaphore) -> Iterator[None]:
    if not semaphore.acquire(timeout=WAIT_SECONDS):
        raise unavailable("too many questions are being answered: try again")
    try:
        yield
    finally:
        semaphore.release()


def _close(connection: Any) -> None:
    with suppress(Exception):  # the server may have closed it
        connection.close()


def _write(connection: Any, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("set default_transaction_read_only = off")
        cursor.execute(sql)
        cursor.fetchall()


def _rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _refused(error: Exception) -> RefusedError:
    """What the server's refusal means to who asks."""
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith("42"):
        return unavailable("what is published has changed, or what this key may read: ask /catalog, and again", 1)
    if state.startswith("22"):
        return bad_request("the database can't compare a column with that value: see the column's type in /catalog")
    if state == "57014":
        return unavailable("the answer took too long and was ended: ask for fewer rows or columns, or filter", 1)
    return unavailable("the warehouse can't answer now: try again; the log of `make api` says why")


def _read(reader: pa.RecordBatchReader, opened: _Open, ended: Ended) -> Iterator[pa.RecordBatch]:
    """Batches as they come. A connection of which they weren't all read is of no more use."""
    opened.is_busy = True
    try:
        yield from reader
    except (pa.ArrowException, OSError) as error:
        raise ended() or _refused(error) from error
    opened.is_busy = False


def _stored(reader: pa.RecordBatchReader, opened: _Open, ended: Ended) -> Iterator[pa.RecordBatch]:
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
