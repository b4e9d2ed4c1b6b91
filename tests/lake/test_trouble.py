"""What a lake refuses, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from tests.tiny.club import Club
from warehouse.build.demo import MARKER
from warehouse.build.retire import retire
from warehouse.errors import BuildError
from warehouse.ops.backup import back_up
from warehouse.publish.compaction import compact


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a lake whose catalogs would be files."""
    monkeypatch.setenv("TARGET", "lake")
    monkeypatch.setenv("WAREHOUSE_DIR", str(tmp_path))
    return tmp_path


def test_what_is_no_place_for_a_lake_is_said(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_URL", "ftp://somewhere/granary")
    with pytest.raises(ConfigurationError, match="name a folder, or a place in an object store"):
        current_target()


def test_catalogs_that_cant_be_asked_are_said(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", str(lake))
    with pytest.raises(ConfigurationError, match=r"catalogs can't be asked.*PGHOST"):
        assert current_target().has_published


def test_keys_are_in_no_file_in_the_clear(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVACY__FILES_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    with pytest.raises(ConfigurationError, match="in a Postgres that PGHOST names"):
        current_target()


def test_the_demos_lake_takes_no_real_data(tmp_path: Path) -> None:
    club = Club(tmp_path / "club", {"TARGET": "lake"})
    club.warehouse.mkdir(parents=True)
    (club.warehouse / MARKER).touch()
    club.member(1, "01-01")
    club.deliver()
    with pytest.raises(BuildError, match=r"holds the demo's data.*WAREHOUSE_DIR"):
        club.build()


def test_what_a_lake_has_no_use_for_is_said(lake: Path) -> None:
    target = current_target()
    with pytest.raises(BuildError, match=r"docs/lake\.md, backup"):
        back_up(target, None, 7, print)
    with pytest.raises(BuildError, match="another LAKE_URL"):
        retire(target, "commerce", print)
    with pytest.raises(BuildError, match="no lake yet"):
        compact(target, print)


def test_there_is_nothing_to_compact_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_DIR", str(tmp_path))
    with pytest.raises(BuildError, match="only a lake"):
        compact(current_target(), print)
