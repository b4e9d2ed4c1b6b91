"""What raw, rejects and the crosswalk still know of persons in the ledger of tombstones is taken out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from ingestion.contract.contracts import Column, Table
from ingestion.contract.reading import read_contracts
from ingestion.destination.roles import acting_as_loader
from ingestion.destination.target import Target
from ingestion.duck import connect
from ingestion.encryption import parquet, parquet_options
from ingestion.privacy.crosswalk import drop_identifiers, shred
from ingestion.privacy.identifiers import as_known, is_redacted, person_column, redacted
from ingestion.privacy.tombstones import forgotten_of, read_tombstones
from ingestion.sql import literal
from warehouse import ledger
from warehouse.build.removal import unsay
from warehouse.database import Database, open_database
from warehouse.publish.access import audited
from warehouse.publish.publish import prepare_next

Person = tuple[str, str]
Say = Callable[[str], None]


def tables_of_persons(target: Target) -> list[Table]:
    """The contracts of all tables whose records are a person's."""
    return [table for contract in read_contracts(target.project) for table in contract.tables if person_column(table)]


def apply_tombstones(target: Target, say: Say) -> int | None:
    """Redact what raw, rejects and the crosswalk still know of persons in the ledger. The caller has the lock.

    Returns:
        How many persons the warehouse still knew; None where there is nothing to build anew.
    """
    tombstones = read_tombstones(target)
    if not tombstones:
        return None
    prepare_next(target)
    with open_database(target) as database:
        ledger.ensure_tables(database)
        was_cut_short = bool(database.run(f"select 1 from {database.granary('redacting')}"))
        database.run(f"insert into {database.granary('redacting')} values (current_timestamp)")
    persons = [(each.source, each.person, each.replacement) for each in tombstones]
    with open_database(target) as database:
        # Where this is cut short, raw may have no token any more of what the crosswalk still has to forget.
        database.run(f"create table if not exists {_forgotten_tokens(database)} (token varchar not null)")
        _fill(database, "forgotten", persons)
        unsaid = unsay(database, [(source, person) for source, person, _ in persons], partial(_keep, database))
        found = [
            find(database, table)
            for table in tables_of_persons(target)
            if database.exists(database.raw(table.source, table.name))
            for find in (_in_raw, _in_rejects, _in_archive)
        ]
        known = {person for each in found for person in each.persons}
        _keep(database, {token for each in found for token in each.tokens})
        tokens = {str(token) for (token,) in database.run(f"select token from {_forgotten_tokens(database)}")}
    with acting_as_loader(), open_database(target) as database:
        _fill(database, "forgotten", persons)
        for each in found:
            each.redact(database)
        gone = tokens - _still_used(database, tokens)
        drop_identifiers(target, gone)
    with open_database(target) as database:
        database.run(f"delete from {_forgotten_tokens(database)}")
    is_changed = bool(known or unsaid) or was_cut_short
    if is_changed:
        shred(target.folder)
    with open_database(target) as database:
        if is_changed:
            ledger.outdate_everything(database)
            audited(database, "forget", json.dumps({"persons": len(known), "identifiers": len(gone)}))
        database.run(f"delete from {database.granary('redacting')}")
    if not is_changed:
        return None
    say(f"{_counted(known, 'person')} gone from raw, {_counted(gone, 'identifier')} from the crosswalk")
    return len(known)


def _counted(found: set[Any], noun: str) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"


