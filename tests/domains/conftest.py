"""A clone of the project, whose list of domains and whose folders a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.destination.target import Target
from ingestion.project import PROJECT_ROOT

# What dbt and ingestion read of a project.
PARTS = ("models", "snapshots", "macros", "seeds", "tests/data", "tests/generic", "dbt_project.yml", "profiles.yml")


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which domains are on is for each test to say, and so is where dbt writes."""
    for name in ("DOMAINS", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clone(tmp_path: Path) -> Target:
    """An empty DuckDB warehouse of a copy of the project."""
    root = tmp_path / "project"
    for part in PARTS:
        if (PROJECT_ROOT / part).is_dir():
            shutil.copytree(PROJECT_ROOT / part, root / part)
        else:
            shutil.copyfile(PROJECT_ROOT / part, root / part)
    return Target("dev", "duckdb", tmp_path / "warehouse", project=root)


OF_DOMAINS = ("models/intermediate", "models/marts", "macros/domains", "seeds", "tests/data")
OF_SOURCES = ("models/staging", "macros/staging", "snapshots")


def without_domains(project: Path) -> None:
    """Delete all domains' and sources' folders, and empty the list, as somebody would who has no use for them."""
    for folders, kept in ((OF_DOMAINS, {"core"}), (OF_SOURCES, {"runs"})):
        for each in [each for folder in folders for each in (project / folder).iterdir()]:
            if each.is_dir() and each.name not in kept:
                shutil.rmtree(each)
            elif not each.is_dir() and each.parent.name in ("domains", "staging"):
                each.unlink()
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
