"""Forget a person: in raw and rejects, in the crosswalk, and with them in all that is built from these.

What is written down first is the tombstone; all else follows from it, and is done again wherever the ledger knows more
than the database: after a restore, or after a run that was killed. Marts and history aren't edited: both
generations are built anew from the raw that doesn't know the person any more, so the money stays what it was.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ingestion.contract.contracts import Table
from ingestion.contract.reading import contracts_of
from ingestion.destination.lock import build_lock
from ingestion.destination.roles import acting_as_loader
from ingestion.destination.target import Target
from ingestion.privacy.crosswalk import find_tokens
from ingestion.privacy.identifiers import person_column
from ingestion.privacy.tombstones import Tombstone, read_tombstones, write_tombstones
from warehouse.build.build import build_both_generations
from warehouse.build.redaction import Person, Say, apply_tombstones, tables_of_persons
from warehouse.build.removal import MATCHES, said_of_matches
from warehouse.database import Database, open_database
from warehouse.errors import BuildError


def forget(target: Target, asked: Sequence[str], dry: bool, say: Say) -> None:
    """Forget persons, and all who share an address with them or are the same; without any, forget again.

    Args:
        target: the warehouse.
        asked: persons as `source:id`, or as an address.
        dry: only say who would be forgotten.
        say: takes lines of progress.

    Raises:
        BuildError: nobody is known by what was asked.
    """
    with build_lock(target):
        known = {(each.source, each.person) for each in read_tombstones(target)}
        sources = {table.source for table in tables_of_persons(target)}
        for each in asked:
            with acting_as_loader(), open_database(target) as database:
                found = _found(database, each)
            with open_database(target) as database:
                found |= _matched(database, found)
            persons = {person for person in found if person[0] in sources} - known
            for source, person in sorted(persons):
                say(f"{'would forget' if dry else 'forgetting'} {source}:{person}")
            for source, person in sorted(person for person in found if person[0] not in sources):
                what = f"{source}:{person} is the same person, and no contract of {source}"
                say(f"not forgotten: {what} says `person:` (docs/privacy.md)")
            if not persons:
                say(f"{each} is forgotten already")
            elif not dry:
                _bury(target, persons)
        if dry:
            return
        done = apply_tombstones(target, say)
    if done is None:
        say("nobody is to be forgotten: the warehouse knows nobody whom the ledger of tombstones names")
        return
    build_both_generations(target, say)
    say(
        f"forgotten: {done} person{'' if done == 1 else 's'}. Copies outside are yours to look after: exports, "
        "extracts, and backups until they expire; `make forget` forgets again after a restore"
    )


def _bury(target: Target, persons: Iterable[Person]) -> None:
    """Write tombstones; persons who are forgotten together have the same tokens, and stay one customer."""
    replacement, now = str(uuid.uuid4()), datetime.now(UTC).isoformat(timespec="seconds")
    write_tombstones(target, [Tombstone(source, person, replacement, now) for source, person in sorted(persons)])


def _found(database: Database, asked: str) -> set[Person]:
    """Who is asked for, and who had an address in common with them at any time.

    Raises:
        BuildError: raw has nobody of that name.
    """
    tables = tables_of_persons(database.target)
    by_address = [(table, column.name) for table in tables for column in table.identifiers if column.format]
    sources = sorted({table.source for table in tables})
    source, _, person = asked.partition(":")
    persons: set[Person] = set()
    if source in sources:
        mine = [table for table in tables if table.source == source]
        persons = {(source, found) for table in mine for found in _texts(database, table, _column(table), [person])}
        addresses = [each for each in by_address if each[0] in mine]
        tokens = {token for table, column in addresses for token in _texts(database, table, column, [person])}
    else:
        tokens = find_tokens(database.target, "email", asked)
    for table, column in by_address:
        found = _texts(database, table, _column(table), sorted(tokens), where=column)
        persons |= {(table.source, each) for each in found}
    if not persons:
        known = ", ".join(sources) or "no contract says `person:` of a table yet, see docs/privacy.md"
        raise BuildError(
            f"nobody is known as {person if source in sources else 'who has this address'}: say PERSON=source:id, as "
            f"the source numbers its people ({known}), or an address"
        )
    return persons


def _matched(database: Database, persons: set[Person]) -> set[Person]:
    """The records of other sources, or of the same, that are these persons' by what matches them."""
    matched: set[Person] = set()
    for contract in contracts_of(MATCHES, database.target.project):
        relation = database.built("intermediate", said_of_matches(contract, "identities"))
        if not database.exists(relation):
            continue
        source, record = said_of_matches(contract, "key")
        marks = ", ".join(["(%s, %s)"] * len(persons))
        matched |= {
            (str(row[0]), str(row[1]))
            for row in database.run(
                f"select distinct other.{source}, other.{record} from {relation} as mine "
                f"inner join {relation} as other on mine.person_key = other.person_key "
                f"where (mine.{source}, mine.{record}) in ({marks}) "
                "and mine.valid_to >= timestamp '9999-12-31' and other.valid_to >= timestamp '9999-12-31'",
                [value for person in sorted(persons) for value in person],
            )
        }
    return matched


def _column(table: Table) -> str:
    return str(person_column(table))


def _texts(database: Database, table: Table, wanted: str, values: Sequence[str], where: str | None = None) -> list[str]:
    """The distinct values, as text, of a column of raw where another, the person's unless named, has one of these."""
    where = where or _column(table)
    raw = database.raw(table.source, table.name)
    if not values or not database.exists(raw):
        return []
    marks = ", ".join(["%s"] * len(values))
    rows = database.run(
        f"select distinct cast({wanted} as varchar) from {raw} "
        f"where cast({where} as varchar) in ({marks}) and {wanted} is not null",
        list(values),
    )
    return [str(row[0]) for row in rows]
