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
from ingestion.sql import literal, quoted
from warehouse.database import Database
from warehouse.errors import BuildError
from warehouse.publish.access import Declared

# What the declaration gives to some persons alone, or has written down who reads it, is read elsewhere: nothing in a
# lake enforces either. Reporters may read every row of what is a tenant's.
READ_ON_A_LAKE = ("shared", "internal", "tenant")
# So many published snapshots stay readable: the present one and those that can be rolled back to.
KEPT = 3
# The role that may read the readers' catalog.
READER = "lake_reader"

FORMAT = "1.0"
# What each table of a catalog is about.
_OF_TABLES = "table_id in (select table_id from {tables})"
_OF_FILES = "data_file_id in (select data_file_id from {files})"
_TABLES = {
    "ducklake_metadata": "true",
    "ducklake_snapshot": "snapshot_id in ({kept})",
    "ducklake_snapshot_changes": "snapshot_id in ({kept})",
    "ducklake_schema": "{visible} and schema_name in ('main', {schemas})",
    "ducklake_table": _OF_TABLES,
    "ducklake_tag": "{visible} and object_id in (select table_id from {tables})",
    "ducklake_column": "{visible} and " + _OF_TABLES,
    "ducklake_column_tag": "{visible} and " + _OF_TABLES,
    "ducklake_data_file": "{visible} and " + _OF_TABLES,
    "ducklake_delete_file": "{visible} and " + _OF_TABLES,
    "ducklake_file_column_stats": _OF_FILES,
    "ducklake_file_partition_value": _OF_FILES,
    "ducklake_file_variant_stats": _OF_FILES,
    "ducklake_partition_info": "{visible} and " + _OF_TABLES,
    "ducklake_partition_column": _OF_TABLES,
    "ducklake_sort_info": "{visible} and " + _OF_TABLES,
    "ducklake_sort_expression": _OF_TABLES,
    "ducklake_table_stats": _OF_TABLES,
    "ducklake_table_column_stats": _OF_TABLES,
    "ducklake_schema_versions": _OF_TABLES,
    "ducklake_column_mapping": _OF_TABLES,
    "ducklake_name_mapping": "mapping_id in (select mapping_id from {source}.ducklake_column_mapping where "
    + _OF_TABLES + ")",
    # The build's own, and what Granary makes none of.
    "ducklake_files_scheduled_for_deletion": "false",
    "ducklake_inlined_data_tables": "false",
    "ducklake_view": "false",
    "ducklake_macro": "false",
    "ducklake_macro_impl": "false",
    "ducklake_macro_parameters": "false",
}  # fmt: skip
_SNAPSHOTS = ("ducklake_snapshot", "ducklake_snapshot_changes")
_DATED = [name for name, about in _TABLES.items() if "{visible}" in about or name == "ducklake_table"]


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
        *(f"delete from {{}}{name} where begin_snapshot > {snapshot}" for name in _DATED),
        *(f"update {{}}{name} set end_snapshot = null where end_snapshot > {snapshot}" for name in _DATED),
        *(f"delete from {{}}{name} where snapshot_id > {snapshot}" for name in _SNAPSHOTS),
    )


def forget_before(database: Database) -> None:
    """Take from the readers all generations before the present one: nothing goes back to them."""
    newest = max(snapshots(_lake(database.target)))
    _change(
        database,
        *(f"delete from {{}}{name} where end_snapshot <= {newest}" for name in _DATED),
        *(f"delete from {{}}{name} where snapshot_id < {newest}" for name in _SNAPSHOTS),
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
            columns = _columns(cursor, source)
            cursor.execute(f"create schema if not exists {readers}")
            cursor.execute(_ROLE)
            for name, select in _selects(columns, source, kept, named).items():
                cursor.execute(
                    f"create table if not exists {readers}.{name} (like {source}.{name} including all);"
                    f"delete from {readers}.{name}; insert into {readers}.{name} {select}"
                )
            cursor.execute(_noted(readers, kept))
            cursor.execute(f"grant usage on schema {readers} to {READER}")
            cursor.execute(f"grant select on all tables in schema {readers} to {READER}")


# A login that makes no roles is told by the grant that the role is missing.
_ROLE = f"""
    do $$ begin
        if not exists (select from pg_roles where rolname = '{READER}') then create role {READER} nologin; end if;
    end $$"""


def _write_file(database: Database, file: Path, kept: Mapping[int, int], named: Collection[tuple[str, str]]) -> None:
    partial = file.with_suffix(".writing")
    partial.unlink(missing_ok=True)
    source = "__ducklake_metadata_marts.main"
    columns = _columns(database.connection.cursor(), source)
    attach(database.connection, partial, "readers")
    try:
        for name, select in _selects(columns, source, kept, named).items():
            database.run(f"create table readers.{name} as {select}")
        database.run(_noted("readers", kept))
    finally:
        database.run("detach readers")
    partial.replace(file)


def _columns(cursor: Any, source: str) -> dict[str, list[str]]:
    """A catalog's tables with their columns. Raises BuildError where it is of a format that is not known."""
    cursor.execute(f"select value from {source}.ducklake_metadata where key = 'version'")
    [(version,)] = cursor.fetchall()
    if version != FORMAT:
        raise BuildError(
            f"the lake's catalog has DuckLake's format {version}, and what readers see is told in {FORMAT}: build with "
            "the DuckDB that Granary's requirements name"
        )
    found = {}
    for name in _TABLES:
        cursor.execute(f"select * from {source}.{name} limit 0")
        found[name] = [str(column[0]) for column in cursor.description]
    return found


def _selects(
    columns: Mapping[str, Sequence[str]], source: str, kept: Mapping[int, int], named: Collection[tuple[str, str]]
) -> dict[str, str]:
    """By each table of a catalog, the select of the marts' rows that readers get."""
    newest = max(kept)
    visible = " or ".join(
        f"(begin_snapshot <= {each} and (end_snapshot is null or end_snapshot > {each}))" for each in kept
    )
    listed = ", ".join(f"({literal(schema)}, {literal(name)})" for schema, name in sorted(named))
    words = {
        "source": source,
        "kept": ", ".join(map(str, kept)),
        "visible": f"({visible})",
        "schemas": ", ".join(sorted({literal(schema) for schema, _ in named})),
        "tables": f"""(
            select t.table_id from {source}.ducklake_table as t
            inner join {source}.ducklake_schema as s on t.schema_id = s.schema_id
            where (s.schema_name, t.table_name) in ({listed})
                and ({visible.replace("begin_", "t.begin_").replace("end_", "t.end_")})
        ) as tables""",
    }
    words["files"] = (
        f"(select data_file_id from {source}.ducklake_data_file where {_TABLES['ducklake_data_file'].format(**words)}) "
        "as files"
    )
    # What ended after the newest of them goes on, as far as readers know.
    ended = f"case when end_snapshot <= {newest} then end_snapshot end as end_snapshot"
    return {
        name: f"select {', '.join(ended if each == 'end_snapshot' else quoted(each) for each in columns[name])} "
        f"from {source}.{name} where {condition.format(**words)}"
        for name, condition in _TABLES.items()
    }


def _noted(readers: str, kept: Mapping[int, int]) -> str:
    """The statements that say which generation a snapshot is, and nothing of what the build did in it."""
    return "; ".join(
        f"update {readers}.ducklake_snapshot_changes set changes_made = '', author = 'granary', "
        f"commit_message = 'generation {number}', commit_extra_info = '{number}' where snapshot_id = {snapshot}"
        for snapshot, number in kept.items()
    )
