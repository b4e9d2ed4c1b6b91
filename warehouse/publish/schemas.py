"""Which schemas each generation has: written down in it, as `ops.generation_schemas`, when a build begins in it.

Domains are switched on and off, so the two generations need not have the same ones. What readers see is never asked of
the names that happen to be there: in a shared database these may be anybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ingestion import domains
from ingestion.destination.target import Target
from warehouse.database import NEXT, Database, open_database
from warehouse.errors import BuildError
from warehouse.parts import CORE

OPS = "ops"
TABLE, COLUMNS = "generation_schemas", "schema_name varchar not null"
# What a relation of a generation has seen, by its name.
SEEN = ("seen", "pending")


def published_schemas(database: Database) -> list[str]:
    """The schemas that readers see; none where nothing is published yet."""
    return _written(database, database.published)


def next_schemas(database: Database) -> list[str]:
    """The schemas of the generation that isn't published."""
    return _written(database, database.next)


def _written(database: Database, of_generation: Callable[[str, str], str]) -> list[str]:
    table = of_generation(OPS, TABLE)
    if database.exists(table):
        return sorted(str(name) for (name,) in database.run(f"select schema_name from {table}"))
    if not database.exists(of_generation(OPS, "generation")):
        return []
    # A generation from before this was written down had all domains that there were.
    known = [CORE, OPS, *_of_domains(database.target, domains.listed(database.target.project))]
    return sorted(name for name in known if _has_tables(database, of_generation(name, "")))


def _has_tables(database: Database, schema: str) -> bool:
    *catalog, name = schema.rstrip(".").split(".")
    condition = "table_schema = %s" + (" and table_catalog = %s" if catalog else "")
    return bool(database.run(f"select 1 from information_schema.tables where {condition}", [name, *catalog]))


def begin_schemas(database: Database, schemas: Iterable[str], relations: Iterable[str]) -> None:
    """Have the next generation hold these schemas, and its ledger know of these relations, and of no others.

    Something may be left of a domain that is off: from the generation before last, which the build works in, or from a
    build that failed.
    """
    kept = sorted(schemas)
    for schema in sorted(_left_in_next(database) - set(kept)):
        database.run(f"drop schema if exists {database.next_schema(schema)} cascade")
    names = ", ".join(f"'{name}'" for name in sorted(relations))
    for table in SEEN:
        database.run(f"delete from {database.next(OPS, table)} where relation_name not in ({names})")
    database.run(f"create table if not exists {database.next(OPS, TABLE)} ({COLUMNS})")
    database.run(f"delete from {database.next(OPS, TABLE)}")
    rows = ", ".join(f"('{name}')" for name in kept)
    database.run(f"insert into {database.next(OPS, TABLE)} (schema_name) values {rows}")


def _left_in_next(database: Database) -> set[str]:
    """What the next generation may hold: on DuckDB all of its file, on Postgres what may have been built."""
    if database.target.engine == "duckdb":
        rows = database.run(
            "select schema_name from duckdb_schemas() "
            "where database_name = 'marts' and not internal and schema_name <> 'main'"
        )
        return {str(row[0]) for row in rows}
    return {*_of_domains(database.target, domains.listed(database.target.project)), *next_schemas(database)}


def _of_domains(target: Target, among: Iterable[domains.Domain]) -> list[str]:
    return [schema for domain in among for schema in domains.schemas_of(domain.name, target.project)]


def refuse_to_take_away(target: Target) -> None:
    """Raises BuildError where readers see a domain that is off: that it goes is for somebody to say."""
    if target.engine == "duckdb" and not target.has_published:
        return
    with open_database(target) as database:
        lost = lost_schemas(database, _of_domains(target, domains.domains(target.project)))
    if lost:
        theirs = [each.name for each in domains.listed(target.project) if lost[0] in _of_domains(target, [each])]
        raise BuildError(
            f"{', '.join(lost)}: published, but off, by DOMAINS or by the list in dbt_project.yml: readers would "
            f"lose it. Have it on, or take it from readers first: `make retire DOMAIN={(theirs or lost)[0]}`"
        )


def lost_schemas(database: Database, kept: Iterable[str]) -> list[str]:
    """The published schemas that are neither the platform's own nor among these."""
    return sorted({*published_schemas(database)} - {CORE, OPS, *kept})


def readers_kept_out(database: Database, schema: str) -> list[str]:
    """Postgres: statements that keep readers out of a schema that has become `<schema>__next`."""
    rows = database.run(
        "select distinct coalesce(quote_ident(r.rolname), 'public') from pg_namespace as n "
        "cross join aclexplode(n.nspacl) as a left join pg_roles as r on r.oid = a.grantee "
        "where n.nspname = %s and a.grantee <> n.nspowner",
        [schema],
    )
    return [f"revoke all on schema {schema}{NEXT} from {role}" for (role,) in rows]
