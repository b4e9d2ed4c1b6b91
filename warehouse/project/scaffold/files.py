"""The files of a proposal, in the house's form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingestion.contract.contracts import contract_file
from ingestion.domains import variables
from ingestion.project import current_project
from warehouse.project.edits import is_reserved
from warehouse.project.scaffold.proposal import Column, Table
from warehouse.project.scaffold.rendering import Flow, FlowList, a_test, dumped, from_docs, rendered

_LOG = ("is_deleted", "valid_at", "source_revision", "observed_at", "load_id")
_HISTORY = ("valid_from", "valid_to", "is_current", "is_deleted")
_LOADS = "For each resource and load, what the source counts and where each record went."
_AUDIT = {
    "rejects": "One row for each record that broke the contract, as the source wrote it, with every reason.",
    "profiles": "For each column and load, how many of the versions that came have no value there.",
}


def files_of(source: str, owner: str, tables: Sequence[Table], schemas: Sequence[str]) -> dict[Path, str]:
    """The text of each file, by its place in the project.

    Args:
        source: the source.
        owner: whose it is.
        tables: those of its contract.
        schemas: those of which it has all tables, new ones too.
    """
    staging, snapshots = Path("models/staging", source), Path("snapshots", source)
    texts = {
        contract_file(source): _contract(source, owner, tables, schemas),
        staging / f"_{source}__models.yml": dumped({"models": [model_entry(source, each, tables) for each in tables]}),
    }
    followed = [each for each in tables if each.has_snapshot]
    if followed:
        head = (
            "# Settings lie in SQL files: dbt's partial parsing loses some of the snapshots that YAML alone defines.\n"
        )
        entries = {"snapshots": [snapshot_entry(source, each) for each in followed]}
        texts[snapshots / f"_{source}__snapshots.yml"] = dumped(entries, head)
    return texts | sql_of(source, tables)


def sql_of(source: str, tables: Sequence[Table]) -> dict[Path, str]:
    """The text of the staging models and snapshots of some tables, by their places in the project."""
    texts = {
        Path("models/staging", source, f"stg_{source}__{each.name}.sql"): _staging(source, each) for each in tables
    }
    for each in tables:
        if each.has_snapshot:
            texts[Path("snapshots", source, f"snap_{source}__{each.name}.sql")] = _snapshot(source, each)
    return texts


def _contract(source: str, owner: str, tables: Sequence[Table], schemas: Sequence[str]) -> str:
    whole = {"schemas": FlowList(schemas)} if schemas else {}
    entry = {
        "name": source,
        "schema": f"{{{{ target.schema ~ '_' if target.name == 'sandbox' else '' }}}}raw_{source}",
        "description": "A database; each row of raw is a version of a record. See ingestion/readers/sql/README.md.",
        "config": {
            "meta": Flow(owner=owner, reader="sql", **whole),
            "loaded_at_field": "_observed_at",
            "freshness": {"warn_after": Flow(count=36, period="hour")},
        },
        "tables": [
            *(contract_entry(source, each) for each in tables),
            {"name": "loads", "description": _LOADS},
            *({"name": name, "description": text, "config": {"freshness": None}} for name, text in _AUDIT.items()),
        ],
    }
    return dumped({"sources": [entry]})


def contract_entry(source: str, table: Table) -> dict[str, Any]:
    """A table as the contract has it."""
    found = table.found
    meta: dict[str, Any] = {"key": FlowList(column.name for column in table.key)}
    if found.name != table.name:
        meta["source_name"] = found.name
    meta["source_schema"] = found.schema
    if table.untimed or table.modified_at not in (None, "updated_at"):
        meta["modified_at"] = table.modified_at
    if table.person:
        meta["person"] = table.person
    if table.references:
        meta["indexes"] = FlowList(FlowList([name]) for name in table.references)
    return {
        "name": table.name,
        "description": found.comment or f"The table {found.name} of {source}.",
        "config": {"meta": meta},
        "data_tests": [a_test("follows_contract", "validity")],
        "columns": [_contract_column(each) for each in table.columns],
    }


def _contract_column(column: Column) -> dict[str, Any]:
    meta: dict[str, Any] = {} if column.found.name == column.name else {"source_name": column.found.name}
    meta["privacy"] = column.privacy
    rules = Flow(required=True) if column.is_required else Flow()
    if column.found.values:
        rules["accepted_values"] = FlowList(column.found.values)
    rules |= _unusual_days(column)
    if rules:
        meta["contract"] = rules
    return {
        "name": column.name,
        "data_type": column.data_type,
        "description": column.description,
        "config": {"meta": meta},
    }


def _unusual_days(column: Column) -> dict[str, str]:
    """The bounds of a column whose days go beyond the project's calendar: those of its decades, or the end of time."""
    calendar = variables(current_project()).get("calendar")
    if not calendar or not column.found.days or column.data_type not in ("date", "timestamp"):
        return {}
    (first, last), bounds = column.found.days, {}
    if first < str(calendar["earliest"]):
        bounds["earliest"] = f"{int(first[:3])}0-01-01".rjust(10, "0")
    if last > str(calendar["latest"]):
        bounds["latest"] = f"{last[:3]}9-12-31"
    return bounds


def _entry(column: Column) -> dict[str, Any]:
    return {"name": column.alias, "description": column.description}


def model_entry(source: str, table: Table, tables: Sequence[Table]) -> dict[str, Any]:
    """A staging model, with the tests of its key and of what it refers to."""
    key = [column.alias for column in table.key]
    # A source that changes a record without saying so leaves two versions that only their content tells apart.
    unique = a_test(
        "unique_combination", "consistency",
        columns=FlowList([*key, "valid_at", "source_revision", "is_deleted"]), config={"severity": "warn"},
    )  # fmt: skip
    entries = []
    for column in table.columns:
        entry = _entry(column)
        if parent := next((each for each in tables if each.name == table.references.get(column.name)), None):
            related = a_test(
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
        "columns": [*entries, *from_docs(_LOG)],
    }


def _staging(source: str, table: Table) -> str:
    lines = []
    for column in table.columns:
        name = f'"{column.name}"' if is_reserved(column.name) else column.name
        is_plain = column.is_key or column.name in table.references or column.privacy == "direct_identifier"
        value = name if is_plain or column.data_type != "text" else "{{ trimmed('" + name + "') }}"
        lines.append(value if value == column.alias else f"{value} as {column.alias}")
    return rendered("staging.sql", source=source, table=table.name, columns=lines)


def _snapshot(source: str, table: Table) -> str:
    columns = [column.alias for column in table.content]
    key = [column.alias for column in table.key]
    return rendered("snapshot.sql", source=source, table=table.name, key=key, columns=columns)


def snapshot_entry(source: str, table: Table) -> dict[str, Any]:
    """A history."""
    key = [column.alias for column in table.key]
    return {
        "name": f"snap_{source}__{table.name}",
        "description": (
            f"History of {table.found.name}. One row for each interval in which a record stayed the same. Key: "
            f"{', '.join(f'`{each}`' for each in key)}, `valid_from`."
        ),
        "data_tests": [a_test("history_is_sound", "consistency", key=key[0] if len(key) == 1 else FlowList(key))],
        "columns": [*(_entry(column) for column in table.columns), *from_docs(_HISTORY)],
    }
