"""DuckDB's files are copied whole, and come back whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from tests.tiny.club import PROJECT, Club
from tests.warehouses import settings
from warehouse.errors import BuildError
from warehouse.ops.backup import back_up, restore


def backed_up(warehouse: Path, keep: int = 7) -> tuple[Path, list[str]]:
    said: list[str] = []
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(warehouse), "GRANARY_PROJECT_DIR": str(PROJECT)}):
        return back_up(current_target(), None, keep, said.append), said


def restored(warehouse: Path, backup: Path | None = None) -> list[str]:
    said: list[str] = []
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(warehouse), "GRANARY_PROJECT_DIR": str(PROJECT)}):
        restore(current_target(), backup, said.append)
    return said


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Somebody else has the file open all the while."""
    opened = f"duckdb.connect({str(file)!r}, read_only=True)"
    program = f"import duckdb, sys; reader = {opened}; print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout and reader.stdout.readline() == b"open\n"
        try:
            yield
        finally:
            reader.kill()


def test_there_and_back(grown: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
    before = grown.published()
    with reading(grown.warehouse / "warehouse.duckdb"):
        backup, said = backed_up(grown.warehouse)
    assert said[0].startswith(f"backup {backup}: ") and "checked" in said[0]
    grown.visit(50, "02-02 10:00", 3)
    grown.deliver()
    grown.build()
    after = grown.published()
    assert after != before
    lines = restored(grown.warehouse)
    assert lines[-1].startswith(f"restored {backup} of ")
    assert grown.published() == before
    # It goes on from there: what came since is loaded again, and nothing twice.
    grown.build()
    assert grown.published() == after == grown.expected()


def test_after_the_loss_of_everything(grown: Club, tmp_path: Path) -> None:
    warehouse = grown.warehouse
    backup, _ = backed_up(warehouse)
    kept = shutil.copytree(backup, tmp_path / "elsewhere")
    shutil.rmtree(warehouse)
    restored(warehouse, kept)
    assert grown.published() == grown.expected()


def test_a_backup_that_is_damaged_changes_nothing(grown: Club, tmp_path: Path) -> None:
    warehouse = grown.warehouse
    backup, _ = backed_up(warehouse)
    before = (warehouse / "build.duckdb").stat().st_mtime_ns
    with (backup / "build.duckdb").open("r+b") as file:
        file.seek(100_000)
        file.write(b"broken")
    with pytest.raises(BuildError, match="is not what was backed up"):
        restored(warehouse)
    (backup / "warehouse.duckdb").unlink()
    with pytest.raises(BuildError, match="is not what was backed up"):
        restored(warehouse, backup)
    assert (warehouse / "build.duckdb").stat().st_mtime_ns == before
    with pytest.raises(BuildError, match="there is no backup in"):
        restored(warehouse, tmp_path / "nowhere")


def test_the_newest_are_kept(grown: Club, tmp_path: Path) -> None:
    warehouse = grown.warehouse
    for name in ("20250101T000000Z", "20250102T000000Z"):
        folder = warehouse / "backups" / name
        folder.mkdir(parents=True)
        (folder / "backup.json").write_text("{}", encoding="utf-8")
    (warehouse / "backups" / "20240101T000000Z.partial").mkdir()
    backup, said = backed_up(warehouse, keep=2)
    assert said[1:] == ["let go of 20250101T000000Z: the 2 newest are kept"]
    assert sorted(each.name for each in (warehouse / "backups").iterdir()) == [
        "20240101T000000Z.partial", "20250102T000000Z", backup.name,
    ]  # fmt: skip


def test_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="nothing is published in"):
        backed_up(tmp_path / "warehouse")
    ended = subprocess.run(
        [sys.executable, "-m", "warehouse", "backup"], capture_output=True, text=True,
        env={"TARGET": "prod", "PGHOST": "nowhere", "PATH": "/usr/bin", "WAREHOUSE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode == 1 and "backed up by `make backup TARGET=prod`" in ended.stderr
