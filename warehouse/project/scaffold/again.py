"""A source that has a contract is scaffolded again: what is new at the source is added, what differs is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ingestion.contract.contracts import Source, contract_file
from ingestion.contract.reading import read_contract
from warehouse.errors import BuildError
from warehouse.project.columns import NewColumn, edits_of
from warehouse.project.edits import Edit, alias_in, new_texts, with_items
from warehouse.project.scaffold.files import contract_entry, model_entry, snapshot_entry, sql_of
from warehouse.project.scaffold.found import FRACTIONS
from warehouse.project.scaffold.proposal import Column, Place, Table, propose
from warehouse.project.scaffold.rendering import dumped_items
from warehouse.project.scaffold.survey import survey

Say = Callable[[str], None]


def added(
    project: Path, source: str, schemas: Sequence[str], tables: Sequence[str], say: Say
) -> tuple[dict[Path, str], list[Table]]:
    """What a source's database has that its contract hasn't.

    Args:
        project: the project's folder.
        source: the source.
        schemas: those to look at; those of which the contract has all tables, unless given.
        tables: those to look at; unless given, the contract's, and the new ones of such schemas.
        say: takes a line for each difference.

    Returns:
        The new texts of the files that change, and the source's tables as they are now.

    Raises:
        BuildError: the database can't be looked at, or a file is not of the form that its change needs.
    """
    contract = read_contract(source, project)
    if contract.reader != "sql":
        raise BuildError(f"{source} is no database: {contract_file(source)} is changed by hand")
    known = {(str(table.meta.get("source_schema", "")), table.at_source): table.name for table in contract.tables}
    found = survey(source, schemas or sorted({schema for schema, _ in known if schema}), tables)
    proposal = propose(found, [*tables, *(name for _, name in known)], known)
    news = [
        table
        for table in proposal.tables
        if _place(table) not in known and (table.found.name in tables or table.found.schema in contract.schemas)
    ]
    others = [each.found.name for each in proposal.tables if _place(each) not in known and each not in news]
    ours = [_as_known(project, table, contract) for table in proposal.tables if _place(table) in known]
    edits = [edit for table in ours for edit in _new_columns(project, source, table, contract, say)]
    for table in news:
        say(f"new: the table {table.found.schema}.{table.found.name}, with {len(table.columns)} columns")
        for line in table.unsure:
            say(line)
    texts = new_texts(project, [*edits, *_new_tables(source, news, [*ours, *news])]) | sql_of(source, news)
    for table in proposal.tables:
        if _place(table) in known:
            _say_changed(source, table, contract, say)
    _say_gone(source, contract, {_place(table) for table in proposal.tables}, bool(tables), say)
    for each in proposal.left_out:
        say(f"left out: {each}")
    if others:
        say(f"at the source, and not in the contract: {', '.join(others)}; TABLES=… takes them")
    if not texts and ours:
        say(f"{source}: its contract has all {sum(len(table.columns) for table in ours)} columns of {len(ours)} tables")
    return texts, [*ours, *news]


def _place(table: Table) -> Place:
    return table.found.schema, table.found.name


def _as_known(project: Path, table: Table, contract: Source) -> Table:
    """A table with the contract's key, and its names of columns, types and privacy, and with staging's names of them.

    New columns are as proposed.
    """
    ours = contract.table(table.name)
    known = {column.at_source: column for column in ours.columns}
    model = project / f"models/staging/{contract.name}/stg_{contract.name}__{table.name}.sql"
    staging = model.read_text(encoding="utf-8") if model.exists() else ""
    columns = []
    for column in table.columns:
        old = known.get(column.found.name)
        if old:
            column = replace(
                column,
                name=old.name,
                alias=alias_in(staging, old.name) if staging else column.alias,
                data_type=old.data_type,
                privacy=old.privacy,
                is_key=old.name in ours.key,
            )
        columns.append(column)
    key = tuple(column.at_source for column in ours.columns if column.name in ours.key)
    return replace(table, columns=tuple(columns), found=replace(table.found, key=key))


def _new_columns(project: Path, source: str, table: Table, contract: Source, say: Say) -> list[Edit]:
    known = {column.at_source for column in contract.table(table.name).columns}
    hidden = set(contract.table(table.name).meta.get("never_extracted", ()))
    edits: list[Edit] = []
    for column in table.columns:
        if column.found.name in known or column.found.name in hidden:
            continue
        say(f"new: {source}.{table.name}.{column.name}, {column.data_type}, {column.privacy}")
        own = "" if column.name == column.found.name else column.found.name
        new = NewColumn(
            source, table.name, column.name, column.data_type, column.description, column.alias, column.privacy, own,
            is_trimmed=column.data_type == "text" and column.privacy != "direct_identifier",
        )  # fmt: skip
        edits += edits_of(project, new)
    return edits


def _new_tables(source: str, news: Sequence[Table], tables: Sequence[Table]) -> list[Edit]:
    if not news:
        return []
    staging, snapshots = Path("models/staging", source), Path("snapshots", source)
    followed = [each for each in news if each.has_snapshot]

    def into(way: tuple[str, ...], kind: str, entries: list[dict[str, Any]], before: str = "") -> Callable[[str], str]:
        return lambda text: with_items(text, way, kind, dumped_items(entries), before)

    contracts = into(("sources", source), "tables", [contract_entry(source, each) for each in news], "loads")
    models = into((), "models", [model_entry(source, each, tables) for each in news])
    edits = [
        Edit(contract_file(source), contracts, "the new tables"),
        Edit(staging / f"_{source}__models.yml", models, "the new tables"),
    ]
    if followed:
        histories = into((), "snapshots", [snapshot_entry(source, each) for each in followed])
        edits.append(Edit(snapshots / f"_{source}__snapshots.yml", histories, "the new tables"))
    return edits


def _say_changed(source: str, table: Table, contract: Source, say: Say) -> None:
    """Say where a declared type, or a column, is another one than the contract's."""
    there = {column.found.name: column for column in table.columns}
    for old in contract.table(table.name).columns:
        where, now = f"{source}.{table.name}.{old.name}", there.get(old.at_source)
        if now is None:
            say(f"gone: the source has no column {old.at_source} of {where} any more: take it out by hand")
        elif now.data_type != old.data_type and _is_declared(now) and not old.identifies:
            say(f"changed: {where} is {now.found.kind} at the source, {old.data_type} in the contract: change it there")


def _is_declared(column: Column) -> bool:
    """Whether the source says how large its values are: of the others the sample told."""
    return not column.found.kind.startswith(FRACTIONS) or "(" in column.found.kind


def _say_gone(source: str, contract: Source, there: set[Place], in_part: bool, say: Say) -> None:
    for table in contract.tables:
        place = (str(table.meta.get("source_schema", "")), table.at_source)
        if not in_part and "source_schema" in table.meta and place not in there:
            say(f"gone: the source has no table {place[0]}.{place[1]} any more: take {source}.{table.name} out by hand")
