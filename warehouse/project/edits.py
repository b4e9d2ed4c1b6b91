"""A new column in the project's files: in YAML, in a staging model, in a snapshot.

The files are edited as text, so that comments and order stay: lines are added, and a snapshot's list of what it follows
grows.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

from ingestion.project import parsed_yaml
from warehouse.errors import BuildError

BY_HAND = "no file was changed; take the column over by hand, as docs/schema-drift.md says"

_WIDTH = 120  # as the linters have it
_IS_DELETED = re.compile(r"(?P<indent>\s*)(?:.* as )?is_deleted,?\s*")
_TRACKED = re.compile(r"^(?P<indent> *)check_cols=\[(?P<names>\s*'[^\]]*)\]", re.MULTILINE)


# Reserved on Postgres alone, where most of them, unquoted, are no column but a value of the session's.
_VALUES = set(
    "user current_user session_user system_user current_role current_catalog current_schema current_date current_time "
    "current_timestamp localtime localtimestamp grant".split()
)


class FormError(Exception):
    """A file is not of the form that its change needs. The text says what is amiss."""


@dataclass(frozen=True)
class Edit:
    """A change of a file, named from the project's folder: the new text from the old one, and what that does."""

    path: Path
    change: Callable[[str], str]
    what: str


def new_texts(root: Path, edits: Sequence[Edit]) -> dict[Path, str]:
    """The new text of each file. Raises BuildError where a file is not of the form that its change needs."""
    texts: dict[Path, str] = {}
    for edit in edits:
        try:
            # In bytes, so that line ends stay what they are.
            text = texts[edit.path] if edit.path in texts else (root / edit.path).read_bytes().decode()
            texts[edit.path] = edit.change(text)
        except (FormError, OSError, ValueError, yaml.YAMLError) as error:
            raise BuildError(f"{edit.path}: {' '.join(str(error).split())}; {BY_HAND}") from error
    return texts


def write_texts(root: Path, texts: dict[Path, str]) -> None:
    """Write all files; where one can't be written, all have their old text again."""
    before = {path: (root / path).read_bytes() for path in texts}
    try:
        for path, text in texts.items():
            (root / path).write_bytes(text.encode())
    except OSError as error:
        for path, content in before.items():
            if (root / path).read_bytes() != content:
                (root / path).write_bytes(content)
        raise BuildError(f"a file can't be written: {error}; {BY_HAND}") from error


def with_entry(text: str, resource: Sequence[str], entry: dict[str, Any], before: Sequence[str]) -> str:
    """A YAML file's text with one more column.

    Args:
        text: the file's text.
        resource: the way to what the column is of, such as `("sources", "<source>", "tables", "<table>")`.
        entry: the column's entry.
        before: the names that it stands before; at the end where none of them is there.

    Raises:
        FormError: the file doesn't list the resource's columns, has one of that name, or has another form.
    """
    wanted = parsed_yaml(text)
    columns, node = _columns(wanted, resource), _columns_node(yaml.compose(text), resource)
    names = [column["name"] for column in columns]
    if entry["name"] in names:
        raise FormError(f"{resource[-1]} has a column {entry['name']} already")
    place = next((number for number, name in enumerate(names) if name in before), len(names))
    columns.insert(place, entry)

    lines = text.splitlines(keepends=True)
    at = node.value[place].start_mark.line if place < len(names) else node.end_mark.line
    # What stands between two entries belongs to the second.
    while not lines[at - 1].strip() or lines[at - 1].lstrip().startswith("#"):
        at -= 1
    block = _block(entry, " " * (node.start_mark.column + 2))
    block[0] = " " * node.start_mark.column + "- " + block[0].lstrip()
    changed = "".join([*lines[:at], *(f"{line}\n" for line in block), *lines[at:]])
    if _folded(parsed_yaml(changed)) != _folded(wanted):
        raise FormError(f"the columns of {resource[-1]} are not written one below the other")
    return changed


def with_items(text: str, resource: Sequence[str], kind: str, items: str, before: str = "") -> str:
    """A YAML file's text with more items in one of its lists.

    Args:
        text: the file's text.
        resource: the way to what the list is of; empty for the file itself.
        kind: the list's name, such as `tables`.
        items: theirs, as YAML that begins with `- ` at the left edge.
        before: the name of the item that they stand before; at the end where it isn't there.

    Raises:
        FormError: the list isn't there, or the file has another form.
    """
    node = yaml.compose(text)
    try:
        listed = value_node(node_of(node, resource), kind)
    except StopIteration:
        raise FormError(f"it has no list {kind}") from None
    lines = text.splitlines(keepends=True)
    found = next((each for each in listed.value if value_node(each, "name").value == before), None)
    at = found.start_mark.line if found else listed.end_mark.line
    while not lines[at - 1].strip():
        at -= 1
    block = textwrap.indent(items, " " * listed.start_mark.column)
    changed = "".join([*lines[:at], block, *lines[at:]])
    names = [value_node(each, "name").value for each in listed.value]
    after = [
        value_node(each, "name").value for each in value_node(node_of(yaml.compose(changed), resource), kind).value
    ]
    if [name for name in after if name in names] != names or len(after) == len(names):
        raise FormError(f"its list {kind} is not written one below the other")
    return changed


