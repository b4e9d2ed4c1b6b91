"""Publish: exchange the generation that readers see with the one that was built and tested.

On DuckDB two files change names, on Postgres two sets of schemas in one transaction. Nothing is copied; the
generation that was published before becomes the next one and catches up in the next build.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from ingestion.destination.target import Target
from ingestion.encryption import open_file
from warehouse import ledger
from warehouse.database import NEXT, Database, open_database
from warehouse.errors import BuildError
from warehouse.publish import lake
from warehouse.publish.access import Declared, audited, grant_access, schema_access
from warehouse.publish.exchange import ALL_SECONDS, Exchange
from warehouse.publish.rights import align_rights, schema_rights_moved, views_left_behind, views_made_anew
from warehouse.publish.schemas import lost_schemas, next_schemas, published_schemas, readers_kept_out
from warehouse.publish.withdrawals import refuse_withdrawn


def prepare_next(target: Target) -> None:
    """DuckDB, before a build: see that there is a next file, and that it can be written.

    There is none in the second build, for the first had no generation before it: it starts from a copy of the
    published one. And somebody may still read the one that there is, having opened it when it was published: it
    stays theirs, and the build goes on with a copy.
    """
    if not target.in_files or not target.published_file.exists():
        return
    if not target.next_file.exists():
        copy_published(target)
    else:
        _leave_to_readers(target)


def _leave_to_readers(target: Target) -> None:
    """DuckDB: where somebody still reads the next file, have it be a copy, and theirs the one that they opened."""
    if _is_read(target.next_file):
        _copy(target.next_file, target.next_file)


def copy_published(target: Target) -> None:
    """DuckDB: have the next file be a copy of the published one."""
    _copy(target.published_file, target.next_file)


def _copy(file: Path, to: Path) -> None:
    partial = to.with_suffix(".copying")
    shutil.copyfile(file, partial)
    partial.replace(to)


def _is_read(file: Path) -> bool:
    """Whether another process has the file open, which keeps DuckDB from writing to it."""
    try:
        open_file(file).close()
    except duckdb.IOException as error:
        return "lock" in str(error).lower()
    return False


def stamp(database: Database, schemas: list[str], load_number: int) -> int:
    """Number the generation that is about to be published, which is whole and tested. Returns its number.

    Args:
        database: the warehouse.
        schemas: the schemas that are published, without prefix or suffix.
        load_number: the last load that it was built from.

    Raises:
        BuildError: the generation was built with other domains than are on now; the last one stays published.
    """
    built, wanted = next_schemas(database), sorted(schemas)
    if built != wanted or lost_schemas(database, schemas):
        raise BuildError(
            f"what was built has {', '.join(built) or 'nothing'}, on are {', '.join(wanted)}, and readers see "
            f"{', '.join(published_schemas(database)) or 'nothing'}: publish with the domains on that it was built "
            "with, and take away what readers see with `make retire` only"
        )
    number = _stamp(database, load_number)
    if database.target.in_files:
        database.run("checkpoint marts")
    return number


def exchange(
    target: Target, number: int, schemas: list[str], declared: list[Declared], say: Callable[[str], None]
) -> None:
    """Let readers see the generation that has this number instead of theirs.

    Args:
        target: the warehouse.
        number: what `stamp` gave.
        schemas: as there.
        declared: who reads what of it.
        say: takes a line for each thing that somebody should look after.

    Raises:
        BuildError: readers hold their locks for too long; the last generation stays published.
    """
    if target.in_files:
        exchange_files(target)
        return
    if target.lake:
        with open_database(target) as database:
            lake.publish(database, number, declared)
        return
    exchange_schemas(target, schemas, declared)
    with open_database(target) as database:
        audited(database, "publish", json.dumps({"generation": number}))
        for view in views_left_behind(database, [target.schema(name) for name in schemas]):
            say(f"note: the view {view} can't be made over what is published now: it reads the generation before")


def _stamp(database: Database, load_number: int) -> int:
    """Write its number into the generation, and which loads it contains."""
    number = next_number(database)
    database.run(f"delete from {database.granary('held')}")
    generation, loads = database.next("ops", "generation"), database.next("ops", "generation_loads")
    now = datetime.now(UTC).replace(tzinfo=None)
    database.run(f"delete from {generation}")
    database.run(
        f"insert into {generation} (generation_number, published_at, load_number) values (%s, %s, %s)",
        [number, now, load_number],
    )
    database.run(f"""
        insert into {loads} (load_id, load_number, source_name)
        select load_id, load_number, source_name from {database.granary("loads")}
        where
            load_number > (select coalesce(max(load_number), 0) from {loads}) and load_number <= {load_number}""")
    return number


def next_number(database: Database) -> int:
    """Give out a number that no generation had, those included that were rolled back."""
    given_out = database.run(f"select max(generation_number) from {database.granary('generations')}")[0][0]
    number = max(int(given_out or 0), published_number(database) or 0) + 1
    database.run(f"insert into {database.granary('generations')} (generation_number) values (%s)", [number])
    return number


def published_number(database: Database) -> int | None:
    """The number of the generation that readers see; None where there is none yet."""
    return _number(database, database.published("ops", "generation"))


def _number(database: Database, table: str) -> int | None:
    if not database.exists(table):
        return None
    row = database.run(f"select max(generation_number) from {table}")
    return int(row[0][0]) if row[0][0] is not None else None


def publish_held(target: Target, schemas: list[str], declared: list[Declared], say: Callable[[str], None]) -> int:
    """Publish the generation that a build held back. Returns its number.

    Raises:
        BuildError: none is held, or readers hold their locks for too long.
    """
    with open_database(target) as database:
        held = ledger.held_up_to(database)
        if held is None:
            raise BuildError(
                "no generation is held back: `make build HOLD=1` builds and tests one, `make diff` shows what it "
                "changes"
            )
        number = stamp(database, schemas, held)
    exchange(target, number, schemas, declared, say)
    return number


def roll_back(target: Target) -> tuple[int, int]:
    """Give readers the generation before. Returns the numbers of the one that goes and the one that comes.

    Raises:
        BuildError: there is none, a later build has begun to change it, or somebody is in it who has withdrawn since.
    """
    if target.in_files and not target.next_file.exists():
        raise BuildError("there is no generation before the published one")
    if target.lake:
        with open_database(target) as database:
            with lake.generation_before(database) as (gone, come):
                refuse_withdrawn(database)
            lake.take_back(database)
        return gone, come
    with open_database(target) as database:
        present, there = published_number(database), database.next("ops", "generation")
        if present is None:
            raise BuildError("nothing is published yet: run `make build` first")
        if not database.exists(there):
            raise BuildError("there is no generation before the published one")
        before = _number(database, there)
        if before is None:
            raise BuildError(
                f"generation {present} can't be rolled back: a later build has begun in the generation before it, or a "
                "domain was retired, and it is whole no more. Mend what is wrong and `make build`; readers keep what "
                "they have until then"
            )
        if before > present:
            raise BuildError(
                f"generation {present} was rolled back to already, from {before}; there is only one before each. "
                "`make build` builds and publishes anew"
            )
        refuse_withdrawn(database)
        schemas = next_schemas(database)
    if target.in_files:
        exchange_files(target)
    else:
        exchange_schemas(target, schemas)
        with open_database(target) as database:
            audited(database, "rollback", json.dumps({"from": present, "to": before}))
    return present, before


def exchange_files(target: Target) -> None:
    """DuckDB: exchange the published file with the next one. Whoever has the one that goes open keeps it.

    Raises:
        BuildError: somebody writes to the next file; nothing was exchanged.
    """
    wal = target.next_file.with_name(target.next_file.name + ".wal")
    if wal.exists():
        raise BuildError(f"{wal} is left over: something else writes to {target.next_file}; close it and build again")
    if not target.published_file.exists():
        target.next_file.replace(target.published_file)
        return
    # The old file keeps a second name while the new one takes its place, so that at every moment
    # `warehouse.duckdb` is a whole generation.
    aside = target.published_file.with_suffix(".previous")
    aside.unlink(missing_ok=True)
    aside.hardlink_to(target.published_file)
    target.next_file.replace(target.published_file)
    aside.replace(target.next_file)
    _leave_to_readers(target)


def exchange_schemas(target: Target, schemas: list[str], declared: Sequence[Declared] = ()) -> None:
    """Postgres: exchange the names of these schemas, given without a sandbox's prefix, with those of their `__next`.

    All that is published goes in the one exchange: a schema that only one of the two generations has changes its name
    alone, so that none comes from another generation than the rest. Before, the tables get the rights that the
    published ones have, and those that are declared.

    Raises:
        BuildError: a schema is missing or in the way, or a lock is not to be had; nothing was exchanged.
    """
    with open_database(target) as database:
        names = [target.schema(name) for name in schemas]
        before = [target.schema(name) for name in published_schemas(database)]
        there = {str(row[0]) for row in database.run("select nspname from pg_namespace")}
        renames: list[str] = []
        for name in sorted(set(before) - set(names)):
            renames += [f"alter schema {name} rename to {name}{NEXT}", *readers_kept_out(database, name)]
        for name in names:
            if f"{name}{NEXT}" not in there:
                raise BuildError(f"schema {name}{NEXT} is missing: run `make build FULL=1`")
            if name in before:
                align_rights(database, name)
                renames += [
                    f"alter schema {name} rename to {name}__previous",
                    f"alter schema {name}{NEXT} rename to {name}",
                    f"alter schema {name}__previous rename to {name}{NEXT}",
                    *schema_rights_moved(database, name),
                ]
            elif name in there:
                raise BuildError(
                    f"there is a schema {name} that this warehouse didn't publish: rename it, then build again"
                )
            else:
                renames.append(f"alter schema {name}{NEXT} rename to {name}")
        grant_access(database, declared)
        renames += schema_access(database, names)
        renames += views_made_anew(database, [name for name in names if name in before])
        tables = tables_of(database, before)
        if not Exchange(database, tables, renames).done():
            raise BuildError(
                f"publishing tried for {ALL_SECONDS} seconds to keep readers out for a moment; the last generation "
                "stays. See who reads in pg_stat_activity, then build again"
            )


def tables_of(database: Database, schemas: list[str]) -> dict[int, str]:
    """Postgres: the tables of these schemas, by their oid."""
    rows = database.run(
        "select oid, oid::regclass::text from pg_class "
        "where relkind in ('r', 'p') and relnamespace::regnamespace::text = any(%s)",
        [schemas],
    )
    return {int(oid): str(name) for oid, name in rows}
