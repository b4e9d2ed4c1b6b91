"""A copy of the project, for tests that change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.domains.clones import copied

# What a build needs of the project, and the linter of its YAML.
PARTS = (
    "ingestion", "warehouse", "models", "snapshots", "macros", "seeds", "tests/data", "tests/generic",
    "dbt_project.yml", "profiles.yml", ".yamllint", ".gitignore",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, for a test to change."""
    return copied(tmp_path / "project", PARTS)
