"""A copy of the project, for tests that change it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ingestion.project import PROJECT_ROOT

# What a build needs of the project, and the linter of its YAML.
PARTS = (
    "ingestion", "warehouse", "models", "snapshots", "macros", "seeds", "tests/data", "tests/generic",
    "dbt_project.yml", "profiles.yml", ".yamllint", ".gitignore",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, for a test to change."""
    root = tmp_path / "project"
    for name in PARTS:
        part = PROJECT_ROOT / name
        if part.is_dir():
            shutil.copytree(part, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(part, root / name)
    return root
