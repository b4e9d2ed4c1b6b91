"""The domains of a project, and those of them that are on.

`vars: domains:` of dbt_project.yml is the one list: what a domain is called, whose it is, which sources it reads, and
whether it is published. `DOMAINS` of the environment replaces the last for a warehouse of one's own: the names of
those that are on, and where it is empty, none. macros/ops/domains.sql reads both in the same way.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ingestion.environment import ConfigurationError
from ingestion.project import PROJECT_ROOT, parsed_yaml


@dataclass(frozen=True)
class Source:
    """A source in the words that readers know it by. `kind`: how it is read."""

    source_id: str
    name: str
    kind: str
    description: str


@dataclass(frozen=True)
class Domain:
    """An entry of the list.

    sources: the names of those that it reads.
    example: a question that its marts answer, in SQL.
    """

    name: str
    label: str
    owner: str
    sources: tuple[str, ...]
    published: bool
    example: str = ""


def listed(project: Path = PROJECT_ROOT) -> list[Domain]:
    """Every domain of the list, on or off, by name."""
    return [
        Domain(
            name,
            str(entry.get("label", name)),
            str(entry.get("owner", "")),
            tuple(sorted(entry.get("sources") or ())),
            bool(entry.get("published", True)),
            str(entry.get("example", "")),
        )
        for name, entry in sorted(_entries(project).items())
    ]


def domains(project: Path = PROJECT_ROOT) -> list[Domain]:
    """The domains that are on, by name.

    Raises:
        ConfigurationError: DOMAINS names one that isn't in the list.
    """
    there, asked = listed(project), os.environ.get("DOMAINS")
    if asked is None:
        return [domain for domain in there if domain.published]
    names = set(re.findall(r"[^\s,]+", asked))
    if unknown := sorted(names - {domain.name for domain in there}):
        raise ConfigurationError(
            f"DOMAINS names {', '.join(unknown)}, which dbt_project.yml doesn't list: it has "
            f"{', '.join(domain.name for domain in there) or 'none'}"
        )
    return [domain for domain in there if domain.name in names]


def schemas_of(domain: str, project: Path = PROJECT_ROOT) -> list[str]:
    """The schemas in which a domain is published: its own, and one for each folder within its folder of marts."""
    folder = project / "models" / "marts" / domain
    within = sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    return [domain, *(f"{domain}_{name}" for name in within)]


def source_ids(project: Path = PROJECT_ROOT) -> list[str]:
    """The sources that the domains that are on read, by name. Raises ConfigurationError."""
    return sorted({source for domain in domains(project) for source in domain.sources})


def named_sources(project: Path = PROJECT_ROOT) -> list[Source]:
    """The same with their words, which one of the domains that read a source gives. Raises ConfigurationError."""
    words: dict[str, dict[str, str]] = {}
    for entry in _entries(project).values():
        for source, given in (entry.get("sources") or {}).items():
            words[source] = words.get(source) or given or {}
    return [
        Source(each, words[each].get("name", each), words[each].get("kind", ""), words[each].get("description", ""))
        for each in source_ids(project)
    ]


def _entries(project: Path) -> dict[str, Any]:
    """The list as it is written; where its last entry was taken out, nothing is left below its name."""
    return variables(project).get("domains") or {}


def variables(project: Path = PROJECT_ROOT) -> dict[str, Any]:
    """The project's variables, as dbt_project.yml has them now."""
    file = project / "dbt_project.yml"
    return _variables(file, file.stat().st_mtime_ns)


@cache
def _variables(file: Path, changed: int) -> dict[str, Any]:
    read: dict[str, Any] = parsed_yaml(file.read_text(encoding="utf-8")).get("vars") or {}
    return read
