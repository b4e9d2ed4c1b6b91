"""How a scaffold's files are written: SQL from templates, YAML in the house's form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

# The text of a template is dbt's, with braces of its own; what is filled in stands in [[ ]] and [% %].
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "templates"),
    block_start_string="[%", block_end_string="%]", variable_start_string="[[", variable_end_string="]]",
    comment_start_string="[#", comment_end_string="#]", trim_blocks=True, lstrip_blocks=True,
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False,
)  # fmt: skip


_TEMPLATES.globals |= {
    "a": lambda noun: f"{'an' if noun[0] in 'aeio' else 'a'} {noun}",
    "as_named": lambda column, name: column if column.rpartition(".")[2] == name else f"{column} as {name}",
    "one_or_list": lambda names: repr(names[0] if len(names) == 1 else list(names)),
}


class Flow(dict[str, Any]):
    """A mapping on one line."""


class FlowList(list[Any]):
    """A list on one line."""


class _Dumper(yaml.SafeDumper):
    """YAML as yamllint has it here: lists are indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # A line is broken after the word that is over the width.
    style = "|" if "\n" in text else ">" if len(text) > 80 else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, True))
_Dumper.add_representer(FlowList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))


def rendered(template: str, **values: Any) -> str:
    """A template's text. Raises jinja2.UndefinedError where a value of it isn't given."""
    return _TEMPLATES.get_template(template).render(**values)


def dumped(content: dict[str, Any], head: str = "") -> str:
    """A YAML file of dbt's. `head`: comment lines that stand before the content."""
    return f"version: 2\n\n{head}{_yaml(content)}"


def dumped_items(entries: Sequence[dict[str, Any]]) -> str:
    """Items of a list in such a file, at the left edge."""
    return "".join(_yaml([entry]) for entry in entries)


def _yaml(content: Any) -> str:
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=90))


def a_test(name: str, measures: str, *, config: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    """A test's entry. `measures`: its quality dimension."""
    settings = {**(config or {}), "meta": Flow(quality_dimension=measures)}
    return {name: {**({"arguments": arguments} if arguments else {}), "config": settings}}


def from_docs(names: Sequence[str]) -> list[dict[str, Any]]:
    """Entries of columns that are described once for all tables."""
    return [{"name": name, "description": f"{{{{ doc('{name}') }}}}"} for name in names]
