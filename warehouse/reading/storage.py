"""What the published tables take on disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ingestion.destination.target import Target
from ingestion.domains import domains
from ingestion.sql import literal
from warehouse.parts import CORE
from warehouse.publish.schemas import OPS
from warehouse.reading.query import ask

BLOCK_BYTES = 262_144  # of a DuckDB file


def published_tables(target: Target, connection: Any) -> list[tuple[str, str]]:
    """The tables that readers see, as schemas without a sandbox's prefix and names, over a connection to them."""
    schemas = [CORE, OPS, *(each.name for each in domains(target.project))]
    listed = ", ".join(literal(target.schema(name)) for name in schemas)
    if target.engine == "postgres":
        sql = f"""
            select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
            where n.nspname in ({listed}) and c.relkind in ('r', 'p') and not c.relispartition"""
    else:
        sql = f"""
            select schema_name, table_name from duckdb_tables()
            where database_name = 'marts' and schema_name in ({listed})"""
    return [(schema.removeprefix(target.prefix), name) for schema, name in sorted(ask(connection, sql)[1])]


def bytes_on_disk(target: Target, connection: Any, tables: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """What each table takes on disk, indexes and partitions included, by schema and name."""
    found = {}
    for schema, name in tables:
        full = f"{target.schema(schema)}.{name}"
        if target.engine == "postgres":
            parts = f"select relid from pg_partition_tree('{full}') union select '{full}'::regclass"
            sql = f"select sum(pg_total_relation_size(relid)) from ({parts}) as parts"
        elif target.lake:
            files = f"ducklake_list_files('marts', '{name}', schema => '{schema}')"
            sql = f"select coalesce(sum(data_file_size_bytes), 0) from {files}"
        else:
            sql = f"select count(distinct block_id) * {BLOCK_BYTES} from pragma_storage_info('{full}')"
        found[schema, name] = int(ask(connection, sql)[1][0][0])
    return found
