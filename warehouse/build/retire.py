"""Take a domain from readers: a publish of its own, of the present generation without that domain.

Its schemas of both generations go in that exchange, on DuckDB with the file of the generation before. What it was
built from stays: raw, rejects and history, so that the domain is built again in full where it is switched on again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from ingestion.destination.lock import build_lock
from ingestion.destination.target import Target
from ingestion.domains import domains, schemas_of
from warehouse.database import NEXT, Database, open_database
from warehouse.errors import BuildError
from warehouse.publish.access import audited
from warehouse.publish.exchange import ALL_SECONDS, Exchange
from warehouse.publish.publish import copy_published, exchange_files, next_number, tables_of
from warehouse.publish.rights import views_over
from warehouse.publish.schemas import OPS, SEEN, TABLE, lost_schemas
from warehouse.runs.runs import Run, recorded

Say = Callable[[str], None]


def retire(target: Target, domain: str, say: Say) -> int:
    """Publish the present generation without a domain. Returns the number that readers see then.

    Raises:
        BuildError: the domain isn't published, or readers hold their locks for too long; nothing was changed.
    """
    if target.lake:
        raise BuildError(
            "a domain isn't taken from a lake's readers: build without it under another LAKE_URL and with other "
            "catalogs"
        )
    with build_lock(target), recorded(target, Run("retire", target.name), say) as run:
        if target.engine == "duckdb" and not target.has_published:
            raise BuildError("nothing is published yet")
        with open_database(target) as database:
            schemas, lost = _lost(database, domain)
        if target.engine == "duckdb":
            copy_published(target)
        with open_database(target) as database:
            number = next_number(database)
            (_take_from_file if target.engine == "duckdb" else _take_from_schemas)(database, schemas, number)
            audited(database, "retire", json.dumps({"domain": domain, "generation": number}))
        if target.engine == "duckdb":
            exchange_files(target)
            # The generation before has the domain still; the next build begins with a copy of this one.
            target.next_file.unlink()
        run.outcome, run.generation_number = "published", number
    say(f"generation {number} is published, without {domain}: readers lose {lost}; raw and history stay")
    if domain in [each.name for each in domains(target.project)]:
        say(f"note: {domain} is on still: the next build publishes it again, unless the list or DOMAINS leaves it out")
    return number


def _lost(database: Database, domain: str) -> tuple[list[str], str]:
    """The schemas that readers lose, and what that is, in words. Raises BuildError where the domain isn't published."""
    published = lost_schemas(database, [])
    if domain not in published:
        raise BuildError(f"{domain} is no published domain: there is {', '.join(published) or 'none'}")
    schemas = [each for each in schemas_of(domain, database.target.project) if each in published]
    tables = _tables(database, schemas)
    own = [database.target.schema(each) for each in schemas]
    views = views_over(database, own) if database.target.engine == "postgres" else []
    over = f", and what others made over them: {', '.join(views)}" if views else ""
    return schemas, f"{len(tables)} tables ({', '.join(tables)}){over}"


def _tables(database: Database, schemas: list[str]) -> list[str]:
    *catalog, _, _ = database.published(schemas[0], "").split(".")
    condition = "table_schema = any(%s)" + (" and table_catalog = %s" if catalog else "")
    names = [database.target.schema(each) for each in schemas]
    rows = database.run(
        f"select table_name from information_schema.tables where {condition} order by 1", [names, *catalog]
    )
    return [str(row[0]) for row in rows]


def _take_from_file(database: Database, schemas: list[str], number: int) -> None:
    """DuckDB: the next file is a copy of the published one; take the domain out of it."""
    for statement in _forgotten(database, schemas, database.next):
        database.run(statement)
    for schema in schemas:
        database.run(f"drop schema {database.next_schema(schema)} cascade")
    database.run(_numbered(database.next(OPS, "generation"), number))
    database.run("checkpoint marts")


def _take_from_schemas(database: Database, schemas: list[str], number: int) -> None:
    """Postgres: drop the domain's schemas of both generations; the one before is whole no more."""
    names = [database.target.schema(each) for each in schemas]
    statements = [
        *_forgotten(database, schemas, database.published),
        _numbered(database.published(OPS, "generation"), number),
        *(f"drop schema {each} cascade" for each in names),
        *(f"drop schema if exists {each}{NEXT} cascade" for each in names),
        f"delete from {database.granary('held')}",
        *_forgotten(database, schemas, database.next),
    ]
    if database.exists(database.next(OPS, "generation")):
        statements.append(f"delete from {database.next(OPS, 'generation')}")
    if not Exchange(database, tables_of(database, names), statements).done():
        raise BuildError(
            f"retiring tried for {ALL_SECONDS} seconds to keep readers out for a moment; {schemas[0]} stays. See who "
            "reads in pg_stat_activity, then try again"
        )


def _forgotten(database: Database, schemas: list[str], of_generation: Callable[[str, str], str]) -> list[str]:
    """Statements after which a generation knows nothing of the domain's schemas and relations."""
    names = ", ".join(f"'{name}'" for name in _tables(database, schemas)) or "''"
    listed = ", ".join(f"'{each}'" for each in schemas)
    conditions = {TABLE: f"schema_name in ({listed})", **dict.fromkeys(SEEN, f"relation_name in ({names})")}
    tables = {of_generation(OPS, name): condition for name, condition in conditions.items()}
    return [f"delete from {table} where {condition}" for table, condition in tables.items() if database.exists(table)]


def _numbered(generation: str, number: int) -> str:
    now = datetime.now(UTC).replace(tzinfo=None)
    return f"update {generation} set generation_number = {number}, published_at = timestamp '{now}'"