def _columns(document: Any, resource: Sequence[str]) -> list[dict[str, Any]]:
    found = document
    for kind, name in zip(resource[::2], resource[1::2], strict=True):
        found = next((each for each in (found or {}).get(kind) or () if each.get("name") == name), None)
    columns: list[dict[str, Any]] | None = (found or {}).get("columns")
    if not columns:
        raise FormError(f"it lists no columns of {resource[-1]}")
    return columns


def _columns_node(document: Any, resource: Sequence[str]) -> Any:
    """The same list as a node, which knows its place in the text."""
    return value_node(node_of(document, resource), "columns")


def node_of(document: Any, resource: Sequence[str]) -> Any:
    """The node of a resource, by the way to it, such as `("sources", "<source>", "tables", "<table>")`."""
    found = document
    for kind, name in zip(resource[::2], resource[1::2], strict=True):
        found = next(each for each in value_node(found, kind).value if value_node(each, "name").value == name)
    return found


def value_node(node: Any, key: str) -> Any:
    """The node of a mapping's value."""
    return next(each for name, each in node.value if name.value == key)


def _block(entry: dict[str, Any], indent: str) -> list[str]:
    """A mapping as lines of YAML; a text that is too long for one is folded."""
    lines = []
    for key, value in entry.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", *_block(value, indent + "  ")]
        elif len(line := f"{indent}{key}: {_scalar(value)}") <= _WIDTH:
            lines.append(line)
        else:
            inner = indent + "  "
            lines += [f"{indent}{key}: >", *_wrapped(value, inner)]
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _scalar(text: str | bool) -> str:
    """A text as YAML: as it is where YAML reads it so, else in quotes."""
    if isinstance(text, bool):
        return str(text).lower()
    try:
        plain = parsed_yaml(f"key: {text}") == {"key": text}
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=False)


def _folded(document: Any) -> Any:
    """The document without the line ends that a folded text ends in."""
    if isinstance(document, dict):
        return {key: _folded(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_folded(each) for each in document]
    return document.strip() if isinstance(document, str) else document


def alias_in(staging: str, column: str) -> str:
    """What a staging model's text calls a column of raw: what it selects it as, else the column's own name."""
    named = re.search(rf"\b{column}\b['\")}} ]* as (\w+),$", staging, re.MULTILINE)
    return named[1] if named else column


def is_reserved(name: str) -> bool:
    """Whether a name means something else than a column in SQL unless it stands in quotes, on either engine."""
    return name in _VALUES or name in _reserved()


@cache
def _reserved() -> set[str]:
    query = "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
    with duckdb.connect() as connection:
        return {str(name) for (name,) in connection.execute(query).fetchall()}


def selected(sql: str, expression: str, alias: str) -> str:
    """A staging model's text with one more column, in each list of columns before `is_deleted`.

    Args:
        sql: the model's text.
        expression: what the first list selects, such as `channel_code as channel_id`; those after it select the alias.
        alias: the column's name.

    Raises:
        FormError: the model has a column of that name, or no list with `is_deleted`.
    """
    if re.search(rf"\bas {alias}\b|^\s*{alias},?$", sql, re.MULTILINE):
        raise FormError(f"it has a column {alias} already")
    lines: list[str] = []
    selects = expression
    for line in sql.splitlines(keepends=True):
        if match := _IS_DELETED.fullmatch(line):
            lines.append(f"{match['indent']}{selects},\n")
            selects = alias
        lines.append(line)
    if len(lines) == len(sql.splitlines()):
        raise FormError("it has no list of columns with is_deleted, before which the new column would stand")
    return "".join(lines)


def tracked(sql: str, alias: str) -> str:
    """A snapshot's text with one more column in `check_cols`.

    Raises:
        FormError: its `check_cols` is no list of names in quotes.
    """
    match = _TRACKED.search(sql)
    if not match:
        raise FormError("it has no check_cols with a list of names")
    indent, names = match["indent"], match["names"]
    kept, added = names.rstrip().rstrip(","), f"'{alias}'"
    if "\n" in names:
        last = kept.rsplit("\n", 1)[1]
        room = len(last) + len(added) + 3 <= _WIDTH
        kept += f", {added}," if room else f",\n{indent}    {added},"
        kept += names[len(names.rstrip()) :]
    elif len(f"{match[0]}, {added},") <= _WIDTH:
        kept += f", {added}"
    else:
        kept = "\n".join(["", *_wrapped(f"{kept}, {added},", indent + "    "), indent])
    return sql[: match.start("names")] + kept + sql[match.end("names") :]
