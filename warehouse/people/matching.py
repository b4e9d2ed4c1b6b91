"""`make match` and `make unmatch`: what a model and what people say of two records is written into the log of matches.

The log is a source like any other (ingestion/readers/matches): the next build loads it, and what is one person follows.
Values of identifiers are read from the crosswalk into memory alone, and nothing of them is written or said.
"""

from __future__ import annotations

import getpass
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import duckdb
import psycopg2

from ingestion.contract.contracts import Source, contract_file
from ingestion.contract.reading import contracts_of
from ingestion.destination.lake import BUILD
from ingestion.destination.lock import build_lock
from ingestion.destination.roles import acting_as_loader
from ingestion.destination.target import Target, attach_part, attach_warehouse
from ingestion.duck import connect, number
from ingestion.load.run import observation_time
from ingestion.privacy.crosswalk import read_identifiers
from ingestion.readers.matches.log import APART, MATCH, Record, Said, everything_said, holding, said_of, say_more
from ingestion.sql import quoted
from warehouse.build.removal import MATCHES, said_of_matches
from warehouse.errors import BuildError
from warehouse.people.linkage import Linked, linked, prepare, read_model, trained
from warehouse.people.revealing import unreadable

Say = Callable[[str], None]
# How many pairs that contradict are named; the others are counted.
_NAMED = 10
_TOKEN = "_token"


def match(target: Target, name: str, say: Say, *, train: bool = False) -> None:
    """Find matches by the model in git among the records that are built, and write down what is new.

    Args:
        target: the warehouse.
        name: the source of matches; the only one unless given.
        say: takes lines of progress.
        train: write a new model instead, from these records.

    Raises:
        BuildError: nothing is built yet, or Splink or the model isn't there.
    """
    source = source_of_matches(target, name)
    file = target.project / contract_file(source.name).parent / said_of_matches(source, "model")
    model = read_model(file)
    with build_lock(target), closing(connect()) as connection:
        # Values in clear text don't go to a disk.
        connection.execute("set temp_directory = ''")
        _read_people(connection, target, source)
        prepare(connection, model)
        records = number(connection, "select count(*) from prepared")
        if train:
            file.write_text(trained(connection, model), encoding="utf-8")
            say(f"{file.relative_to(target.project)} has the weights of {records:,} records: `git diff` shows them")
            return
        found = linked(connection, model)
        say(f"compared {records:,} records of {said_of_matches(source, 'records')} by model {model.checksum}")
        said = _news(everything_said(source.name, target), found, model.checksum, say)
        joining = _joining(connection, target, source, [each for each in said if each.operation == "U"])
        if said:
            say_more(source.name, target, said, observation_time())
        say(
            f"{joining:,} of the new matches join records that were not one person's"
            + ("; `make build` follows" if said else "")
        )


def unmatch(target: Target, name: str, asked: Sequence[str], reason: str, say: Say, *, back: bool = False) -> None:
    """Decide that no two of these records are one person's, or take that back.

    Args:
        target: the warehouse.
        name: the source of matches; the only one unless given.
        asked: records as `source:id`, two or more.
        reason: why, for those who ask later.
        say: takes lines of progress.
        back: take back what was decided so.

    Raises:
        BuildError: fewer than two records are named, one is not there, no reason is given, or there is nothing to take
            back.
    """
    source = source_of_matches(target, name)
    if not reason.strip():
        raise BuildError("say why, which is history: REASON='two sisters, seen by their birth certificates'")
    records = sorted({(each.partition(":")[0], each.partition(":")[2]) for each in asked})
    if len(records) < 2:
        raise BuildError("which records are not one person? RECORDS='<source>:<id> <source>:<id>'")
    with build_lock(target), closing(connect()) as connection:
        persons = _persons(connection, target, source)
        if unknown := [_named(each) for each in records if each not in persons]:
            raise BuildError(f"{', '.join(unknown)}: no record of {said_of_matches(source, 'records')} is called so")
        decided = {each.records for each in holding(everything_said(source.name, target)) if each.verdict == APART}
        operation = "D" if back else "U"
        said = [
            replace(said_of(one, other, APART), said_by=getpass.getuser(), reason=reason.strip(), operation=operation)
            for one, other in itertools.combinations(records, 2)
            if ((one, other) in decided) == back
        ]
        if not said:
            raise BuildError("that was not decided: make match LIST=1" if back else "that is decided already")
        say_more(source.name, target, said, observation_time())
    for each in said:
        one, other = each.records
        were = "one person" if persons[one] == persons[other] else "not one person"
        then = "that they stay apart is taken back" if back else "they stay apart"
        say(f"{_named(one)} and {_named(other)} were {were}; {then}")
    say("`make build` publishes it; the build after that has it in the other generation, too")


def list_decisions(target: Target, name: str, say: Say) -> None:
    """Say which matches and decisions hold."""
    said = holding(everything_said(source_of_matches(target, name).name, target))
    for model, count in sorted(Counter(str(each.model) for each in said if each.verdict == MATCH).items()):
        say(f"{count:,} matches by model {model}")
    for each in (each for each in said if each.verdict == APART):
        one, other = map(_named, each.records)
        say(f"{one} and {other} are not one person: {each.said_by} on {each.said_at[:16]} UTC, {each.reason}")
    if not said:
        say("nothing is matched by a model, and nothing is decided")