def _fill(database: Database, name: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Make a temporary table of three texts for what follows on the same connection."""
    database.run(f"drop table if exists {name}")
    database.run(f"create temporary table {name} (source varchar, person varchar, replacement varchar)")
    _insert(database, name, rows)


def _insert(database: Database, name: str, rows: Sequence[tuple[str, ...]]) -> None:
    for start in range(0, len(rows), 1000):
        chunk = rows[start : start + 1000]
        marks = ", ".join(f"({', '.join(['%s'] * len(row))})" for row in chunk)
        database.run(f"insert into {name} values {marks}", [value for row in chunk for value in row])


def _forgotten_tokens(database: Database) -> str:
    """The table of what is to leave the crosswalk, for as long as that isn't done."""
    return database.granary("forgotten_tokens")


def _keep(database: Database, tokens: Iterable[str]) -> None:
    """Write down what is to leave the crosswalk, before anything that has it leaves."""
    _insert(database, _forgotten_tokens(database), [(token,) for token in sorted(tokens)])


def _token(column: Column, value: str) -> str:
    """An expression of the token in a column that is a direct identifier."""
    # A document has it among what may be kept: {"_token":"…", …}.
    return f"split_part(split_part({value}, '\"_token\":\"', 2), '\"', 1)" if column.keeps else value


@dataclass(frozen=True)
class _Known:
    """What a place still knows of persons to forget: these, the tokens that it has of them, and how it forgets them."""

    persons: set[Person]
    tokens: set[str]
    redact: Callable[[Database], None]


def _told(table: Table, rows: Iterable[tuple[Any, ...]]) -> tuple[set[Person], set[str]]:
    """Persons and tokens of rows that have a person's id, then tokens."""
    rows = list(rows)
    return {(table.source, str(row[0])) for row in rows}, {str(token) for row in rows for token in row[1:] if token}


def _in_raw(database: Database, table: Table) -> _Known:
    """What a table of raw still knows."""
    raw, columns = database.raw(table.source, table.name), [each for each in table.columns if is_redacted(each)]
    changed = {column.name: redacted(column, f"r.{column.name}", "f.replacement") for column in columns}
    ours = (
        f"f.source = '{table.source}' and f.person = cast(r.{person_column(table)} as varchar) and ("
        + " or ".join(f"r.{name} is distinct from {value}" for name, value in changed.items())
        + ")"
    )
    listed = ", ".join(["f.person", *(_token(column, f"r.{column.name}") for column in table.identifiers)])
    rows = database.run(f"select distinct {listed} from {raw} as r join forgotten as f on {ours}")
    changes = ", ".join(f"{name} = {value}" for name, value in changed.items())

    def redact(database: Database) -> None:
        if rows:
            database.run(f"update {raw} as r set {changes} from forgotten as f where {ours}")

    return _Known(*_told(table, rows), redact)


def _in_rejects(database: Database, table: Table) -> _Known:
    """What the rejected records of a table still know: they are emptied."""
    rejects = database.raw(table.source, "rejects")
    rows = database.run(
        f"select distinct r.reject_id, f.person, r.record from {rejects} as r "
        "join forgotten as f on f.source = %s and position(f.person in r.record) > 0 "
        "where r.resource = %s",
        [table.source, table.name],
    )
    persons, tokens, ids = set(), set(), []
    for reject_id, person, text in rows:
        record = json.loads(text)
        if str(record.get(str(person_column(table)))) != person:
            continue
        ids.append(reject_id)
        persons.add((table.source, str(person)))
        for column in table.identifiers:
            value = str(record.get(column.name) or "")
            tokens.add(json.loads(value).get("_token", "") if column.keeps and value else value)

    def redact(database: Database) -> None:
        for reject_id in ids:
            database.run(f"update {rejects} set record = '{{}}' where reject_id = %s", [reject_id])

    return _Known(persons, tokens - {""}, redact)


def archive_of(target: Target, table: Table) -> Path:
    """The folder of the versions that raw no longer keeps of a table, in Parquet files."""
    return target.folder / "archive" / table.source / table.name


def _in_archive(database: Database, table: Table) -> _Known:
    """What was archived of a table, and still knows."""
    forgotten, rows, files = forgotten_of(database.target, table), [], []
    for file in sorted(archive_of(database.target, table).glob("*.parquet")) if forgotten else []:
        with closing(connect()) as connection:
            archived, known = _archived(connection, table, file, forgotten)
            listed = ", ".join([str(person_column(table)), *(_token(each, each.name) for each in table.identifiers)])
            found = connection.execute(f"select distinct {listed} from (from {archived} except {known})").fetchall()
        if found:
            files.append(file)
            rows += found

    def redact(_: Database) -> None:
        for file in files:
            with closing(connect()) as connection:
                known = _archived(connection, table, file, forgotten)[1]
                anew = file.with_suffix(".partial")
                connection.execute(f"copy ({known}) to {literal(str(anew))} ({parquet_options(connection)})")
            anew.replace(file)

    return _Known(*_told(table, rows), redact)


def _archived(connection: DuckDBPyConnection, table: Table, file: Path, forgotten: str | None) -> tuple[str, str]:
    """A file of the archive, and a select of it as the warehouse may know it."""
    archived = parquet(connection, [file])
    names = [str(row[0]) for row in connection.execute(f"describe from {archived}").fetchall()]
    return archived, as_known(table, names, archived, None, forgotten)


def _archived_tokens(target: Target, table: Table, tokens: set[str]) -> set[str]:
    files = sorted(archive_of(target, table).glob("*.parquet"))
    if not files or not tokens:
        return set()
    with closing(connect()) as connection:
        archived = parquet(connection, files)
        columns = " union ".join(f"select {_token(each, each.name)} from {archived}" for each in table.identifiers)
        return {str(row[0]) for row in connection.execute(columns).fetchall()} & tokens


def _still_used(database: Database, tokens: set[str]) -> set[str]:
    """Those of the tokens that a record of raw, a reject or the archive still has."""
    _fill(database, "gone", [(token, "", "") for token in sorted(tokens)])
    found: set[str] = set()
    for contract in read_contracts(database.target.project):
        rejects = database.raw(contract.name, "rejects")
        if not database.exists(rejects):
            continue
        places = [
            f"exists (select 1 from {database.raw(contract.name, table.name)} as r "
            f"where {_token(column, f'r.{column.name}')} "
            "= gone.source)"
            for table in contract.tables
            for column in table.identifiers
        ]
        places.append(f"exists (select 1 from {rejects} as r where position(gone.source in r.record) > 0)")
        found |= {str(row[0]) for row in database.run(f"select source from gone where {' or '.join(places)}")}
        for table in contract.tables:
            if table.identifiers:
                found |= _archived_tokens(database.target, table, tokens)
    return found
