"""The files of a proposal, in the house's form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from warehouse.project.edits import is_reserved
from warehouse.project.scaffold.proposal import Column, Table

_LOG = ("is_deleted", "valid_at", "source_revision", "observed_at", "load_id")
_HISTORY = ("valid_from", "valid_to", "is_current", "is_deleted")
_STAGING = """with source as (
    select * from {{{{ source('{source}', '{table}') }}}}
    where {{{{ from_completed_load() }}}}
),

renamed as (
    select
{columns}
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
"""
_SNAPSHOT = """{{% snapshot snap_{source}__{table} %}}

    {{{{ config(
        unique_key={key},
        check_cols=[
{columns}
        ],
    ) }}}}

    select * from {{{{ ref('stg_{source}__{table}') }}}}

{{% endsnapshot %}}
"""
_LOADS = "For each resource and load, what the source counts and where each record went."
_AUDIT = {
    "rejects": "One row for each record that broke the contract, as the source wrote it, with every reason.",
    "profiles": "For each column and load, how many of the versions that came have no value there.",
}


class _Flow(dict[str, Any]):
    """A mapping on one line."""


class _List(list[Any]):
    """A list on one line."""


class _Dumper(yaml.SafeDumper):
    """YAML as yamllint has it here: lists are indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # A line is broken after the word that is over the width.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=">" if len(text) > 80 else None)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, True))
_Dumper.add_representer(_List, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))


def files_of(source: str, owner: str, tables: Sequence[Table]) -> dict[Path, str]:
    """The text of each file, by its place in the project."""
    staging, snapshots = Path("models/staging", source), Path("snapshots", source)
    texts = {
        staging / f"_{source}__sources.yml": _contract(source, owner, tables),
        staging / f"_{source}__models.yml": _dumped({"models": [_model(source, each, tables) for each in tables]}),
    }
    for each in tables:
        texts[staging / f"stg_{source}__{each.name}.sql"] = _staging(source, each)
    followed = [each for each in tables if each.has_history and len(each.columns) > len(each.key)]
    if followed:
        head = (
            "# Settings lie in SQL files: dbt's partial parsing loses some of the snapshots that YAML alone defines.\n"
        )
        entries = {"snapshots": [_snapshot_entry(source, each) for each in followed]}
        texts[snapshots / f"_{source}__snapshots.yml"] = _dumped(entries, head)
    for each in followed:
        texts[snapshots / f"snap_{source}__{each.name}.sql"] = _snapshot(source, each)
    return texts


def _dumped(content: dict[str, Any], head: str = "") -> str:
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=90)
    return f"version: 2\n\n{head}{text}"


def _contract(source: str, owner: str, tables: Sequence[Table]) -> str:
    entry = {
        "name": source,
        "schema": f"{{{{ target.schema ~ '_' if target.name == 'sandbox' else '' }}}}raw_{source}",
        "description": "A database; each row of raw is a version of a record. See ingestion/readers/sql/README.md.",
        "config": {
            "meta": _Flow(owner=owner, reader="sql"),
            "loaded_at_field": "_observed_at",
            "freshness": {"warn_after": _Flow(count=36, period="hour")},
        },
        "tables": [
            *(_contract_table(source, each) for each in tables),
            {"name": "loads", "description": _LOADS},
            *({"name": name, "description": text, "config": {"freshness": None}} for name, text in _AUDIT.items()),
        ],
    }
    return _dumped({"sources": [entry]})


def _contract_table(source: str, table: Table) -> dict[str, Any]:
    found = table.found
    meta: dict[str, Any] = {"key": _List(column.name for column in table.key)}
    if found.name != table.name:
        meta["source_name"] = found.name
    meta["source_schema"] = found.schema
    if table.modified_at not in (None, "updated_at"):
        meta["modified_at"] = table.modified_at
    if table.references:
        meta["indexes"] = _List(_List([name]) for name in table.references)
    return {
        "name": table.name,
        "description": found.comment or f"The table {found.name} of {source}.",
        "config": {"meta": meta},
        "data_tests": [_test("follows_contract", "validity")],
        "columns": [_contract_column(each) for each in table.columns],
    }


