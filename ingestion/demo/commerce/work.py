"""Somebody who works with the shop's database: what a drill needs that follows its log."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2

# What is worked with: the source, its table, and the columns that tell a record's versions apart.
WORK: dict[str, Any] = {"source": "shop", "table": "users", "columns": ["status", "version"]}
PEOPLE = 30
STATES = ("active", "inactive", "suspended")


class Worker(threading.Thread):
    """Works all the while: transactions of several kinds, some undone, two at a time."""

    def __init__(self, connect: Callable[[], Any], seed: int):
        super().__init__(daemon=True)
        self.connect, self.random, self.done = connect, random.Random(seed), threading.Event()
        self.commits = 0

    def run(self) -> None:
        """Change users until `done` is set."""
        with closing(self.connect()) as one, closing(self.connect()) as other:
            while not self.done.is_set():
                connection = self.random.choice((one, other))
                with connection.cursor() as cursor:
                    for _ in range(self.random.randint(1, 4)):
                        self._change(cursor)
                if self.random.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    self.commits += 1
                time.sleep(0.002)

    def _change(self, cursor: Any) -> None:
        person, what = f"00000000-0000-4000-8000-{self.random.randint(1, PEOPLE):012}", self.random.random()
        if what < 0.7:
            state = self.random.choice(STATES)
            cursor.execute(
                "update users set version = version + 1, status = %s, updated_at = now() at time zone 'utc' "
                "where id = %s", [state, person]
            )  # fmt: skip
        elif what < 0.85:
            cursor.execute(
                "insert into users (id, email, status, created_at, updated_at, version) values (%s, %s, 'active', "
                "now() at time zone 'utc', now() at time zone 'utc', 1) on conflict do nothing",
                [person, f"{person}@example.com"],
            )
        else:
            cursor.execute("delete from users where id = %s", [person])


@contextmanager
def working(seed: int) -> Iterator[Callable[[], int]]:
    """Work with the database that libpq's variables name, which has the shop's tables.

    Yields:
        A function that ends it and returns how many transactions were committed.
    """
    worker = Worker(lambda: psycopg2.connect(""), seed)
    worker.start()

    def stop() -> int:
        worker.done.set()
        worker.join()
        return worker.commits

    try:
        yield stop
    finally:
        stop()
