"""Somebody's part of the published marts, as a DuckDB file: what their login would see on Postgres."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import duckdb

from ingestion.destination.target import Target
from ingestion.encryption import attach
from ingestion.keys import EXTRACT, files_key
from ingestion.sql import literal, quoted
from warehouse import dbt
from warehouse.errors import BuildError
from warehouse.publish.access import (
    CLINICIAN,
    READERS,
    REPORTER,
    RESEARCHER,
    TENANT,
    Declared,
    declared_access,
    tenant_named,
)
from warehouse.reading.export import open_for_export

# What is nobody's: members of dimensions for what is not known and what does not apply; their source is Granary itself.
NOBODY = ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001")
GRANARY = "source|granary"

_TABLES = "select schema_name, table_name from duckdb_tables() where database_name = 'marts'"


# Whose part may be extracted without naming a tenant.
WHOLE = {"reporter": REPORTER, "clinician": CLINICIAN, "researcher": RESEARCHER}


def extract_tenant(target: Target, tenants: list[str], folder: Path, say: Callable[[str], None]) -> Path:
    """Write a file with the rows of these tenants, and with what everybody reads.

    Args:
        target: the warehouse.
        tenants: sources, or `kind:id` for another kind of tenant.
        folder: where the file goes, under the tenants' names; one that is there is replaced.
        say: takes a line for each table.

    Raises:
        BuildError: nothing is published, no tenant is named, or one has no rows at all.
    """
    if not tenants or not all(re.fullmatch(r"[\w:.-]+", each) for each in tenants):
        raise BuildError("whose rows? make extract TENANT=<source>, with commas between several, or ROLE=researcher")
    path = folder.resolve() / f"{'_'.join(tenants).replace(':', '-')}.duckdb"
    _write(target, TENANT, tenants, path, say)
    say(f"{path} has what {', '.join(tenants)} may see ({path.stat().st_size:,} bytes)")
    return path


def extract_role(target: Target, role: str, folder: Path, say: Callable[[str], None]) -> Path:
    """Write a file with what a role reads, one of `WHOLE`.

    Raises:
        BuildError: nothing is published, or there is no such role.
    """
    if role not in WHOLE:
        raise BuildError(f"there is no role {role} that reads whole tables: say ROLE={', '.join(sorted(WHOLE))}")
    path = folder.resolve() / f"{role}.duckdb"
    _write(target, WHOLE[role], [], path, say)
    say(f"{path} has what a {role} may see ({path.stat().st_size:,} bytes)")
    return path


def _write(target: Target, role: str, tenants: list[str], path: Path, say: Callable[[str], None]) -> None:
    partial = path.with_name(path.name + ".writing")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        with open_for_export(target) as connection:
            declared = declared_access(dbt.parse(target), target)
            # Who gets the file needs its key, and shall not have that of all the others.
            own = write_extract(connection, target, role, tenants, declared, partial, say, files_key(EXTRACT))
        if tenants and not own:
            raise BuildError(f"no fact has a row of {', '.join(tenants)}: is that how the source is called?")
        partial.replace(path)
    except duckdb.Error as error:
        raise BuildError(f"the extract failed: {str(error).strip().splitlines()[0]}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_extract(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    role: str,
    tenants: list[str],
    declared: list[Declared],
    path: Path,
    say: Callable[[str], None],
    key: str = "",
) -> int:
    """Write a file that isn't there yet. Returns how many rows of facts are the tenants' own.

    Args:
        connection: DuckDB with the published marts as `marts`.
        target: the warehouse.
        role: who reads; `TENANT` reads the tenants' rows alone.
        tenants: as above.
        declared: who reads what.
        path: the file.
        say: takes a line for each table.
        key: what the file is encrypted with; that of the warehouse's files unless given.

    Raises:
        BuildError: something that is declared isn't published.
        duckdb.Error: the file can't be written.
    """
    named = [GRANARY, *("|".join(tenant_named(each)) for each in tenants)]
    keys = ", ".join([*map(literal, NOBODY), *(f"md5({literal(each)})::uuid" for each in named)])
    own = 0
    attach(connection, path, "extract", key=key or None)
    try:
        there = set(connection.execute(_TABLES).fetchall())
        for each in sorted(declared, key=lambda e: (e.schema, e.name)):
            if role not in READERS[each.access]:
                continue
            if (target.schema(each.schema), each.name) not in there:
                raise BuildError(f"{each.schema}.{each.name} is not published yet: `make build` first")
            is_mine = each.access == "tenant" and role == TENANT
            where = f" where {quoted(each.tenant_key)} in ({keys})" if is_mine else ""
            table = f"{quoted(each.schema)}.{quoted(each.name)}"
            connection.execute(f"create schema if not exists extract.{quoted(each.schema)}")
            source = f"marts.{quoted(target.schema(each.schema))}.{quoted(each.name)}"
            connection.execute(f"create table extract.{table} as from {source}{where}")
            ((rows,),) = connection.execute(f"select count(*) from extract.{table}").fetchall()
            own += rows if each.access == "tenant" and each.name.startswith("fct_") else 0
            say(f"  {each.schema}.{each.name}: {rows:,} rows")
    finally:
        connection.execute("detach extract")
    return own
