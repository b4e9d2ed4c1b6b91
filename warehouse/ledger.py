"""The ledger: which loads and which code each relation of each generation has seen.

`macros/history/ledger.sql` says how dbt reads and writes it; here its tables are made, and filled before dbt starts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from ingestion.contract.reading import source_names
from warehouse.database import Database

LOAD_COLUMNS = "load_id varchar primary key, load_number bigint not null, source_name varchar not null"
WRITTEN_COLUMNS = "source_name varchar not null, resource_name varchar not null, load_number bigint not null"
SEEN_COLUMNS = (
    "relation_name varchar not null, entry_number bigint not null, load_number bigint not null, "
    "fingerprint varchar not null"
)
PENDING_COLUMNS = "relation_name varchar not null, entry_number bigint not null, followed_key varchar"
COMPILED_COLUMNS = (
    "unique_id varchar not null, project varchar not null, position bigint not null, statement text not null"
)
TESTED_COLUMNS = "test_id varchar not null, fingerprint varchar not null"
GENERATION_COLUMNS = "generation_number bigint not null, published_at timestamp not null, load_number bigint not null"
GENERATION_LOAD_COLUMNS = "load_id varchar not null, load_number bigint not null, source_name varchar not null"
# How many entries a relation may have, on average, before those that hold no more are taken away.
_FOLDED_FROM = 20


@dataclass(frozen=True)
class Entry:
    """The last entry of a relation: its number, that of the last load which the relation has seen, and its code's."""

    number: int
    load_number: int
    fingerprint: str


def begin(database: Database, code: dict[str, str]) -> None:
    """Write down what the build that starts now is about: the loads that it sees, the code that it has.

    Args:
        database: the warehouse.
        code: the fingerprint of each relation's code.
    """
    ensure_tables(database)
    fold(database)
    database.run(f"delete from {database.granary('parsed')}")
    register_loads(database)
    write_code(database, code)


def note_parsed(database: Database, project: str, models: dict[str, tuple[str, str]]) -> None:
    """`granary.code` now holds the code of this project, as a fingerprint, which publishes these models."""
    database.run(f"delete from {database.granary('parsed')}")
    row = [_with_outdated(database, project), json.dumps(models)]
    database.run(f"insert into {database.granary('parsed')} (project, models) values (%s, %s)", row)


def models_parsed(database: Database, project: str) -> dict[str, tuple[str, str]] | None:
    """The models that this project publishes, where `granary.code` holds its code; None where it doesn't."""
    if not database.exists(database.granary("parsed")):
        return None
    row = [_with_outdated(database, project)]
    rows = database.run(f"select models from {database.granary('parsed')} where project = %s", row)
    return {name: (schema, line) for name, (schema, line) in json.loads(rows[0][0]).items()} if rows else None


def _with_outdated(database: Database, fingerprint: str) -> str:
    """A fingerprint that differs once what relations were built from was changed beside their code."""
    times = int(database.run(f"select count(*) from {database.granary('outdated')}")[0][0])
    return f"{fingerprint} {times}" if times else fingerprint


def ensure_tables(database: Database) -> None:
    """Make the ledger's tables, in the build's own schema and in the generation that is being built."""
    database.run(f"create schema if not exists {database.target.schema('granary')}")
    _drop_old_form(database)
    # A lake has no keys; that no load is twice in it, `register_loads` sees to.
    columns = LOAD_COLUMNS.replace("primary key", "not null") if database.target.lake else LOAD_COLUMNS
    database.run(f"create table if not exists {database.granary('loads')} ({columns})")
    # Which tables of raw loads wrote to; to '' where they wrote to any, as they do to their own books.
    database.run(f"create table if not exists {database.granary('written')} ({WRITTEN_COLUMNS})")
    database.run(f"create table if not exists {database.granary('code')} (relation_name varchar, fingerprint varchar)")
    database.run(f"create schema if not exists {database.next_schema('ops')}")
    if database.target.engine == "postgres":
        database.run(f"create schema if not exists {database.target.schema('partitions')}")
    for seen in (database.granary("seen"), database.next("ops", "seen")):
        database.run(f"create table if not exists {seen} ({SEEN_COLUMNS})")
    database.run(f"create table if not exists {database.next('ops', 'pending')} ({PENDING_COLUMNS})")
    database.run(f"create table if not exists {database.next('ops', 'generation')} ({GENERATION_COLUMNS})")
    database.run(f"create table if not exists {database.next('ops', 'generation_loads')} ({GENERATION_LOAD_COLUMNS})")
    # Numbers that were given out; a generation that was rolled back keeps its own.
    database.run(f"create table if not exists {database.granary('generations')} (generation_number bigint not null)")
    # How often what relations were built from was changed beside their code: fingerprints count it in.
    database.run(f"create table if not exists {database.granary('outdated')} (outdated_at timestamp not null)")
    # The project whose code `granary.code` holds, and what it publishes.
    database.run(f"create table if not exists {database.granary('parsed')} (project varchar, models text)")
    # The code whose unit tests passed: they know nothing of the data, so once is enough.
    database.run(f"create table if not exists {database.granary('unit_tested')} (fingerprint varchar not null)")
    # What dbt made of relations and tests, by the project that they are of.
    database.run(f"create table if not exists {database.granary('compiled')} ({COMPILED_COLUMNS})")
    # Which tests passed since what they read last changed; and what lists of keys said when it did (build/changes.py).
    database.run(f"create table if not exists {database.next('ops', 'tested')} ({TESTED_COLUMNS})")
    # What retention took out of raw, by load: its counts add up with these.
    database.run(
        f"create table if not exists {database.granary('archived')} (source_name varchar, resource_name varchar, "
        "load_id varchar, archived_count bigint, file_name varchar, archived_at timestamp)"
    )
    # A row while raw is redacted: where that was cut short, marts may still know what raw knows no more.
    database.run(f"create table if not exists {database.granary('redacting')} (since timestamp not null)")
    # A row where the next generation is built, tested and held back from readers.
    held = "tested_at timestamp not null, load_number bigint not null"
    database.run(f"create table if not exists {database.granary('held')} ({held})")


