"""Publish on a lake: have the readers' catalog name the files of another snapshot, in one transaction.

A build works in the marts' catalog, whose every commit is a snapshot. What is published is written into a catalog of
the readers' own: the rows of DuckLake's own tables (https://ducklake.select/docs/stable/specification) that are about
published snapshots, and of these about the marts that readers may have. No file is copied. Since DuckLake takes the
highest snapshot of a catalog for the present one, readers see a generation from the moment its row is there; to roll
back is to take that row out again.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from ingestion.destination.lake import BUILD, MARTS, PUBLISHED, Lake
from ingestion.destination.target import Target
from ingestion.encryption import attach, open_file
from warehouse.database import Database
from warehouse.errors import BuildError
from warehouse.publish.access import Declared
from warehouse.publish.lake_tables import DATED, SNAPSHOTS, columns_of, noted, selects

# What the declaration gives to some persons alone, or has written down who reads it, is read elsewhere: nothing in a
# lake enforces either. Reporters may read every row of what is a tenant's.
READ_ON_A_LAKE = ("shared", "internal", "tenant")
# So many published snapshots stay readable: the present one and those that can be rolled back to.
KEPT = 3
# The role that may read the readers' catalog.
READER = "lake_reader"


def publish(database: Database, number: int, declared: Sequence[Declared]) -> None:
    """Let readers see the marts as they are now, which are the generation of this number.

    Raises:
        BuildError: the catalog is of another format, or a table has a type that a lake rounds.
        duckdb.Error, psycopg2.Error: the catalogs can't be written; readers see what they saw.
    """
    lake = _lake(database.target)
    _refuse_rounded(database, lake)
    [(snapshot,)] = database.run("select id from ducklake_current_snapshot('marts')")
    before = snapshots(lake) if lake.has(PUBLISHED) else {}
    kept = dict(sorted({**before, int(snapshot): number}.items())[-KEPT:])
    if lake.folder is None:
        named = {(each.schema, each.name) for each in declared if each.access in READ_ON_A_LAKE}
    else:
        # One user has the files, and there is nobody to keep anything from.
        rows = database.run("select schema_name, table_name from duckdb_tables() where database_name = 'marts'")
        named = {(str(schema), str(name)) for schema, name in rows}
    _write(database, kept, named)


def _refuse_rounded(database: Database, lake: Lake) -> None:
    """See that no table has integers of 128 bits, which DuckLake's files hold as doubles: others come back."""
    for catalog in (BUILD, MARTS):
        own = lake.own_tables(catalog)
        rounded = database.run(f"""
            select t.table_name, c.column_name
            from {own}.ducklake_column as c
            inner join {own}.ducklake_table as t on c.table_id = t.table_id
            where c.end_snapshot is null and t.end_snapshot is null and c.column_type in ('int128', 'uint128')
            order by 1, 2""")
        if rounded:
            listed = ", ".join(f"{table}.{column}" for table, column in rounded)
            raise BuildError(
                f"a lake keeps integers of 128 bits as doubles, and gives others back: cast {listed} to bigint or "
                "numeric, which a sum of integers is not by itself; nothing was published"
            )


@contextmanager
def generation_before(database: Database) -> Iterator[tuple[int, int]]:
    """Have `marts` be the generation before the published one, to be looked at. Yields the numbers of both.

    Raises:
        BuildError: there is none that is kept.
    """
    lake = _lake(database.target)
    kept = sorted(snapshots(lake).items()) if lake.has(PUBLISHED) else []
    if not kept:
        raise BuildError("nothing is published yet: run `make build` first")
    if len(kept) < 2:
        raise BuildError("there is no generation before the published one that is kept")
    (snapshot, before), (_, present) = kept[-2:]
    database.run("detach marts")
    try:
        database.run(lake.attaching(MARTS, "marts", read_only=True, snapshot=snapshot))
        yield present, before
    finally:
        database.run("detach database if exists marts")
        database.run(lake.attaching(MARTS, "marts"))


def take_back(database: Database) -> None:
    """Take the present generation from the readers: what they see is the one before."""
    lake = _lake(database.target)
    snapshot = sorted(snapshots(lake))[-2]
    _change(
        database,
        *(f"delete from {{}}{name} where begin_snapshot > {snapshot}" for name in DATED),
        *(f"update {{}}{name} set end_snapshot = null where end_snapshot > {snapshot}" for name in DATED),
        *(f"delete from {{}}{name} where snapshot_id > {snapshot}" for name in SNAPSHOTS),
    )


