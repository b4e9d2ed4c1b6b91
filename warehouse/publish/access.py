"""Who reads which published relation, as its YAML declares, given to a Postgres whose roles are made.

`meta.access` of a model says it: `shared`, everybody who reads; `tenant`, a tenant the rows of its own, told by the
column that `meta.tenant_key` names, and reporters all; `internal`, reporters alone; `clinical`, clinicians alone, and
the server writes down each reading; `research`, researchers and clinicians. What isn't declared isn't published. The
rights of Granary's own roles follow the declaration from the next publish on; those of others are whoever's who
granted them (`warehouse/publish/rights.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ingestion.destination.roles import has_roles
from ingestion.destination.target import Target
from ingestion.sql import quoted
from warehouse.database import NEXT, Database
from warehouse.errors import BuildError

REPORTER, TENANT = "granary_reporter", "granary_tenant"
CLINICIAN, RESEARCHER = "granary_clinician", "granary_researcher"
# Nobody's: what it may read is what pgaudit writes down, whoever reads it.
AUDITED = "granary_audited"
READERS = {
    "shared": (REPORTER, TENANT, CLINICIAN, RESEARCHER),
    "tenant": (REPORTER, TENANT),
    "internal": (REPORTER,),
    "clinical": (CLINICIAN, AUDITED),
    "research": (CLINICIAN, RESEARCHER),
}
ROLES = (REPORTER, TENANT, CLINICIAN, RESEARCHER, AUDITED)

# Policies whose name begins so are the declaration's; others are somebody else's.
_PRESENT = """
    select
        n.nspname,
        c.relname,
        c.relrowsecurity,
        array(
            select r.rolname::text from pg_roles as r
            where r.rolname = any(%(roles)s) and has_table_privilege(r.oid, c.oid, 'select')
        ),
        coalesce(array_agg(p.policyname || ' ' || p.qual) filter (where p.policyname like 'granary\\_%%'), '{}'),
        coalesce(bool_or(p.policyname not like 'granary\\_%%'), false)
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    left join pg_policies as p on p.schemaname = n.nspname and p.tablename = c.relname
    where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p')
    group by n.nspname, c.relname, c.relrowsecurity, c.oid"""

_WHO_READS = """
    select distinct n.nspname, r.rolname
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    join pg_roles as r on has_table_privilege(r.oid, c.oid, 'select')
    where n.nspname = any(%(schemas)s) and r.rolname = any(%(roles)s) and c.relkind in ('r', 'p')
    order by 1, 2"""


@dataclass(frozen=True)
class Declared:
    """A published relation, and who reads it."""

    schema: str
    name: str
    access: str
    tenant_key: str = ""


# What the build itself publishes beside the models.
OWN = (Declared("ops", "generation", "shared"), Declared("ops", "generation_loads", "shared"))


def declared_access(manifest: Any, target: Target) -> list[Declared]:
    """Every published model with who reads it.

    Raises:
        BuildError: one doesn't say.
    """
    found = list(OWN)
    for node in manifest.nodes.values():
        meta = node.config.meta or {} if node.resource_type == "model" else {}
        if not meta.get("published"):
            continue
        access, key = meta.get("access"), meta.get("tenant_key", "")
        if access not in READERS:
            raise BuildError(f"{node.name} doesn't say who reads it: config.meta.access is one of {', '.join(READERS)}")
        if access == "tenant" and key not in node.columns:
            raise BuildError(
                f"{node.name} is a tenant's by '{key}', which it has no column of: see config.meta.tenant_key"
            )
        schema = str(node.schema).removeprefix(target.prefix).removesuffix(NEXT)
        found.append(Declared(schema, node.name, access, key if access == "tenant" else ""))
    return found


def grant_access(database: Database, declared: Iterable[Declared]) -> None:
    """Give Granary's roles what is declared on the generation that is about to be published, in one go."""
    if not _has_readers(database):
        return
    listed = list(declared)
    roles = [str(row[0]) for row in database.run("select rolname from pg_roles where rolname = any(%s)", [list(ROLES)])]
    for each in listed:
        lacking = sorted(set(READERS[each.access]) - set(roles))
        # A database of an older migration has no clinicians, who read what is shared as well.
        if lacking and each.access in ("clinical", "research"):
            raise BuildError(f"{each.name} is read by {lacking[0]}, which isn't there: `make migrate TARGET=prod`")
    rows = database.run(_PRESENT, {"roles": roles, "schemas": sorted({f"{each.schema}{NEXT}" for each in listed})})
    present = {(row[0], row[1]): _Present(*row[2:]) for row in rows}
    statements = [
        statement
        for each in listed
        for statement in _differences(each, present[(f"{each.schema}{NEXT}", each.name)], roles)
    ]
    # Runs are no part of a generation; their views are made anew by every build.
    statements += [
        f"grant usage on schema runs to {REPORTER}",
        f"grant select on all tables in schema runs to {REPORTER}",
        f"alter default privileges in schema runs grant select on tables to {REPORTER}",
    ]
    database.run("; ".join(["begin", *statements, "commit"]))


def schema_access(database: Database, schemas: Iterable[str]) -> list[str]:
    """Statements that let Granary's readers into the schemas, once published, in which they may read something."""
    if not _has_readers(database):
        return []
    present = {f"{schema}{NEXT}": schema for schema in schemas}
    rows = database.run(_WHO_READS, {"roles": [each for each in ROLES if each != AUDITED], "schemas": sorted(present)})
    return [f"grant usage on schema {present[str(schema)]} to {role}" for schema, role in rows]


def tenant_named(tenant: str) -> tuple[str, str]:
    """A tenant's kind and id: a source, unless `kind:id` says otherwise. Its key is the md5 of both, `|` between."""
    kind, _, tenant_id = tenant.rpartition(":")
    return kind or "source", tenant_id


class _Present(NamedTuple):
    """What a table has now."""

    has_security: bool
    readers: list[str]
    policies: list[str]
    has_other_policies: bool


def _differences(declared: Declared, present: _Present, roles: Iterable[str]) -> list[str]:
    table = f"{declared.schema}{NEXT}.{quoted(declared.name)}"
    statements = []
    for role in sorted(roles):
        may = role in READERS[declared.access]
        if may != (role in present.readers):
            statements.append(f"{'grant' if may else 'revoke'} select on {table} {'to' if may else 'from'} {role}")
    mine = f"({declared.tenant_key} = ANY (( SELECT access.my_tenants() AS my_tenants)::uuid[]))"
    wanted = {"granary_all true", f"granary_mine {mine}"} if declared.access == "tenant" else set()
    if set(present.policies) != wanted:
        statements += [f"drop policy {quoted(each.split()[0])} on {table}" for each in present.policies]
        if wanted:
            statements += [
                f"create policy granary_all on {table} for select to {REPORTER} using (true)",
                f"create policy granary_mine on {table} for select to {TENANT} using {mine}",
            ]
    if present.has_security != bool(wanted) and (wanted or not present.has_other_policies):
        statements.append(f"alter table {table} {'enable' if wanted else 'disable'} row level security")
    return statements


def _has_readers(database: Database) -> bool:
    """Whether this is a warehouse with Granary's roles; a sandbox is its owner's alone."""
    return database.target.name == "prod" and has_roles(database.connection)


def audited(database: Database, event: str, details: str) -> None:
    """Write an event down, where the roles are made; `details` is JSON, and holds nothing of a person."""
    if _has_readers(database):
        database.run("insert into audit.events (event_name, details) values (%s, %s)", [event, details])
