"""The simulated company's way into raw as a whole."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingestion.demo.commerce import serving, simulate
from ingestion.destination.target import Target
from ingestion.load.run import load_all
from tests.ingestion.loads import ask, check_balance

SOURCES = ("accounts", "retail", "shop")


def truth(company: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(company / "truth.sqlite")) as connection:
        return connection.execute(query).fetchall()


def test_what_is_rejected_is_what_is_broken(tmp_path: Path, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    company = tmp_path / "company"
    simulate(company, 60, scale=0.3)
    with serving(company) as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        _, failures = load_all(warehouse, lambda line: None)
    assert failures == []
    for source in SOURCES:
        check_balance(source, warehouse)
        found = ask(warehouse, f"select resource, reasons from raw_{source}.rejects where resource <> 'files'")
        expected = truth(
            company, f"select resource, reason from truth_rejects where source = '{source}' and is_current = 1"
        )
        assert sorted((resource, *json.loads(reasons)) for resource, reasons in found) == sorted(expected), source
