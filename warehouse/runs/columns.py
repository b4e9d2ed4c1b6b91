"""Which columns each column of a relation is made of, read from what dbt compiled, by sqlglot.

What a column's value is made of counts, through CTEs and stars; what rows are joined or filtered by doesn't.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from warehouse.database import Database

Table = tuple[str, str, str]  # database, schema, name
Columns = dict[str, list[tuple[Table, str]]]


def known_columns(database: Database) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    """The columns that there are and their types, by database, schema and table: as sqlglot wants them, for stars."""
    if database.target.engine == "duckdb":
        of = "duckdb_columns() where not internal and database_name <> 'published'"
        query = f"select database_name, schema_name, table_name, column_name, data_type from {of}"
    else:
        of = "information_schema.columns where table_schema not in ('pg_catalog', 'information_schema')"
        query = f"select table_catalog, table_schema, table_name, column_name, data_type from {of}"
    found: dict[str, dict[str, dict[str, dict[str, str]]]] = {}
    for catalog, schema, table, column, kind in database.run(query):
        found.setdefault(catalog, {}).setdefault(schema, {}).setdefault(table, {})[column] = kind
    return found


def made_of(select: str, engine: str, known: Mapping[str, Any]) -> Columns:
    """For each column of a select the tables' columns that its value is made of; nothing where it can't be told.

    Args:
        select: what dbt compiled of a model or snapshot.
        engine: `duckdb` or `postgres`, which are sqlglot's names too.
        known: what `known_columns` found.
    """
    try:
        query = qualify(
            parse_one(select, dialect=engine), schema=dict(known), dialect=engine, validate_qualify_columns=False
        )
        scope = build_scope(query)
        return {
            str(column): sorted(
                {
                    (_named(node.expression), node.name.rpartition(".")[2].strip('"'))
                    for node in lineage(column, query, scope=scope, dialect=engine, copy=False).walk()
                    if isinstance(node.expression, exp.Table)
                }
            )
            for column in (query.named_selects if isinstance(query, exp.Query) else [])
        }
    except SqlglotError:
        return {}


def _named(table: exp.Table) -> Table:
    return table.catalog, table.db, table.name
