"""What readers get of a lake's catalog: by each of DuckLake's own tables, the rows that are about what is published.

The tables are those of DuckLake's format (https://ducklake.select/docs/stable/specification/tables/overview).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ingestion.sql import literal, quoted
from warehouse.errors import BuildError

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
SNAPSHOTS = ("ducklake_snapshot", "ducklake_snapshot_changes")
DATED = [name for name, about in _TABLES.items() if "{visible}" in about or name == "ducklake_table"]


def columns_of(cursor: Any, source: str) -> dict[str, list[str]]:
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


def selects(
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


def noted(readers: str, kept: Mapping[int, int]) -> str:
    """The statements that say which generation a snapshot is, and nothing of what the build did in it."""
    return "; ".join(
        f"update {readers}.ducklake_snapshot_changes set changes_made = '', author = 'granary', "
        f"commit_message = 'generation {number}', commit_extra_info = '{number}' where snapshot_id = {snapshot}"
        for snapshot, number in kept.items()
    )