def _contract_column(column: Column) -> dict[str, Any]:
    meta: dict[str, Any] = {} if column.found.name == column.name else {"source_name": column.found.name}
    meta["privacy"] = column.privacy
    rules = _Flow(required=True) if column.is_required else _Flow()
    if column.found.values:
        rules["accepted_values"] = _List(column.found.values)
    if rules:
        meta["contract"] = rules
    return {
        "name": column.name,
        "data_type": column.data_type,
        "description": column.description,
        "config": {"meta": meta},
    }


def _test(name: str, dimension: str, **more: Any) -> dict[str, Any]:
    config = {**more.pop("config", {}), "meta": _Flow(quality_dimension=dimension)}
    return {name: {**({"arguments": more} if more else {}), "config": config}}


def _entry(column: Column) -> dict[str, Any]:
    return {"name": column.alias, "description": column.description}


def _log_entries(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"name": name, "description": f"{{{{ doc('{name}') }}}}"} for name in names]


def _model(source: str, table: Table, tables: Sequence[Table]) -> dict[str, Any]:
    key = [column.alias for column in table.key]
    # A source that changes a record without saying so leaves two versions that only their content tells apart.
    unique = _test(
        "unique_combination", "consistency",
        columns=_List([*key, "valid_at", "source_revision", "is_deleted"]), config={"severity": "warn"},
    )  # fmt: skip
    entries = []
    for column in table.columns:
        entry = _entry(column)
        if parent := next((each for each in tables if each.name == table.references.get(column.name)), None):
            related = _test(
                "relationships", "consistency",
                to=f"ref('stg_{source}__{parent.name}')", field=parent.key[0].alias,
                config={"severity": "warn", "where": "not is_deleted"},
            )  # fmt: skip
            entry["data_tests"] = [related]
        entries.append(entry)
    return {
        "name": f"stg_{source}__{table.name}",
        "description": (
            f"One row for each version of a record of {table.found.name}. Key: "
            f"{', '.join(f'`{each}`' for each in key)}, `valid_at`, `source_revision`."
        ),
        "data_tests": [unique],
        "columns": [*entries, *_log_entries(_LOG)],
    }


def _staging(source: str, table: Table) -> str:
    lines = []
    for column in table.columns:
        name = f'"{column.name}"' if is_reserved(column.name) else column.name
        is_plain = column.is_key or column.name in table.references or column.privacy == "direct_identifier"
        value = name if is_plain or column.data_type != "text" else "{{ trimmed('" + name + "') }}"
        lines.append(f"        {value}," if value == column.alias else f"        {value} as {column.alias},")
    return _STAGING.format(source=source, table=table.name, columns="\n".join(lines))


def _snapshot(source: str, table: Table) -> str:
    key = [column.alias for column in table.key]
    listed = [f"            '{column.alias}'," for column in table.columns if not column.is_key]
    return _SNAPSHOT.format(
        source=source, table=table.name, columns="\n".join(listed), key=f"'{key[0]}'" if len(key) == 1 else key
    )


def _snapshot_entry(source: str, table: Table) -> dict[str, Any]:
    key = [column.alias for column in table.key]
    return {
        "name": f"snap_{source}__{table.name}",
        "description": (
            f"History of {table.found.name}. One row for each interval in which a record stayed the same. Key: "
            f"{', '.join(f'`{each}`' for each in key)}, `valid_from`."
        ),
        "data_tests": [_test("history_is_sound", "consistency", key=key[0] if len(key) == 1 else _List(key))],
        "columns": [*(_entry(column) for column in table.columns), *_log_entries(_HISTORY)],
    }
