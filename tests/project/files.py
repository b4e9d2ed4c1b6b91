"""What the rules of the project read: its files, as text and as YAML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

_COMMENT = re.compile(r"\{#.*?#\}|/\*.*?\*/|--[^\n]*", re.DOTALL)


def files_in(root: Path, folder: str, *suffixes: str) -> list[Path]:
    """The files of a folder with one of these ends, but for what dbt wrote there."""
    found = (path for path in (root / folder).rglob("*") if path.is_file() and path.suffix in suffixes)
    return sorted(path for path in found if "target" not in path.relative_to(root).parts)


def named(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def code_of(path: Path) -> str:
    """A SQL file's text without comments of either language."""
    return _COMMENT.sub(" ", path.read_text(encoding="utf-8"))


def entries(path: Path, kind: str) -> list[dict[str, Any]]:
    """The resources of one kind (`models`, `snapshots`) that a YAML file lists."""
    document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return list(document.get(kind) or [])
