"""The club's fixtures, on a lake unless a test says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny.club import Club
from tests.tiny.conftest import engine as engine

on_both = pytest.mark.parametrize("engine", ["lake", "lake_in_files"], indirect=True)


@pytest.fixture
def club(engine: dict[str, str], tmp_path: Path) -> Club:
    """A club of which nothing is known yet."""
    return Club(tmp_path / "club", engine)
