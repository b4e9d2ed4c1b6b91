"""No file outside a domain's folders names the domain, its sources or its tables."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ingestion.domains import listed
from ingestion.project import PROJECT_ROOT
from tests.domains.clones import PYTHON_OF_DOMAINS, PYTHON_OF_SOURCES
from warehouse.parts import OF_DOMAINS, OF_SOURCES

# What may name a domain as an example or as a subject: what people read, what measures and tries, the list itself.
FREE = ("docs/", "bench/", "findings/", "tests/", "requirements/", "dbt_project.yml", ".secrets.baseline")
READ = {".md"}  # examples in documentation; doc blocks of models are no such thing


def _names() -> set[str]:
    found: set[str] = set()
    for domain in listed():
        found |= {domain.name, *domain.sources}
        folders = [PROJECT_ROOT / folder / domain.name for folder in OF_DOMAINS]
        folders += [PROJECT_ROOT / folder / source for folder in OF_SOURCES for source in domain.sources]
        found |= {path.stem for folder in folders for path in folder.rglob("*.sql")}
    # A source may be called as the kind of system that it is.
    return found - {each.name for each in (PROJECT_ROOT / "ingestion" / "readers").iterdir()}


def _owned() -> tuple[str, ...]:
    """The beginnings of the paths that are a domain's, or a source's."""
    found = []
    for domain in listed():
        found += [f"{folder}/{domain.name}" for folder in (*OF_DOMAINS, *PYTHON_OF_DOMAINS)]
        for source in domain.sources:
            found += [f"{folder}/{source}" for folder in (*OF_SOURCES, *PYTHON_OF_SOURCES)]
    return tuple(found)


def _naming(files: dict[str, str], names: set[str], owned: tuple[str, ...]) -> set[str]:
    """Those of the files (path: text) that name a domain, a source or a table of one, and aren't theirs."""
    if not names:
        return set()
    # An underscore ends a name too: raw_shop names the shop.
    said = re.compile(rf"(?<![a-z0-9])({'|'.join(sorted(names, key=len, reverse=True))})(?![a-z0-9])", re.IGNORECASE)
    return {name for name, text in files.items() if said.search(text) and not name.startswith((*owned, *FREE))}


def _files() -> dict[str, str]:
    listing = subprocess.run(["git", "ls-files"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    paths = [PROJECT_ROOT / name for name in listing.stdout.splitlines()]
    return {
        str(path.relative_to(PROJECT_ROOT)): path.read_text(encoding="utf-8", errors="replace")
        for path in paths
        if path.is_file() and not (path.suffix in READ and _is_documentation(path))
    }


def _is_documentation(path: Path) -> bool:
    return not str(path.relative_to(PROJECT_ROOT)).startswith("models/")


def test_no_file_outside_a_domains_folders_names_it() -> None:
    assert sorted(_naming(_files(), _names(), _owned())) == []


def test_a_file_that_names_one_is_found() -> None:
    files = {
        "warehouse/a.py": "select 1 from raw_shop.users", "warehouse/b.py": "# as fct_sales has it",
        "macros/portable/c.sql": "Commerce", "models/marts/commerce/d.sql": "commerce", "docs/e.md": "the shop",
        "warehouse/f.py": "a workshop, and ecommerce",
    }  # fmt: skip
    naming = _naming(files, {"commerce", "shop", "fct_sales"}, ("models/marts/commerce",))
    assert naming == {"warehouse/a.py", "warehouse/b.py", "macros/portable/c.sql"}
    assert _naming(files, set(), ()) == set()
