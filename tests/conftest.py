"""Fixtures that several test packages share: a warehouse of one's own, and servers that only tests use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingestion.destination import Target


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings of the person who runs it."""
    for name in list(os.environ):
        if name.startswith(("SOURCES__", "PG", "GRANARY_")) or name in ("TARGET", "WAREHOUSE_DIR", "SANDBOX_NAME"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")


@pytest.fixture
def warehouse(tmp_path: Path) -> Target:
    """An empty DuckDB warehouse."""
    return Target("dev", "duckdb", tmp_path / "warehouse")
