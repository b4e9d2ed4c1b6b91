"""What a test does to a copy of the project."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ingestion.domains import listed
from ingestion.project import PROJECT_ROOT
from warehouse.parts import OF_DOMAINS, OF_SOURCES

# Where each domain, and each source, has a folder or files of its name beside what dbt reads.
PYTHON_OF_DOMAINS = ("ingestion/demo", "reports", "tests")
PYTHON_OF_SOURCES = ("ingestion/sources", "ingestion/demo", "tests")


def copied(root: Path, parts: Iterable[str]) -> Path:
    """Copy these folders and files of the project to a folder. Returns the folder."""
    for name in parts:
        part = PROJECT_ROOT / name
        if part.is_dir():
            shutil.copytree(part, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(part, root / name)
    return root


def without_domains(project: Path, keep_list: bool = False) -> None:
    """Delete all domains' and sources' folders, and empty the list, as somebody would who has no use for them.

    A project may be a whole clone, or have no more than dbt reads.
    """
    for domain in listed(project):
        owned = [project / folder / f"{domain.name}*" for folder in PYTHON_OF_DOMAINS]
        owned += [project / folder / f"{source}*" for folder in PYTHON_OF_SOURCES for source in domain.sources]
        for path in [path for pattern in owned for path in pattern.parent.glob(pattern.name)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for folders, kept in ((OF_DOMAINS, {"core", "dbt_project_evaluator"}), (OF_SOURCES, {"runs"})):
        for each in [each for folder in folders for each in (project / folder).iterdir()]:
            if each.is_dir() and each.name not in kept:
                shutil.rmtree(each)
            elif not each.is_dir() and each.parent.name in ("domains", "staging"):
                each.unlink()
    if not keep_list:
        edit_list(project, {})


def edit_list(project: Path, entries: dict[str, Any]) -> None:
    """Replace the list of domains."""
    file = project / "dbt_project.yml"
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    read["vars"]["domains"] = entries
    file.write_text(yaml.safe_dump(read, sort_keys=False), encoding="utf-8")


def edit(file: Path, old: str, new: str) -> None:
    """Replace what stands in a file; it must stand there."""
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}"
    file.write_text(text.replace(old, new), encoding="utf-8")
