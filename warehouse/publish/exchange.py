"""Postgres: exchange the names of published schemas while no statement is between looking up one table and the next.

A statement finds its tables one after the other, and could find some before an exchange and some after it. So the
exchange keeps everybody from beginning to read what it replaces, for some milliseconds. How that works out while
people read without pause:

- All tables are closed at the same moment: one session locks those that nobody reads, and for each of the others a
  session queues. Whoever begins a statement then waits behind them, whoever reads already is waited for.
- A statement that was between two tables at that moment has one and waits for another, and would wait in vain. All
  is opened again, and a moment later tried again.
- A table that somebody reads for seconds can't be locked, and need not be: they have found their tables, and nobody
  else passes the session that queues.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extras import wait_select

from warehouse.database import Database

ALL_SECONDS = 60
ATTEMPT_SECONDS = 0.4  # below the second after which Postgres looks for deadlocks
LONG_SECONDS = 2
QUEUE_WAIT = "2s"  # should this process be killed, its sessions end themselves
PAUSE_SECONDS, POLL_SECONDS = 0.05, 0.002

# What a lock may end with on a machine so busy that an attempt takes longer than it should.
_NOT_NOW = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)

_LOCK_WHAT_IS_IDLE = """
    do $$
    declare name text;
    begin
        foreach name in array '{{{tables}}}'::text[] loop
            begin
                execute 'lock table ' || name || ' in access exclusive mode nowait';
            exception when lock_not_available then null;
            end;
        end loop;
    end $$"""

_LOCKS = """
    select
        relation,
        coalesce(bool_or(ours and granted), false),
        coalesce(bool_or(ours), false),
        coalesce(array_agg(virtualtransaction) filter (where granted and not ours), '{}'),
        coalesce(bool_or(waits) filter (where granted and not ours), false)
    from (
        select
            relation,
            granted,
            virtualtransaction,
            pid = any(%(ours)s) as ours,
            bool_or(not granted) over (partition by virtualtransaction) as waits
        from pg_locks
        where
            locktype = 'relation' and relation = any(%(tables)s::oid[])
            and database = (select oid from pg_database where datname = current_database())
    ) as locks
    group by relation"""


class Lock(NamedTuple):
    """Who has a table."""

    ours: bool  # a session of ours has it, or
    queued: bool  # queues for it
    others: list[str]  # transactions that have it
    crossed: bool  # one of them waits for another table


@dataclass
class Exchange:
    """Statements that exchange names, and the tables (oid: name) that nobody may begin to read meanwhile."""

    database: Database
    tables: dict[int, str]
    statements: list[str]
    queues: dict[int, Any] = field(default_factory=dict)  # by table: the cursor of a session of its own
    since: dict[str, float] = field(default_factory=dict)  # when a transaction was first seen to have a table

    def done(self) -> bool:
        """Try for a minute. False where it can't be done; nothing was exchanged then."""
        until = time.monotonic() + ALL_SECONDS
        try:
            while time.monotonic() < until:
                try:
                    if self._attempted():
                        return True
                except _NOT_NOW:
                    pass
                finally:
                    self._open()
                time.sleep(random.uniform(0, PAUSE_SECONDS))
        finally:
            for queue in self.queues.values():
                queue.connection.close()
        return False

    def _attempted(self) -> bool:
        until = time.monotonic() + ATTEMPT_SECONDS
        # What was busy before is so again; all is sent before anything is waited for, since every moment counts.
        for table in self.queues:
            self._queue_for(table)
        idle = ",".join(name for table, name in self.tables.items() if table not in self.queues)
        self.database.run(f"begin; set local lock_timeout = '100ms'; {_LOCK_WHAT_IS_IDLE.format(tables=idle)}")
        while time.monotonic() < until:
            locks = self._locks()
            if any(lock.crossed for lock in locks.values()):
                return False
            for table in self.tables.keys() - self.queues.keys():
                if not locks[table].ours:
                    self._queue_for(table)
            if all(lock.ours or (lock.queued and self._is_long(lock.others)) for lock in locks.values()):
                self.database.run("; ".join([*self.statements, "commit"]))
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _locks(self) -> dict[int, Lock]:
        sessions = [self.database.connection, *(queue.connection for queue in self.queues.values())]
        pids = [session.info.backend_pid for session in sessions]
        rows = {row[0]: row[1:] for row in self.database.run(_LOCKS, {"ours": pids, "tables": list(self.tables)})}
        return {table: Lock(*rows.get(table, (False, False, [], False))) for table in self.tables}

    def _is_long(self, transactions: list[str]) -> bool:
        now = time.monotonic()
        first = [self.since.setdefault(transaction, now) for transaction in transactions]
        return all(now - since > LONG_SECONDS for since in first)

    def _queue_for(self, table: int) -> None:
        if table not in self.queues:
            session = psycopg2.connect("", async_=True)
            wait_select(session)
            self.queues[table] = session.cursor()
        self.queues[table].execute(f"begin; set local lock_timeout = '{QUEUE_WAIT}'; lock table {self.tables[table]}")

    def _open(self) -> None:
        """Let everybody in."""
        self.database.run("rollback")
        for queue in self.queues.values():
            if queue.connection.isexecuting():
                queue.connection.cancel()
                with suppress(*_NOT_NOW, psycopg2.errors.QueryCanceled):
                    wait_select(queue.connection)
            queue.execute("rollback")
            wait_select(queue.connection)