def forget_before(database: Database) -> None:
    """Take from the readers all generations before the present one: nothing goes back to them."""
    newest = max(snapshots(_lake(database.target)))
    _change(
        database,
        *(f"delete from {{}}{name} where end_snapshot <= {newest}" for name in DATED),
        *(f"delete from {{}}{name} where snapshot_id < {newest}" for name in SNAPSHOTS),
    )


def follow_compaction(database: Database) -> None:
    """Have readers see the newest snapshot of the marts in the place of the one of the same generation."""
    lake = _lake(database.target)
    kept = snapshots(lake)
    number = kept.pop(max(kept))
    [(snapshot,)] = database.run("select id from ducklake_current_snapshot('marts')")
    _write(database, {**kept, int(snapshot): number}, _named(lake))


def _named(lake: Lake) -> set[tuple[str, str]]:
    """The relations that readers have, by schema and name."""
    rows = _asked(
        lake,
        "select s.schema_name, t.table_name from {}ducklake_table as t "
        "inner join {}ducklake_schema as s on t.schema_id = s.schema_id "
        "where t.end_snapshot is null and s.end_snapshot is null",
    )
    return {(str(schema), str(name)) for schema, name in rows}


def snapshots(lake: Lake) -> dict[int, int]:
    """The published snapshots that are kept, and the numbers of their generations."""
    rows = _asked(lake, "select snapshot_id, commit_extra_info from {}ducklake_snapshot_changes")
    return {int(snapshot): int(number) for snapshot, number in rows}


def _asked(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    """What the readers' catalog says; `{}` stands before its tables' names."""
    if lake.folder is None:
        with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
            cursor.execute(query.replace("{}", f"{lake.schema(PUBLISHED)}."))
            return cursor.fetchall()
    with closing(open_file(lake.file(PUBLISHED), read_only=True)) as file:
        return file.execute(query.replace("{}", "")).fetchall()


def _change(database: Database, *statements: str) -> None:
    """Run statements in the readers' catalog, all or none; `{}` stands before its tables' names."""
    lake, together = _lake(database.target), "; ".join(statements)
    if lake.folder is None:
        with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(together.replace("{}", f"{lake.schema(PUBLISHED)}."))
        return
    file = lake.file(PUBLISHED)
    partial = file.with_suffix(".writing")
    database.run("detach database if exists published")
    shutil.copyfile(file, partial)
    with closing(open_file(partial)) as readers:
        readers.execute(together.replace("{}", ""))
    partial.replace(file)


def _lake(target: Target) -> Lake:
    assert target.lake is not None
    return target.lake


def _write(database: Database, kept: Mapping[int, int], named: Collection[tuple[str, str]]) -> None:
    """Have the readers' catalog be about these snapshots, by the numbers of their generations, and these relations."""
    lake = _lake(database.target)
    if lake.folder is None:
        _write_schema(lake, kept, named)
    else:
        database.run("detach database if exists published")
        _write_file(database, lake.file(PUBLISHED), kept, named)


def _write_schema(lake: Lake, kept: Mapping[int, int], named: Collection[tuple[str, str]]) -> None:
    source, readers = lake.schema(MARTS), lake.schema(PUBLISHED)
    with closing(psycopg2.connect("")) as connection:
        # All of it or nothing, and what is read of the marts' catalog is of one moment.
        connection.set_session(isolation_level="REPEATABLE READ")
        with connection, connection.cursor() as cursor:
            columns = columns_of(cursor, source)
            cursor.execute(f"create schema if not exists {readers}")
            cursor.execute(_ROLE)
            for name, select in selects(columns, source, kept, named).items():
                cursor.execute(
                    f"create table if not exists {readers}.{name} (like {source}.{name} including all);"
                    f"delete from {readers}.{name}; insert into {readers}.{name} {select}"
                )
            cursor.execute(noted(readers, kept))
            cursor.execute(f"grant usage on schema {readers} to {READER}")
            cursor.execute(f"grant select on all tables in schema {readers} to {READER}")


# Where the login may make no roles, an administrator makes this one before (docs/lake.md).
_ROLE = f"""
    do $$ begin
        if not exists (select from pg_roles where rolname = '{READER}') then create role {READER} nologin; end if;
    end $$"""


def _write_file(database: Database, file: Path, kept: Mapping[int, int], named: Collection[tuple[str, str]]) -> None:
    partial = file.with_suffix(".writing")
    partial.unlink(missing_ok=True)
    source = "__ducklake_metadata_marts.main"
    columns = columns_of(database.connection.cursor(), source)
    attach(database.connection, partial, "readers")
    try:
        for name, select in selects(columns, source, kept, named).items():
            database.run(f"create table readers.{name} as {select}")
        database.run(noted("readers", kept))
    finally:
        database.run("detach readers")
    partial.replace(file)