def _drop_old_form(database: Database) -> None:
    """Loads were not numbered once. What was seen then was built by other code, so that all is built in full anyway."""
    for column, tables in {
        "load_number": (
            database.granary("loads"), database.granary("held"),
            database.next("ops", "generation"), database.next("ops", "generation_loads"),
        ),
        "entry_number": (database.next("ops", "pending"),),
    }.items():  # fmt: skip
        for table in tables:
            if database.exists(table) and column not in database.columns(table):
                database.run(f"drop table {table}")


def begin_generation(database: Database) -> None:
    """From here on the generation before is changed: it has no number any more, and nothing goes back to it."""
    database.run(f"delete from {database.granary('held')}")
    database.run(f"delete from {database.next('ops', 'generation')}")


def hold_generation(database: Database) -> None:
    """The next generation is whole and tested, and waits to be published."""
    database.run(f"delete from {database.granary('held')}")
    database.run(
        f"insert into {database.granary('held')} (tested_at, load_number) values (%s, %s)",
        [datetime.now(UTC).replace(tzinfo=None), newest_load(database)],
    )


def held_up_to(database: Database) -> int | None:
    """The last load in the whole, tested generation that waits to be published; None where none waits."""
    held = database.granary("held")
    rows = database.run(f"select load_number from {held}") if database.exists(held) else []
    return int(rows[0][0]) if rows else None


def register_loads(database: Database) -> None:
    """List the completed loads that brought or rejected something: what this build sees of raw."""
    loads, written = database.granary("loads"), database.granary("written")
    for source in source_names(database.target.project):
        before = newest_load(database)
        database.run(f"""
            insert into {loads} (load_id, load_number, source_name)
            select d.load_id, {before} + row_number() over (order by d.inserted_at, d.load_id), '{source}'
            from {database.raw(source, "_dlt_loads")} as d
            where
                d.status = 0
                and not exists (select 1 from {loads} as known where known.load_id = d.load_id)
                and exists (
                    select 1 from {database.raw(source, "loads")} as l
                    where
                        l._load_id = d.load_id
                        and l.loaded_count + coalesce(l.deleted_count, 0) + l.rejected_count > 0
                )""")
        if newest_load(database) == before:
            continue
        database.run(f"""
            insert into {written} (source_name, resource_name, load_number)
            select '{source}', l.resource, max(known.load_number)
            from {database.raw(source, "loads")} as l
            join {loads} as known on known.load_id = l._load_id
            where known.load_number > {before} and l.loaded_count + coalesce(l.deleted_count, 0) > 0
            group by l.resource
            union all
            select '{source}', '', max(load_number) from {loads}""")


def newest_load(database: Database) -> int:
    """The number of the last load that a build saw; 0 where there was none."""
    return int(database.run(f"select coalesce(max(load_number), 0) from {database.granary('loads')}")[0][0])


def versions_behind(database: Database) -> int | None:
    """How many versions the generation that is built next has not seen; None where it is not whole or has no source."""
    rows = database.run(f"select load_number from {database.next('ops', 'generation')}")
    counts = " union all ".join(
        f"select loaded_count + coalesce(deleted_count, 0) as versions, _load_id from {database.raw(source, 'loads')}"
        for source in source_names(database.target.project)
    )
    if not rows or not counts:
        return None
    [(found,)] = database.run(
        f"select coalesce(sum(l.versions), 0) from ({counts}) as l "
        f"join {database.granary('loads')} as known on known.load_id = l._load_id where known.load_number > %s",
        [rows[0][0]],
    )
    return int(found)


