"""`make decide`: what a column tells of a person, said in its contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from ingestion.contract.contracts import PRIVACY, UNDECIDED, contract_file
from ingestion.contract.reading import read_contract
from ingestion.project import parsed_yaml
from warehouse.errors import BuildError
from warehouse.project.edits import alias_in, node_of, value_node
from warehouse.project.scaffold.privacy import published_privacy


def decide(project: Path, column: str, privacy: str, say: Callable[[str], None]) -> None:
    """Say in the contract what undecided columns tell of a person.

    Args:
        project: the project's folder.
        column: `source.table.column`; what follows the source may have `*` for any letters.
        privacy: one of the contract's words.
        say: takes a line for each column.

    Raises:
        BuildError: there is no such column that is undecided, or no such word.
    """
    source, _, rest = column.partition(".")
    if privacy not in PRIVACY or not ("." in rest or rest.endswith("*")):
        raise BuildError(
            f"say COLUMN=<source>.<table>.<column> and PRIVACY= one of {', '.join(PRIVACY)} (see docs/privacy.md)"
        )
    path = project / contract_file(source)
    if not path.exists():
        raise BuildError(f"there is no source {source}: it would have a contract, {contract_file(source)}")
    contract = read_contract(source, project)
    names = [name for name in contract.undecided if fnmatchcase(name, column)]
    if not names:
        there = [f"{source}.{table.name}.{each.name}" for table in contract.tables for each in table.columns]
        if not any(fnmatchcase(name, column) for name in there):
            alike = get_close_matches(column, there, 3)
            hint = f": there is {', '.join(alike)}" if alike else f", see {contract_file(source)}"
            raise BuildError(f"{source} has no column {rest}{hint}")
        raise BuildError(
            f"no column {rest} of {source} is undecided: what is decided is changed in {contract_file(source)}, and a "
            "mart that shows it has its own `privacy`"
        )
    kinds = {f"{source}.{table.name}.{each.name}": each.data_type
             for table in read_contract(source, project).tables for each in table.columns}  # fmt: skip
    if wrong := [name for name in names if privacy == "direct_identifier" and kinds[name] != "text"]:
        raise BuildError(
            f"{wrong[0]} is {kinds[wrong[0]]}: a direct identifier becomes a token, which is text. Say "
            f"quasi_identifier, or make it text in {contract_file(source)}"
        )
    ways = [("sources", source, "tables", table, "columns", own) for _, table, own in (n.split(".") for n in names)]
    _say_in(path, ways, privacy)
    for mart, columns in _marts(project, names).items():
        _say_in(mart, [("models", mart.stem, "columns", each) for each in columns], published_privacy(privacy))
    read_contract.cache_clear()
    for name in names:
        say(f"{name}: {privacy}")


def _say_in(path: Path, ways: Sequence[tuple[str, ...]], privacy: str) -> None:
    """Replace what a file says of some columns' privacy. They stand in the order of the file."""
    text = path.read_text(encoding="utf-8")
    document = yaml.compose(text)
    # From the end, so that the places before stay where they are.
    for way in reversed(ways):
        node = node_of(document, way)
        for key in ("config", "meta", "privacy"):
            node = value_node(node, key)
        text = text[: node.start_mark.index] + privacy + text[node.end_mark.index :]
    path.write_text(text, encoding="utf-8")


def _marts(project: Path, names: Sequence[str]) -> dict[Path, list[str]]:
    """The dimensions' columns that show these ones of the source and say that it is undecided, by their files."""
    found: dict[Path, list[str]] = {}
    for model in sorted((project / "models/marts").rglob("dim_*.sql")):
        text = model.read_text(encoding="utf-8")
        for source, table, column in (name.split(".") for name in names):
            if f"'snap_{source}__{table}'" not in text:
                continue
            staging = (project / f"models/staging/{source}/stg_{source}__{table}.sql").read_text(encoding="utf-8")
            alias, file = alias_in(staging, column), model.with_suffix(".yml")
            columns: dict[str, Any] = next(
                iter((parsed_yaml(file.read_text(encoding="utf-8")) or {}).get("models") or ()), {}
            )
            for each in columns.get("columns") or ():
                meta = (each.get("config") or {}).get("meta") or {}
                if each["name"] == alias and meta.get("privacy") == UNDECIDED:
                    found.setdefault(file, []).append(alias)
    return found
