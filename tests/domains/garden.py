"""A project of two small domains, which are quickly built and switched on and off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingestion.destination.target import Target, current_target
from tests.domains.clones import edit_list, without_domains
from tests.warehouses import settings
from warehouse.build.build import Request, build
from warehouse.database import Database, open_database
from warehouse.publish.publish import published_number

DIMENSION = "select cast('{{ env_var('MARK') }}' as {{ dbt.type_string() }}) as built_in"
# Says of itself whether it was built in full.
FACT = """{{ config(materialized='incremental', unique_key='leaf_id', incremental_strategy='delete+insert') }}

select
    cast('fern' as {{ dbt.type_string() }}) as leaf_id,
    cast('{{ env_var('MARK') }}' as {{ dbt.type_string() }}) as built_in,
    {{ 'false' if is_incremental() else 'true' }} as is_built_in_full
"""
COLUMNS = {"built_in": "text", "leaf_id": "text", "is_built_in_full": "boolean", "seen_date": "date"}


def plant(folder: Path, name: str, sql: str, columns: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.sql").write_text(sql, encoding="utf-8")
    listed = "".join(f"\n      - {{name: {each}, data_type: {COLUMNS[each]}}}" for each in columns)
    text = f"models:\n  - name: {name}\n    config: {{meta: {{access: shared}}}}\n    columns:{listed}\n"
    (folder / f"{name}.yml").write_text(text, encoding="utf-8")


class Garden:
    """A project of two small domains, and its warehouse on one engine; every build leaves its mark in what it makes."""

    def __init__(self, clone: Target, engine: Mapping[str, str]):
        self.project, self.engine, self.mark = clone.project, engine, 0
        self.folder = clone.folder
        without_domains(clone.project)
        edit_list(clone.project, {"plants": {"label": "Plants"}, "rocks": {"label": "Rocks", "published": False}})
        marts = clone.project / "models" / "marts"
        plant(marts / "core", "dim_marks", DIMENSION, ["built_in"])
        for domain, kind in (("plants", "leaves"), ("rocks", "pebbles")):
            plant(marts / domain, f"dim_{domain}", DIMENSION, ["built_in"])
            plant(marts / domain, f"fct_{kind}", FACT, ["leaf_id", "built_in", "is_built_in_full"])

    @contextmanager
    def entered(self, domains: str | None = None) -> Iterator[Target]:
        chosen = {} if domains is None else {"DOMAINS": domains}
        places = {"GRANARY_PROJECT_DIR": str(self.project), "WAREHOUSE_DIR": str(self.folder)}
        faster = {"DBT_WRITE_JSON": "false", "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test test"}
        with settings({"TARGET": "dev", **self.engine, **places, **faster, **chosen, "MARK": str(self.mark)}):
            yield current_target()

    def build(self, domains: str, request: Request = Request()) -> list[str]:  # noqa: B008
        self.mark += 1
        lines: list[str] = []
        with self.entered(domains) as target:
            build(target, request, lines.append)
        return lines

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        with self.entered() as target, open_database(target) as database:
            return database.run(question)

    def seen(self) -> dict[str, str]:
        """What readers see: the build that each table is of."""
        with self.entered() as target, open_database(target) as database:
            tables = [
                (str(schema), str(table))
                for schema, table in database.run(_MARKED)
                if not str(schema).endswith("__next")
            ]
            return {f"{s}.{t}": only(database, f"select built_in from {database.published(s, t)}") for s, t in tables}

    def number(self) -> int | None:
        with self.entered() as target, open_database(target) as database:
            return published_number(database)


_MARKED = """
    select distinct table_schema, table_name from information_schema.columns
    where column_name = 'built_in' and table_catalog in ('published', current_database())"""


def only(database: Database, question: str) -> str:
    """The one value that answers a question."""
    [(value,)] = database.run(question)
    return str(value)
