"""Lay out a new domain: its folders, each with the file that the house style expects there, and its entry in the list.

It builds as it is, with nothing in it, and isn't published: readers see it once its entry says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ingestion.contract.contracts import OWN_SOURCE
from ingestion.domains import listed
from warehouse.errors import BuildError
from warehouse.parts import CORE

# Schemas that a warehouse has beside its domains'.
TAKEN = {
    CORE, OWN_SOURCE, "ops", "granary", "staging", "intermediate", "snapshots", "seeds", "test_failures", "partitions",
    "privacy", "access", "audit", "main", "public",
}  # fmt: skip

ENTRY = """    {name}:
      label: {label}
      owner: data platform
{more}      sources: {{}}
"""
FILES = {
    "models/intermediate/{name}/_{name}__models.yml": "version: 2\n\nmodels: []\n",
    "models/marts/{name}/_columns.md": "Columns that several marts of {name} share are described here, once.\n",
    "macros/domains/{name}.sql": "{{# What several models of {name} compute in the same way. #}}\n",
    "seeds/{name}/_{name}__seeds.yml": "version: 2\n\nseeds: []\n",
    "tests/data/{name}/.gitkeep": "",
    "reports/{name}/__init__.py": '"""What people look at of {name}."""\n',
}


def lay_out(
    project: Path, name: str, say: Callable[[str], None], *, published: bool = False, example: str = ""
) -> None:
    """Write a domain's files and its entry.

    Args:
        project: the project's folder.
        name: the domain.
        say: takes lines.
        published: whether readers see it from its first build on.
        example: a question to begin with.

    Raises:
        BuildError: the name is none for a schema, or taken; nothing was written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or name in TAKEN:
        raise BuildError(
            f"'{name}' is no name for a domain: it becomes a schema, in snake_case, and not one of Granary's"
        )
    files = {project / path.format(name=name): text.format(name=name) for path, text in FILES.items()}
    there = [str(path.relative_to(project)) for path in files if path.exists()]
    if there or name in [domain.name for domain in listed(project)]:
        raise BuildError(f"there is a domain {name} already: {', '.join(there) or 'it is in dbt_project.yml'}")
    listing = project / "dbt_project.yml"
    text = listing.read_text(encoding="utf-8")
    more = (f"      example: {example}\n" if example else "") + ("" if published else "      published: false\n")
    entry = ENTRY.format(name=name, label=name.replace("_", " ").capitalize(), more=more)
    with_entry, found = re.subn(r"\n  domains:( \{\})?\n", lambda _: f"\n  domains:\n{entry}", text, count=1)
    if not found:
        raise BuildError(
            "dbt_project.yml has no list of domains: it begins with `domains:`, alone on its line, in vars"
        )
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        say(f"written: {path.relative_to(project)}")
    listing.write_text(with_entry, encoding="utf-8")
    on = ",".join([*(domain.name for domain in listed(project) if domain.published), name])
    say(f"listed in dbt_project.yml, and not published yet. Next: name its sources there, then make build DOMAINS={on}")