def last_written(database: Database) -> dict[tuple[str, str], int]:
    """The number of the last load that wrote to each table of raw, by source and table; to any where that is ''."""
    rows = database.run(
        "select source_name, resource_name, max(load_number) "
        f"from {database.granary('written')} group by source_name, resource_name"
    )
    return {(str(source), str(table)): int(number) for source, table, number in rows}


def last_entries(database: Database, table: str) -> dict[str, Entry]:
    """What each relation has seen, by its name: of a ledger, which is `granary.seen` or a generation's `ops.seen`."""
    rows = database.run(f"""
        select seen.relation_name, seen.entry_number, highest.load_number, seen.fingerprint
        from {table} as seen
        join (
            select relation_name, max(entry_number) as entry_number, max(load_number) as load_number
            from {table} group by relation_name
        ) as highest
        on highest.relation_name = seen.relation_name and highest.entry_number = seen.entry_number""")
    return {str(name): Entry(int(entry), int(load), str(fingerprint)) for name, entry, load, fingerprint in rows}


def fold(database: Database) -> None:
    """Take away what later entries stand for, before a build begins: while one goes on, entries are only added."""
    for seen in (database.granary("seen"), database.next("ops", "seen")):
        entries = last_entries(database, seen)
        count = int(database.run(f"select count(*) from {seen}")[0][0])
        if count > _FOLDED_FROM * len(entries):
            rows = ", ".join(
                f"('{name}', {each.number}, {each.load_number}, '{each.fingerprint}')" for name, each in entries.items()
            )
            database.run("begin")
            database.run(f"delete from {seen}")
            database.run(f"insert into {seen} (relation_name, entry_number, load_number, fingerprint) values {rows}")
            database.run("commit")
    pending, seen = database.next("ops", "pending"), database.next("ops", "seen")
    database.run(
        f"delete from {pending} where exists (select 1 from {seen} as seen where seen.relation_name = "
        f"{pending}.relation_name and seen.entry_number > {pending}.entry_number)"
    )
    written = database.granary("written")
    database.run(
        f"delete from {written} where exists (select 1 from {written} as later where later.source_name = "
        f"{written}.source_name and later.resource_name = {written}.resource_name "
        f"and later.load_number > {written}.load_number)"
    )


def write_code(database: Database, code: dict[str, str]) -> None:
    """Tell dbt the fingerprints of the present code."""
    database.run(f"delete from {database.granary('code')}")
    mark = _with_outdated(database, "")
    rows = ", ".join(f"('{name}', '{fingerprint}{mark}')" for name, fingerprint in sorted(code.items()))
    if rows:
        database.run(f"insert into {database.granary('code')} (relation_name, fingerprint) values {rows}")


def are_unit_tested(database: Database, code: str) -> bool:
    """Whether the unit tests of this code passed in a build of this warehouse."""
    return bool(database.run(f"select 1 from {database.granary('unit_tested')} where fingerprint = %s", [code]))


def note_unit_tested(database: Database, code: str) -> None:
    """The unit tests of this code passed."""
    database.run(f"delete from {database.granary('unit_tested')}")
    database.run(f"insert into {database.granary('unit_tested')} (fingerprint) values (%s)", [code])


def outdate_everything(database: Database) -> datetime:
    """Make the next builds of both generations build every relation in full, as if all code had changed.

    Returns:
        What `withdraw_outdating` takes.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    database.run(f"insert into {database.granary('outdated')} (outdated_at) values (%s)", [now])
    return now


def withdraw_outdating(database: Database, outdated_at: datetime) -> None:
    """Take `outdate_everything` back, where nothing has changed after all and no build came in between."""
    database.run(f"delete from {database.granary('outdated')} where outdated_at = %s", [outdated_at])


def is_up_to_date(database: Database, published_models: list[str]) -> bool:
    """Whether the published generation has seen every load and is built with the present code."""
    generation, seen = database.published("ops", "generation"), database.published("ops", "seen")
    if not published_models or not database.exists(generation) or not database.exists(seen):
        return False
    seen_all = database.run(f"select 1 from {generation} where load_number >= {newest_load(database)}")
    entries = last_entries(database, seen)
    code = dict(database.run(f"select relation_name, fingerprint from {database.granary('code')}"))
    return bool(seen_all) and all(
        name in entries and entries[name].fingerprint == code.get(name) for name in published_models
    )
