"""Where a source's table goes in the project: the staging models that read it, and their snapshots."""

from __future__ import annotations

import re
from pathlib import Path

STAGING = Path("models", "staging")


def staging_models(root: Path, source: str, table: str) -> list[str]:
    """The names of the staging models that read a table."""
    reads = re.compile(rf"\bsource\(\s*['\"]{source}['\"]\s*,\s*['\"]{table}['\"]\s*\)")
    files = sorted((root / STAGING / source).glob("*.sql"))
    return [file.stem for file in files if reads.search(file.read_text(encoding="utf-8"))]


def snapshot_files(root: Path, source: str, model: str) -> list[Path]:
    """The files of the snapshots of a staging model, below the root."""
    reads = re.compile(rf"\bfrom\s+\{{\{{\s*ref\(\s*['\"]{model}['\"]")
    files = sorted((root / "snapshots" / source).glob("*.sql"))
    return [file.relative_to(root) for file in files if reads.search(file.read_text(encoding="utf-8"))]
