"""`make decide`: what a column tells of a person, said in its contract."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from ingestion.contract.contracts import PRIVACY, contract_file, read_contract
from warehouse.errors import BuildError
from warehouse.project.edits import node_of, value_node


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
    names = [name for name in read_contract(source, project).undecided if fnmatchcase(name, column)]
    if not names:
        raise BuildError(
            f"no column {rest} of {source} is undecided: what is decided is changed in {contract_file(source)}"
        )
    text = path.read_text(encoding="utf-8")
    document = yaml.compose(text)
    # From the end, so that the places before stay where they are.
    for name in reversed(names):
        table, own = name.split(".")[1:]
        node = node_of(document, ("sources", source, "tables", table, "columns", own))
        for key in ("config", "meta", "privacy"):
            node = value_node(node, key)
        text = text[: node.start_mark.index] + privacy + text[node.end_mark.index :]
    path.write_text(text, encoding="utf-8")
    read_contract.cache_clear()
    for name in names:
        say(f"{name}: {privacy}")
