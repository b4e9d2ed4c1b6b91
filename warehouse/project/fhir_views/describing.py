"""The entry of a staging model in the YAML of its folder."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator

from warehouse.project.fhir_views.staging import LOG, Model

_WIDTH = 120


def entry(model: Model, description: str) -> str:
    """The entry: what a row is, a test of the key, and what each column means."""
    key = [*model.key, "valid_at", "source_revision", "is_deleted"]
    said = f"{description} Key {', '.join(f'`{column}`' for column in key[:-1])}."
    lines = [
        f"  - name: {model.name}",
        *_folded("    description: ", said),
        "    data_tests:",
        "      - unique_combination:",
        "          arguments:",
        f"            columns: [{', '.join(key)}]",
        "          config:",
        "            # A source that changes a record without saying so leaves two versions that only their content",
        "            # tells apart.",
        "            severity: warn",
        "            meta: {quality_dimension: consistency}",
        "    columns:",
    ]
    for name, meaning in model.columns:
        lines += [f"      - name: {name}", *_folded("        description: ", meaning)]
    for _, name in LOG:
        lines += [f"      - name: {name}", f"        description: \"{{{{ doc('{name}') }}}}\""]
    return "\n".join(lines) + "\n"


def _folded(start: str, text: str) -> Iterator[str]:
    """A description on one line, or folded where it is longer."""
    is_plain = re.match(r"[A-Za-z]", text) and not re.search(r": | #|:$", text)
    written = text if is_plain else json.dumps(text, ensure_ascii=False)
    if len(start) + len(written) <= _WIDTH:
        yield start + written
        return
    indent = " " * (len(start) - len(start.lstrip()) + 2)
    yield f"{start}>"
    # A line's end is read as a blank, and so it stands where there is one.
    yield from textwrap.wrap(
        text, _WIDTH - len(indent), initial_indent=indent, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def with_model(text: str, name: str, written: str) -> str:
    """The YAML's text with the entry of a model in the place of the one that it has, or at its end."""
    start = re.search(rf"^  - name: {re.escape(name)}$", text, re.MULTILINE)
    if not start:
        return text.rstrip("\n") + "\n\n" + written
    after = re.search(r"^  - name: ", text[start.end() :], re.MULTILINE)
    end = start.end() + after.start() if after else len(text)
    return text[: start.start()] + written + ("\n" if after else "") + text[end:]
