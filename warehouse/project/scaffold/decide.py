"""`make decide`: what a column tells of a person, said in its contract."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from ingestion.contract.contracts import PRIVACY, UNDECIDED, contract_file, read_contract
from warehouse.errors import BuildError


def decide(project: Path, column: str, privacy: str, say: Callable[[str], None]) -> None:
    """Say in the contract what undecided columns tell of a person.

    Args:
        project: the project's folder.
        column: `source.table.column`; the last two may have `*` for any letters.
        privacy: one of the contract's words.
        say: takes a line for each column.

    Raises:
        BuildError: there is no such column that is undecided, or no such word.
    """
    source, _, rest = column.partition(".")
    if privacy not in PRIVACY or "." not in rest:
        raise BuildError(
            f"say COLUMN=<source>.<table>.<column> and PRIVACY= one of {', '.join(PRIVACY)} (see docs/privacy.md)"
        )
    path = project / contract_file(source)
    if not path.exists():
        raise BuildError(f"there is no source {source}: it would have a contract, {contract_file(source)}")
    text = path.read_text(encoding="utf-8")
    places = [
        (name, node) for name, node in _undecided(yaml.compose(text), source) if fnmatchcase(name, rest)
    ]  # fmt: skip
    if not places:
        raise BuildError(
            f"no column {rest} of {source} is undecided: what is decided is changed in {contract_file(source)}"
        )
    # From the end, so that the places before stay where they are.
    for _, node in reversed(places):
        text = text[: node.start_mark.index] + privacy + text[node.end_mark.index :]
    path.write_text(text, encoding="utf-8")
    read_contract.cache_clear()
    for name, _ in places:
        say(f"{source}.{name}: {privacy}")


def _undecided(document: Any, source: str) -> list[tuple[str, Any]]:
    """The columns that are undecided, as `table.column`, each with the node of the word."""

    def value(node: Any, key: str) -> Any:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        return next((each for name, each in pairs if name.value == key), None)

    def named(node: Any, key: str) -> list[tuple[str, Any]]:
        entries = value(node, key)
        return [(value(each, "name").value, each) for each in (entries.value if entries else ())]

    found = []
    for name, entry in named(document, "sources"):
        for table, of_table in named(entry, "tables") if name == source else ():
            for column, of_column in named(of_table, "columns"):
                word = value(value(value(of_column, "config"), "meta"), "privacy")
                if word is not None and word.value == UNDECIDED:
                    found.append((f"{table}.{column}", word))
    return found
