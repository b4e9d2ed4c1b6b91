"""What the shop has to say since the last load: its settings, its tables, and which way each is followed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dlt
import duckdb
import psycopg2

from ingestion.contract.contracts import Table
from ingestion.load.extracts import Extract, Reader, SourceError, first_line
from ingestion.sources.shop import changes, polling, replication
from ingestion.sources.shop.database import Database, attach
from ingestion.sources.shop.slot import kept_bytes

FOLLOW = ("auto", "changes", "polling", "replication")


@dataclass(frozen=True)
class Settings:
    """The shop's configuration, dlt's way: section [sources.shop], variables that begin with SOURCES__SHOP__."""

    credentials: str
    schema: str | None
    follow: str
    lag: timedelta
    max_delete_share: float
    slot: str
    batch: int


def is_configured() -> bool:
    """Whether SOURCES__SHOP__CREDENTIALS (or its place in .dlt) is set."""
    return bool(_setting("credentials"))


def _setting(name: str, default: Any = None) -> Any:
    key = f"sources.shop.{name}"
    value: Any = dlt.secrets.get(key) if name == "credentials" else dlt.config.get(key)
    return default if value is None else value


def settings() -> Settings:
    """The shop's settings with their defaults. Raises SourceError where one is not among its choices."""
    follow = str(_setting("follow", "auto"))
    if follow not in FOLLOW:
        raise SourceError(f"shop: SOURCES__SHOP__FOLLOW is '{follow}': use one of {', '.join(FOLLOW)}")
    return Settings(
        credentials=str(_setting("credentials")),
        schema=_setting("schema"),
        follow=follow,
        lag=timedelta(minutes=float(_setting("lag_minutes", 60))),
        max_delete_share=float(_setting("max_delete_share", 0.1)),
        slot=str(_setting("slot", "granary")),
        batch=int(_setting("batch", 100_000)),
    )


def kept_log() -> int | None:
    """How much of its log the shop's server keeps for what follows it, in bytes.

    None where nobody follows it, and where it can't be asked: then its loads fail and say so.
    """
    chosen = settings()
    if chosen.follow != "replication":
        return None
    with suppress(psycopg2.Error):
        return kept_bytes(chosen.credentials, chosen.slot)
    return None


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The shop's extracts, one a table, all from one consistent state of the database.

    Raises:
        SourceError: the database refuses, lacks a table or column, or an implausible share of a table is gone.
    """
    chosen = settings()
    database = attach(reader.connection, chosen.credentials, chosen.schema, reader.workspace)
    if chosen.follow == "replication":
        if database.dialect != "postgres":
            raise SourceError(
                f"shop: SOURCES__SHOP__FOLLOW=replication needs Postgres, and this is {database.dialect}: say auto"
            )
        drift = {table.name: _drift(database, table) for table in reader.contract.tables}
        following = replication.Following(chosen.credentials, chosen.slot, chosen.batch, database, reader, drift)
        yield from replication.extracts(following)
        return
    by_changes = _by_changes(database, reader, chosen)
    grown = all(by_changes.values()) and all(table.name in reader.cursors for table in reader.contract.tables)
    if database.dialect == "sqlite" and not grown:
        reader.connection.execute("detach shop")
        database = attach(reader.connection, chosen.credentials, chosen.schema, reader.workspace, copy=True)
    # DuckDB's transaction is the source's: from here on, all that is read is of one state.
    reader.connection.execute("begin transaction")
    try:
        bounds = {
            table.name: database.highest(changes.change_table(table), changes.POSITION)
            for table in reader.contract.tables
            if by_changes[table.name]
        }
        for table in reader.contract.tables:
            notes = _drift(database, table)
            if by_changes[table.name]:
                yield changes.extract(database, reader, table, bounds[table.name], chosen.lag, notes)
            else:
                yield polling.extract(database, reader, table, chosen.lag, chosen.max_delete_share, notes)
    except duckdb.Error as error:
        raise SourceError(f"shop: the database broke off while it was read: {first_line(error)}; load again") from error
    finally:
        _end_transaction(reader)


def _end_transaction(reader: Reader) -> None:
    """End it here, whatever happened: left to itself, DuckDB rolls back on a lost connection and aborts the process."""
    for statement in ("commit", "rollback"):
        try:
            reader.connection.execute(statement)
        except duckdb.Error:
            # The source is gone, or the transaction failed before: nothing was written to it, nothing is to be undone.
            continue
        return


def _by_changes(database: Database, reader: Reader, chosen: Settings) -> dict[str, bool]:
    """Which tables are followed by a change table."""
    if chosen.follow == "polling":
        return {table.name: False for table in reader.contract.tables}
    found = {table.name: bool(database.columns(changes.change_table(table))) for table in reader.contract.tables}
    if chosen.follow == "changes" and not all(found.values()):
        lacking = ", ".join(changes.change_table(t) for t in reader.contract.tables if not found[t.name])
        raise SourceError(
            f"shop: SOURCES__SHOP__FOLLOW=changes, but the database has no table {lacking} that may be read: make it, "
            "or set SOURCES__SHOP__FOLLOW=auto"
        )
    return found


def _drift(database: Database, table: Table) -> tuple[str, ...]:
    """Compare the table with its contract. A column that is gone stops the load, a new one is reported."""
    columns = database.columns(table.name)
    if not columns:
        raise SourceError(
            f"shop: the database has no table {table.name} in {database.schema} that may be read; nothing was loaded. "
            "Check SOURCES__SHOP__SCHEMA and the user's rights"
        )
    gone = [name for name in table.column_names if name not in columns]
    if gone:
        raise SourceError(
            f"shop: table {table.name} has lost the column {', '.join(gone)} (it has {', '.join(columns)}); nothing "
            "was loaded. Restore it at the source, or take it out of models/staging/shop/_shop__sources.yml and staging"
        )
    never = set(table.meta.get("never_extracted", ()))
    new = [name for name in columns if name not in table.column_names and name not in never]
    return (f"shop: {table.name} has a new column {', '.join(new)}, which its contract doesn't know",) if new else ()
