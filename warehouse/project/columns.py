"""Takes over a new column of a source: into its contract, its staging and, where that is asked for, its history.

The new texts of all files are made, and the contract is read back as ingestion reads it, before the first is written.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ingestion.contract.contracts import (
    META_COLUMNS,
    PRIVACY,
    Column,
    ContractError,
    Table,
    contract_file,
    is_data_type,
)
from ingestion.contract.reading import read_contract, source_names
from ingestion.load.extracts import SourceError
from ingestion.load.run import reader_of
from ingestion.sql import quoted
from warehouse.errors import BuildError
from warehouse.project.edits import BY_HAND, Edit, is_reserved, new_texts, selected, tracked, with_entry, write_texts
from warehouse.project.places import STAGING, snapshot_files, staging_models

_STAGING_LINES = 60  # at most, as docs/conventions.md has it
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class NewColumn:
    """A column that is to be taken over.

    alias: its name in staging and history.
    source_name: what the source calls it, where that is no name for raw.
    is_trimmed: whether staging takes blanks around it away.
    """

    source: str
    table: str
    name: str
    data_type: str
    description: str
    alias: str
    privacy: str
    source_name: str = ""
    is_trimmed: bool = False

    @property
    def at_source(self) -> str:
        """What the source calls it."""
        return self.source_name or self.name

    @property
    def place(self) -> str:
        """The table that it is a column of."""
        return f"{self.source}.{self.table}"


def new_column(where: str, data_type: str, description: str, alias: str = "", privacy: str = "none") -> NewColumn:
    """What a person asks for, judged on its own.

    Args:
        where: `<source>.<table>.<column>`, as the source calls them.
        data_type: one of the contract's types.
        description: what the column means, in a sentence.
        alias: its name in staging; the source's where empty.
        privacy: one of `PRIVACY`.

    Raises:
        BuildError: something of it is missing or wrong.
    """
    parts = where.split(".")
    if len(parts) != 3 or not all(parts):
        raise BuildError(f"'{where}' names no column: say COLUMN=source.table.column")
    source, table, name = parts
    alias, data_type, description = alias or name, data_type.replace(" ", ""), " ".join(description.split())
    for each in (name, alias):
        if not _NAME.fullmatch(each):
            raise BuildError(
                f"'{each}' is not snake_case, as the names of columns are in raw and staging: let the source, or a "
                "view there, call it so; AS=… gives it another name in staging alone"
            )
    if is_reserved(alias):
        raise BuildError(f"'{alias}' is a word of SQL's own: give the column another name in staging with AS=…")
    if not is_data_type(data_type):
        raise BuildError(
            f"the type '{data_type}' is not one of the contract's: say TYPE=text, bigint, numeric(p,s), boolean, date "
            "or timestamp"
        )
    if not description:
        raise BuildError(f'{where} has no description: say what it means, DESCRIPTION="…"')
    if privacy not in PRIVACY:
        *others, last = sorted(set(PRIVACY) - {"none"})
        raise BuildError(f"privacy '{privacy}' is unknown: say PRIVACY=none, {', '.join(others)} or {last}")
    return NewColumn(source, table, name, data_type, description, alias, privacy)


def take_column(
    root: Path, column: NewColumn, say: Callable[[str], None], models: Sequence[str] = (), track: bool = False
) -> None:
    """Take a column over.

    Args:
        root: the project's folder.
        column: what to take over.
        say: takes a line for each change of a file, and the next command.
        models: the staging models that get it; may be empty where one model reads the table.
        track: whether history follows it: a new value of it begins a new version.

    Raises:
        BuildError: it can't be done; no file was changed.
    """
    _refuse(root, column)
    _ask_source(root, column, say)
    chosen = _models(root, column, models)
    snapshots = [file for model in chosen for file in snapshot_files(root, column.source, model)]
    if track and not snapshots:
        raise BuildError(
            f"no snapshot reads {', '.join(chosen)}, so there is no history that could follow {column.name}: leave "
            "TRACK out, or write the snapshot first (docs/adding-a-source.md)"
        )
    edits = _edits(root, column, chosen, snapshots if track else [])
    texts = new_texts(root, edits)
    _check_contract(root, column, texts[edits[0].path])
    write_texts(root, texts)
    read_contract.cache_clear()
    for edit in edits:
        say(f"{edit.path}: {edit.what}")
    for path, text in texts.items():
        if path.suffix == ".sql" and len(text.splitlines()) > _STAGING_LINES:
            say(f"note: {path} has more than {_STAGING_LINES} lines now, which `make lint` finds too long")
    if not track:
        for file in snapshots:
            say(f"note: {file} does not follow it; where it should, add it to check_cols (TRACK=1 does)")
    say("records that were loaded before have null there")
    say("next: make build")


def edits_of(root: Path, column: NewColumn) -> list[Edit]:
    """What takes a column over into its contract, all staging models of its table, and their histories.

    Raises:
        BuildError: no staging model reads its table.
    """
    models = _models(root, column, staging_models(root, column.source, column.table))
    snapshots = [file for model in models for file in snapshot_files(root, column.source, model)]
    return _edits(root, column, models, snapshots)


def _edits(root: Path, column: NewColumn, models: Sequence[str], snapshots: Sequence[Path]) -> list[Edit]:
    return [
        _into_contract(column, read_contract(column.source, root).reader),
        *_into_staging(column, models),
        *_into_history(column, snapshots),
    ]


def _into_contract(column: NewColumn, reader: str) -> Edit:
    named: dict[str, Any] = {"source_name": column.source_name} if column.source_name else {}
    if reader == "files":
        named["optional"] = True  # files from before lack it
    entry = {
        "name": column.name,
        "data_type": column.data_type,
        "description": column.description,
        "config": {"meta": {**named, "privacy": column.privacy}},
    }
    resource = ("sources", column.source, "tables", column.table)
    change = partial(with_entry, resource=resource, entry=entry, before=tuple(META_COLUMNS))
    what = f"{column.place} has {column.name}, {column.data_type}, privacy: {column.privacy}"
    return Edit(contract_file(column.source), change, what)


def _into_staging(column: NewColumn, models: Sequence[str]) -> list[Edit]:
    folder, alias = STAGING / column.source, column.alias
    name = quoted(column.name) if is_reserved(column.name) else column.name
    value = f"{{{{ trimmed('{name}') }}}}" if column.is_trimmed else name
    expression = value if value == alias else f"{value} as {alias}"
    edits = []
    for model in models:
        select = partial(selected, expression=expression, alias=alias)
        edits.append(Edit(folder / f"{model}.sql", select, f"selects {expression}"))
        describe = _described(column, ("models", model), "is_deleted")
        edits.append(Edit(folder / f"_{column.source}__models.yml", describe, f"describes {alias} in {model}"))
    return edits


def _into_history(column: NewColumn, snapshots: Sequence[Path]) -> list[Edit]:
    edits = []
    for file in snapshots:
        edits.append(Edit(file, partial(tracked, alias=column.alias), f"follows {column.alias}"))
        describe = _described(column, ("snapshots", file.stem), "valid_from")
        documents = file.parent / f"_{column.source}__snapshots.yml"
        edits.append(Edit(documents, describe, f"describes {column.alias} in {file.stem}"))
    return edits


def _described(column: NewColumn, resource: Sequence[str], before: str) -> Callable[[str], str]:
    entry: dict[str, Any] = {"name": column.alias, "description": column.description}
    return partial(with_entry, resource=resource, entry=entry, before=(before,))


def _refuse(root: Path, column: NewColumn) -> None:
    """Raise BuildError where the source has no such table, or the contract knows the column already."""
    names = source_names(root)
    if column.source not in names:
        raise BuildError(f"there is no source {column.source}: there are {', '.join(names)}")
    # What ingestion itself writes about a source is no table there.
    tables = {name: each for name, each in _contract(root, column.source).items() if "written_by" not in each.meta}
    if column.table not in tables:
        raise BuildError(
            f"{column.source} has no table {column.table} to take a column from: it has {', '.join(tables)}"
        )
    table, file = tables[column.table], contract_file(column.source)
    if column.name in table.column_names:
        raise BuildError(f"{column.place} has the column {column.name} already: see {file}")
    if column.name in table.meta.get("never_extracted", ()):
        raise BuildError(
            f"{column.place}.{column.name} is never to be read, {file} says (never_extracted). If that no longer "
            "holds, take it off that list first"
        )


def _ask_source(root: Path, column: NewColumn, say: Callable[[str], None]) -> None:
    """Raise BuildError where the source, if it is configured and can be asked, has no such column."""
    contract = read_contract(column.source, root)
    reader = reader_of(contract)
    if not hasattr(reader, "columns_of") or not reader.is_configured(column.source):
        return
    try:
        found = reader.columns_of(contract, column.table)
    except SourceError as error:
        say(f"note: whether the source has it was not asked: {error}")
        return
    for table, columns in found.items():
        if column.at_source not in columns:
            raise BuildError(
                f"{column.source} has no column {column.at_source} in its table {table}: it has {', '.join(columns)}; "
                "with it in the contract, nothing of the source could be loaded"
            )


def _contract(root: Path, source: str) -> dict[str, Table]:
    """The tables of a contract by name, as the file has them now: not as they may be remembered."""
    try:
        return {table.name: table for table in read_contract.__wrapped__(source, root).tables}
    except (ContractError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise BuildError(
            f"{contract_file(source)} can't be read as a contract: {reason}; no file was changed"
        ) from error


def _check_contract(root: Path, column: NewColumn, text: str) -> None:
    """Raise BuildError unless ingestion reads the new text as the old contract with one column more."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / contract_file(column.source)
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
        shutil.copy(root / "dbt_project.yml", folder)
        after = {name: table.columns for name, table in _contract(Path(folder), column.source).items()}
    wanted = {name: table.columns for name, table in _contract(root, column.source).items()}
    # The days that a date may be come from the project's calendar, not from what was written.
    days = after[column.table][-1].plausible
    new = Column(column.name, column.data_type, column.source_name, plausible=days, privacy=column.privacy)
    wanted[column.table] += (new,)
    if after != wanted:
        raise BuildError(f"{contract_file(column.source)} would not say what was asked for: {BY_HAND}")


def _models(root: Path, column: NewColumn, wanted: Sequence[str]) -> list[str]:
    """The names of the staging models that get the column. Raises BuildError where that is not clear."""
    found = staging_models(root, column.source, column.table)
    if not found:
        raise BuildError(f"no staging model reads {column.place}: write it first (docs/adding-a-source.md)")
    for model in wanted:
        if model not in found:
            raise BuildError(f"{model} is no staging model of {column.place}: say MODEL={' or '.join(found)}")
    if not wanted and len(found) > 1:
        raise BuildError(
            f"{column.place} has several staging models, {', '.join(found)}: say which get the column, one or more, "
            f'MODEL="{found[-1]}"'
        )
    return list(dict.fromkeys(wanted)) or found
