"""Postgres: what hangs on a published table, given to the table that takes its place: rights, row policies, views.

dbt makes tables anew and knows nothing of the rights and row policies that others gave them. Before a generation is
published, each of its tables gets those that the published table of its name has, and loses those that it hasn't: what
an administrator granted or took away on what readers see holds from then on. A table that is new has only what
default privileges give it.

A view holds on to its tables, not to their names. Views that people made over published tables are therefore made
anew in the transaction that exchanges the names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingestion.sql import literal, quoted
from warehouse.database import NEXT, Database

# Rights on tables and on columns, by name, of everybody but the owner.
_RIGHTS = """
    select c.relname, null as column_name, coalesce(r.rolname, 'public') as role_name, a.privilege_type, a.is_grantable
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    cross join aclexplode(c.relacl) as a
    left join pg_roles as r on r.oid = a.grantee
    where n.nspname = %s and c.relkind in ('r', 'p', 'v') and a.grantee <> c.relowner
    union all
    select c.relname, t.attname, coalesce(r.rolname, 'public'), a.privilege_type, a.is_grantable
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    join pg_attribute as t on t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped
    cross join aclexplode(t.attacl) as a
    left join pg_roles as r on r.oid = a.grantee
    where n.nspname = %s and c.relkind in ('r', 'p', 'v') and a.grantee <> c.relowner"""

_POLICIES = """
    select tablename, policyname, permissive, roles::text[], cmd, qual, with_check
    from pg_policies where schemaname = %s"""

_ROW_SECURITY = """
    select c.relname, c.relrowsecurity, c.relforcerowsecurity
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = %s and c.relkind in ('r', 'p')"""

_VIEWS = """
    select distinct v.oid::regclass::text, v.reloptions, pg_get_viewdef(v.oid)
    from pg_depend as d
    join pg_rewrite as w on w.oid = d.objid
    join pg_class as v on v.oid = w.ev_class and v.relkind = 'v'
    join pg_namespace as own on own.oid = v.relnamespace
    join pg_class as t on t.oid = d.refobjid
    join pg_namespace as n on n.oid = t.relnamespace
    where
        d.classid = 'pg_rewrite'::regclass
        and d.refclassid = 'pg_class'::regclass
        and n.nspname = any(%s)
        and not own.nspname = any(%s)
    order by 1"""


def align_rights(database: Database, schema: str) -> None:
    """Give the tables of `<schema>__next` the rights, policies and row security of the published ones, in one go.

    Args:
        database: an open Postgres warehouse.
        schema: the published schema, with a sandbox's prefix.
    """
    statements = list(_differences(database, schema))
    if statements:
        database.run("; ".join(["begin", *statements, "commit"]))


def schema_rights_moved(database: Database, schema: str) -> list[str]:
    """Statements that give the readers of a schema the right to use its successor, and take the old one's away."""
    rows = database.run(
        "select distinct coalesce(r.rolname, 'public') from pg_namespace as n "
        "cross join aclexplode(n.nspacl) as a left join pg_roles as r on r.oid = a.grantee "
        "where n.nspname = %s and a.privilege_type = 'USAGE' and a.grantee <> n.nspowner",
        [schema],
    )
    return [
        statement
        for (role,) in rows
        for statement in (
            f"grant usage on schema {schema} to {_role(role)}",
            f"revoke usage on schema {schema}{NEXT} from {_role(role)}",
        )
    ]


def views_made_anew(database: Database, schemas: list[str]) -> list[str]:
    """Statements that make each view over these published schemas anew, as its definition reads now.

    They are to run after the exchange, in its transaction. A view that can't be made any more, because a column is
    gone, stays as it is and holds up nothing; `views_left_behind` tells of it.
    """
    own = [*schemas, *(f"{name}{NEXT}" for name in schemas)]
    rows = database.run(_VIEWS, [schemas, own])
    statements = []
    for name, options, definition in rows:
        with_options = f" with ({', '.join(options)})" if options else ""
        create = f"create or replace view {name}{with_options} as {str(definition).rstrip().rstrip(';')}"
        statements.append(
            f"do $granary$ begin execute {literal(create)}; exception when others then null; end $granary$"
        )
    return statements


def views_over(database: Database, schemas: list[str]) -> list[str]:
    """Views that people made over these schemas."""
    return [str(row[0]) for row in database.run(_VIEWS, [schemas, schemas])]


def views_left_behind(database: Database, schemas: list[str]) -> list[str]:
    """Views that still read the generation before, because they can't be made over the published one."""
    successors = [f"{name}{NEXT}" for name in schemas]
    return [str(row[0]) for row in database.run(_VIEWS, [successors, [*schemas, *successors]])]


def _differences(database: Database, schema: str) -> Iterator[str]:
    successor = f"{schema}{NEXT}"
    columns = {
        (str(table), str(column))
        for table, column in database.run(
            "select table_name, column_name from information_schema.columns where table_schema = %s", [successor]
        )
    }
    tables = {table for table, _ in columns}
    both = {str(row[0]) for row in database.run(_ROW_SECURITY, [schema])} & tables

    wanted, present = (set(database.run(_RIGHTS, [name, name])) for name in (schema, successor))
    for table, column, role, privilege, _ in sorted(present - wanted, key=str):
        if table in both:
            on = f"({quoted(column)}) " if column else ""
            yield f"revoke {privilege} {on}on {successor}.{quoted(table)} from {_role(role)} cascade"
    for table, column, role, privilege, grantable in sorted(wanted - present, key=str):
        if table in both and (not column or (table, column) in columns):
            on = f"({quoted(column)}) " if column else ""
            option = " with grant option" if grantable else ""
            yield f"grant {privilege} {on}on {successor}.{quoted(table)} to {_role(role)}{option}"

    wanted_policies, present_policies = (
        {(row[0], row[1]): _policy(row) for row in database.run(_POLICIES, [name])} for name in (schema, successor)
    )
    for (table, name), policy in sorted(present_policies.items()):
        if table in both and wanted_policies.get((table, name)) != policy:
            yield f"drop policy {quoted(name)} on {successor}.{quoted(table)}"
    for (table, name), policy in sorted(wanted_policies.items()):
        if table in both and present_policies.get((table, name)) != policy:
            yield f"create policy {quoted(name)} on {successor}.{quoted(table)} {policy}"

    wanted_security, present_security = (
        {row[0]: (row[1], row[2]) for row in database.run(_ROW_SECURITY, [name])} for name in (schema, successor)
    )
    for table in sorted(both):
        if wanted_security[table] != present_security.get(table):
            enabled, forced = wanted_security[table]
            yield f"alter table {successor}.{quoted(table)} {'enable' if enabled else 'disable'} row level security"
            yield f"alter table {successor}.{quoted(table)} {'force' if forced else 'no force'} row level security"


def _role(name: str) -> str:
    return name if name == "public" else quoted(name)


def _policy(row: tuple[Any, ...]) -> str:
    """What follows a policy's name and table in `create policy`."""
    _, _, permissive, roles, command, using, check = row
    parts = [f"as {str(permissive).lower()}", f"for {str(command).lower()}", f"to {', '.join(_role(r) for r in roles)}"]
    if using:
        parts.append(f"using ({using})")
    if check:
        parts.append(f"with check ({check})")
    return " ".join(parts)
