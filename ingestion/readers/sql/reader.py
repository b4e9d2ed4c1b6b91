"""What a database has to say since the last load: its settings, its tables, and which way each is followed."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg2

from ingestion.contract.contracts import Source, Table, contract_file
from ingestion.destination.target import Target
from ingestion.duck import connect
from ingestion.load.extracts import Extract, Reader, SourceError, first_line
from ingestion.readers.settings import setting, variable
from ingestion.readers.sql import changes, compare, polling, replication
from ingestion.readers.sql.attach import attach
from ingestion.readers.sql.database import Database
from ingestion.readers.sql.slot import kept_bytes

FOLLOW = ("auto", "changes", "polling", "compare", "replication")


@dataclass(frozen=True)
class Settings:
    """A source's configuration: section [sources.<source>] of dlt, variables that begin with SOURCES__<SOURCE>__."""

    credentials: str
    schema: str | None
    follow: str
    lag: timedelta
    slot: str
    batch: int


def is_configured(source: str) -> bool:
    """Whether SOURCES__<SOURCE>__CREDENTIALS (or its place in .dlt) is set."""
    return bool(setting(source, "credentials", secret=True))


def settings(source: str) -> Settings:
    """A source's settings with their defaults. Raises SourceError where one is not among its choices."""
    follow = str(setting(source, "follow", "auto"))
    if follow not in FOLLOW:
        raise SourceError(f"{source}: {variable(source, 'follow')} is '{follow}': use one of {', '.join(FOLLOW)}")
    return Settings(
        credentials=str(setting(source, "credentials", secret=True)),
        schema=setting(source, "schema"),
        follow=follow,
        lag=timedelta(minutes=float(setting(source, "lag_minutes", 60))),
        slot=str(setting(source, "slot", "granary")),
        batch=int(setting(source, "batch", 100_000)),
    )


def kept_log(source: str) -> int | None:
    """How much of its log a source's server keeps for what follows it, in bytes.

    None where nobody follows it, and where it can't be asked: then its loads fail and say so.
    """
    chosen = settings(source)
    if chosen.follow != "replication":
        return None
    with suppress(psycopg2.Error):
        return kept_bytes(chosen.credentials, chosen.slot)
    return None


def columns_of(contract: Source, table: str) -> dict[str, list[str]]:
    """The columns that a table has at the source, and its change table where it is followed by one, by their names.

    Raises:
        SourceError: the database refuses.
    """
    chosen, known = settings(contract.name), contract.table(table)
    with closing(connect()) as connection, tempfile.TemporaryDirectory() as workspace:
        here = Path(workspace)
        target = Target("dev", "duckdb", here)
        reader = Reader(connection, contract, datetime.now(UTC), target, {}, {}, here, lambda line: None)
        database = attach(reader, chosen.credentials, chosen.schema)
        relations = [database.relation(known)]
        if chosen.follow in ("auto", "changes"):
            relations.append(changes.change_table(database, known))
        found = {relation.name: list(database.columns(relation)) for relation in relations}
    return {name: columns for name, columns in found.items() if columns}


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """A database's extracts, one a table, all from one consistent state of the database.

    Raises:
        SourceError: the database refuses, lacks a table or column, or an implausible share of a table is gone.
    """
    source = reader.contract.name
    chosen = settings(source)
    database = attach(reader, chosen.credentials, chosen.schema)
    if chosen.follow == "replication":
        if database.dialect != "postgres":
            raise SourceError(
                f"{source}: {variable(source, 'follow')}=replication needs Postgres, and this is {database.dialect}: "
                "say auto"
            )
        drift = {table.name: _drift(database, table) for table in reader.contract.tables}
        following = replication.Following(chosen.credentials, chosen.slot, chosen.batch, database, reader, drift)
        yield from replication.extracts(following)
        return
    by_changes = _by_changes(database, reader, chosen)
    grown = all(by_changes.values()) and all(table.name in reader.cursors for table in reader.contract.tables)
    if database.dialect == "sqlite" and not grown:
        reader.connection.execute("detach source")
        database = attach(reader, chosen.credentials, chosen.schema, copy=True)
    # DuckDB's transaction is the source's: from here on, all that is read is of one state.
    reader.connection.execute("begin transaction")
    try:
        bounds = {
            table.name: database.highest(changes.change_table(database, table), changes.POSITION)
            for table in reader.contract.tables
            if by_changes[table.name]
        }
        for table in reader.contract.tables:
            notes = _drift(database, table)
            if by_changes[table.name]:
                yield changes.extract(database, reader, table, bounds[table.name], chosen.lag, notes)
            elif chosen.follow == "compare" or table.modified_at is None:
                yield compare.extract(database, reader, table, notes)
            else:
                yield polling.extract(database, reader, table, chosen.lag, notes)
    except duckdb.Error as error:
        raise SourceError(
            f"{source}: the database broke off while it was read: {first_line(error)}; load again"
        ) from error
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
    source, is_sqlserver = reader.contract.name, database.dialect == "sqlserver"
    if chosen.follow == "changes" and is_sqlserver:
        raise SourceError(
            f"{source}: {variable(source, 'follow')}=changes, but change tables of a SQL Server are not read yet: say "
            "polling, compare or auto"
        )
    if chosen.follow in ("polling", "compare") or is_sqlserver:
        return {table.name: False for table in reader.contract.tables}
    logs = {table.name: changes.change_table(database, table) for table in reader.contract.tables}
    found = {name: bool(database.columns(log)) for name, log in logs.items()}
    if chosen.follow == "changes" and not all(found.values()):
        lacking = ", ".join(log.name for name, log in logs.items() if not found[name])
        raise SourceError(
            f"{source}: {variable(source, 'follow')}=changes, but the database has no table {lacking} that may be "
            f"read: make it, or set {variable(source, 'follow')}=auto"
        )
    return found


def _drift(database: Database, table: Table) -> tuple[str, ...]:
    """Compare the table with its contract. A column that is gone stops the load, a new one is reported."""
    relation = database.relation(table)
    columns = database.columns(relation)
    if not columns:
        raise SourceError(
            f"{table.source}: the database has no table {relation.name} in {relation.schema} that may be read; nothing "
            f"was loaded. Check {variable(table.source, 'schema')} and the user's rights"
        )
    gone = [column.at_source for column in table.columns if column.name not in columns]
    if gone:
        raise SourceError(
            f"{table.source}: table {relation.name} has lost the column {', '.join(gone)} (it has "
            f"{', '.join(relation.columns.get(name, name) for name in columns)}); nothing "
            f"was loaded. Restore it at the source, or take it out of {contract_file(table.source)} and staging"
        )
    never = set(table.meta.get("never_extracted", ()))
    new = [name for name in columns if name not in table.column_names and name not in never]
    return (
        (f"{table.source}: {relation.name} has a new column {', '.join(new)}, which its contract doesn't know",)
        if new
        else ()
    )
