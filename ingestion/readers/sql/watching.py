"""To wait for a database: SQLite's files show a change, Postgres tells its log."""

from __future__ import annotations

import select
import threading
import time
from contextlib import closing, suppress
from urllib.parse import urlsplit

import psycopg2
from psycopg2.extras import LogicalReplicationConnection

from ingestion.contract.contracts import Source
from ingestion.load.watching import Looked, Watch, glance
from ingestion.readers.sql.attach import sqlite_path
from ingestion.readers.sql.database import DIALECTS, Relation
from ingestion.readers.sql.reader import settings
from ingestion.readers.sql.slot import dsn, named

_TURN_SECONDS = 0.2
# How long to wait before a load says why the log can't be listened to.
_DEAF_SECONDS = 5.0


class LogWatch:
    """Listens to a replication slot, and takes nothing from it: a load reads what is new by looking (replication.py).

    A slot gives to one reader at a time, so that this one is gone while a load looks.
    """

    longest_seconds = 60.0

    def __init__(self, url: str, slot: str, tables: str):
        self.url, self.slot, self.tables = url, slot, tables

    def begin(self) -> None:
        """Nothing is held open between two waits."""

    def wait(self, seconds: float, ended: threading.Event) -> bool:
        """Return when the log has a change of the tables. Where it can't be listened to, the load says why."""
        until = time.monotonic() + seconds
        with (
            suppress(psycopg2.Error),
            closing(psycopg2.connect(dsn(self.url), connection_factory=LogicalReplicationConnection)) as connection,
            connection.cursor() as cursor,
        ):
            options = {"format-version": "2", "include-transaction": "false", "add-tables": self.tables}
            cursor.start_replication(slot_name=self.slot, decode=True, options=options)
            while not ended.is_set() and (left := until - time.monotonic()) > 0:
                if cursor.read_message() is not None:
                    return True
                select.select([cursor], [], [], min(left, _TURN_SECONDS))
            return ended.is_set()
        ended.wait(max(0.0, min(until - time.monotonic(), _DEAF_SECONDS)))
        return True


def watch(contract: Source) -> Watch | None:
    """What waits for a database; None where its kind, or the way in which it is followed, doesn't tell.

    Raises:
        SourceError: its settings are none.
    """
    chosen = settings(contract.name)
    parts = urlsplit(chosen.credentials)
    if DIALECTS.get(parts.scheme.split("+")[0]) == "sqlite":
        path = sqlite_path(contract.name, parts.path)
        return Looked(lambda: glance([path, path.with_name(f"{path.name}-wal")]))
    if chosen.follow == "replication":
        # As `Database.relation` names them.
        schemas = (str(table.meta.get("source_schema", chosen.schema or "public")) for table in contract.tables)
        tables = [Relation(table.at_source, schema, {}) for table, schema in zip(contract.tables, schemas, strict=True)]
        return LogWatch(chosen.credentials, chosen.slot, named(tables))
    return None
