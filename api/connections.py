"""Connections to Postgres, each a key's own: kept for some seconds by the key that opened them, without its secret."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import adbc_driver_manager as adbc
import adbc_driver_postgresql.dbapi as postgres

from api.errors import NO_KEY, LostConnectionError, RefusedError, bad_request, lost, unauthorized, unavailable
from api.reading import digest
from ingestion.destination.target import libpq
from ingestion.sql import literal

log = logging.getLogger("api")
# Requests and rows of a key by what was read, since it was last asked.
Sums = Callable[[str], dict[str, tuple[int, int]]]
IDLE_SECONDS, OLD_SECONDS, WAIT_SECONDS = 15.0, 120.0, 20.0
MOST_KEYS = 10_000


@dataclass
class Open:
    """A connection; `opened` and `used` are monotonic seconds. `is_busy`: rows of it weren't read to their end."""

    connection: Any
    opened: float
    used: float
    is_busy: bool = False


class Connections:
    """The connections of all keys.

    most: that there may be at once; half as many of one key.
    sums: what the audit is told of a key.
    """

    def __init__(self, most: int, sums: Sums):
        self.most, self.sums = most, sums
        self._lock = threading.Lock()
        self._idle: dict[str, list[Open]] = defaultdict(list)
        self._all = threading.BoundedSemaphore(most)
        self._of_key: dict[str, threading.BoundedSemaphore] = {}

    @contextmanager
    def of(self, token: str) -> Iterator[Open]:
        """A connection of this key's login, which is kept for the next where all went well."""
        key = digest(token)
        own = self._of_key.setdefault(key, threading.BoundedSemaphore(max(1, self.most // 2)))
        with _turn(own), _turn(self._all):
            opened = self._taken(key) or self._opened(token)
            is_whole = False
            try:
                yield opened
                is_whole = not opened.is_busy
            except adbc.Error as error:
                refused = as_refused(error)
                if isinstance(refused, LostConnectionError):
                    self.forget(digest(token))
                raise refused from error
            except LostConnectionError:
                self.forget(digest(token))
                raise
            finally:
                if is_whole:
                    opened.used = time.monotonic()
                    with self._lock:
                        self._idle[key].append(opened)
                else:
                    _close(opened.connection)

    def _taken(self, key: str) -> Open | None:
        now = time.monotonic()
        with self._lock:
            idle = self._idle.get(key) or []
            while idle:
                each = idle.pop()
                if now - each.opened < OLD_SECONDS:
                    return each
        return None

    def _opened(self, token: str) -> Open:
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
            if "method requirement" in said:
                # A server that asks this login for no secret: there is no such key, or its rules are wrong.
                log.warning(
                    "%s was let in without its secret, and is refused: where it is a key, pg_hba.conf has to ask "
                    "+granary_api_key for scram-sha-256, before all other rules", name
                )  # fmt: skip
                raise unauthorized(NO_KEY) from error
            if re.search(r"auth?enti|no such user|is not permitted to log in", said, re.IGNORECASE):
                raise unauthorized(NO_KEY) from error
            raise unavailable("the warehouse can't be reached now: try again; `make api` says why") from error
        now = time.monotonic()
        return Open(connection, now, now)

    def tidy(self) -> None:
        """Close what nobody used lately, after telling the audit what it was used for."""
        now = time.monotonic()
        with self._lock:
            over: list[tuple[str, Open]] = []
            for key, idle in list(self._idle.items()):
                old = [each for each in idle if now - each.used > IDLE_SECONDS or now - each.opened > OLD_SECONDS]
                self._idle[key] = [each for each in idle if each not in old]
                over += [(key, each) for each in old]
                if not self._idle[key]:
                    del self._idle[key]
            # Anybody may send anything for a key: what is known of each is not kept for ever.
            if len(self._of_key) > MOST_KEYS:
                self._of_key.clear()
        self._close_all(over)

    def close(self) -> None:
        """Close all that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, defaultdict(list)
        self._close_all([(key, each) for key, some in idle.items() for each in some])

    def _close_all(self, connections: list[tuple[str, Open]]) -> None:
        for key, each in connections:
            # The audit is told in the key's own session, and it can't be on a replica: the file of accesses has all.
            with suppress(adbc.Error):
                for what, (requests, rows) in self.sums(key).items():
                    _write(each.connection, f"select audit.api_access({literal(what)}, {requests}, {rows})")
            _close(each.connection)

    def forget(self, key: str) -> None:
        """Close a key's connections that nobody uses."""
        with self._lock:
            idle = self._idle.pop(key, [])
        for each in idle:
            _close(each.connection)


def as_refused(error: Exception) -> RefusedError:
    """What the server's refusal means to who asks."""
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith("42"):
        return unavailable("what is published has changed, or what this key may read: ask /catalog, and again", 1)
    if state.startswith("22"):
        return bad_request("the database can't compare a column with that value: see the column's type in /catalog")
    if not state or state.startswith(("08", "57P")):
        return lost()
    if state == "57014":
        return unavailable("the answer took too long and was ended: ask for fewer rows or columns, or filter", 1)
    return unavailable("the warehouse can't answer now: try again; the log of `make api` says why")


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