def source_of_matches(target: Target, name: str = "") -> Source:
    """The source of this name whose records are matches; the only one unless it is named.

    Raises:
        BuildError: there is none, or there are several.
    """
    sources = [each for each in contracts_of(MATCHES, target.project) if name in ("", each.name)]
    if len(sources) != 1:
        there = ", ".join(each.name for each in sources) or "none that is on"
        raise BuildError(f"which source of matches? SOURCE=<source>; there is {there}")
    return sources[0]


def _named(record: Record) -> str:
    return ":".join(record)


def _relation(connection: duckdb.DuckDBPyConnection, target: Target, model: str) -> str:
    """A model of the intermediate layer, readable from the connection.

    Raises:
        BuildError: it isn't built.
    """
    databases = connection.execute("select database_name from duckdb_databases()").fetchall()
    alias = target.build_file.stem if target.engine == "duckdb" else "warehouse"
    try:
        if (alias,) not in databases:
            if target.engine == "postgres":
                attach_warehouse(connection, target)
            else:
                # Under its own name, by which its views know what they read.
                attach_part(connection, target, BUILD, alias, read_only=True)
        relation = f"{alias}.{quoted(target.schema('intermediate'))}.{quoted(model)}"
        connection.execute(f"describe {relation}")
    except duckdb.Error as error:
        raise BuildError(f"{model} can't be read, `make build` makes it: {str(error).splitlines()[0]}") from error
    return relation


def _key(source: Source, alias: str) -> str:
    """A record's name, as an expression: its source and its id, with what neither has in it between."""
    columns = said_of_matches(source, "key")
    return " || chr(31) || ".join(f"cast({alias}.{quoted(column)} as varchar)" for column in columns)


def _read_people(connection: duckdb.DuckDBPyConnection, target: Target, source: Source) -> None:
    """Make the table `people`: the records, with what tokens stand for in the place of tokens."""
    relation = _relation(connection, target, said_of_matches(source, "records"))
    connection.execute(f"create table tokens as select *, {_key(source, 'r')} as record from {relation} as r")
    columns = [str(row[0]) for row in connection.execute("describe tokens").fetchall() if row[0] != "record"]
    kinds = [each.removesuffix(_TOKEN) for each in columns if each.endswith(_TOKEN)]
    try:
        with acting_as_loader():
            read_identifiers(connection, target, kinds, "known")
    except (duckdb.Error, psycopg2.Error) as error:
        raise unreadable(error) from error
    joins = " ".join(f"left join known as {quoted(k)} on {quoted(k)}.token = t.{quoted(k + _TOKEN)}" for k in kinds)
    values = ", ".join(f"{quoted(kind)}.value as {quoted(kind)}" for kind in kinds)
    others = ", ".join(f"t.{quoted(each)}" for each in columns if not each.endswith(_TOKEN))
    listed = ", ".join(each for each in ("t.record", others, values) if each)
    connection.execute(f"create table people as select {listed} from tokens as t {joins}")


def _persons(connection: duckdb.DuckDBPyConnection, target: Target, source: Source) -> dict[Record, str]:
    """Whose each record is now, by its key."""
    relation = _relation(connection, target, said_of_matches(source, "identities"))
    one, other = (f"cast({quoted(column)} as varchar)" for column in said_of_matches(source, "key"))
    rows = connection.execute(
        f"select {one}, {other}, cast(person_key as varchar) from {relation} where valid_to >= timestamp '9999-12-31'"
    ).fetchall()
    return {(str(row[0]), str(row[1])): str(row[2]) for row in rows}


def _joining(connection: duckdb.DuckDBPyConnection, target: Target, source: Source, new: list[Said]) -> int:
    persons = _persons(connection, target, source) if new else {}
    return sum(persons.get(each.records[0]) != persons.get(each.records[1]) for each in new)


def _news(said: Sequence[Said], found: Linked, checksum: str, say: Say) -> list[Said]:
    """What is to be said of what was found, beside what is said already; says what that is."""
    holds = holding(said)
    matches = {each.records: each for each in holds if each.verdict == MATCH}
    apart = {each.records for each in holds if each.verdict == APART}
    pairs = {_records(pair): probability for pair, probability in found.pairs.items()}
    new, changed = [], []
    for records, probability in pairs.items():
        version = replace(said_of(*records, MATCH), probability=probability, model=checksum)
        before = matches.get(version.records)
        if before is None:
            new.append(version)
        elif (before.probability, before.model) != (probability, checksum):
            changed.append(version)
    gone = [replace(each, operation="D") for records, each in matches.items() if records not in pairs]
    say(
        f"{len(pairs):,} pairs match: {len(new):,} new, {len(changed):,} with another probability or model; "
        f"{len(gone):,} match no more"
    )
    _tell("contradict themselves or another pair, and are no match", map(_records, found.contradicting), say)
    _tell("match, and somebody decided that they are not one person", apart & pairs.keys(), say)
    return [*new, *changed, *gone]


def _records(pair: tuple[str, str]) -> tuple[Record, Record]:
    one, other = sorted((first, rest) for first, _, rest in (each.partition(chr(31)) for each in pair))
    return one, other


def _tell(what: str, pairs: Any, say: Say) -> None:
    listed = sorted(pairs)
    if listed:
        say(f"{len(listed):,} pairs {what}:")
    for one, other in listed[:_NAMED]:
        say(f"  {_named(one)} {_named(other)}")
    if len(listed) > _NAMED:
        say(f"  and {len(listed) - _NAMED:,} more")
