"""A simulated company's warehouse, on a lake as in DuckDB's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouses import command, differences

# Enough for every model to have rows, and little enough for some minutes.
COMPANY = {"DAYS": "60", "SCALE": "0.1"}


@pytest.mark.battery
@pytest.mark.parametrize("domains", ["commerce", "healthcare"])
def test_every_published_table_is_the_same_row_by_row(tmp_path: Path, domains: str) -> None:
    """Over a first build and the day after it, with all of dbt's tests."""
    place = {
        **COMPANY, "DOMAINS": domains, "PRIVACY__CROSSWALK": str(tmp_path / "crosswalk.duckdb"),
        "DBT_TARGET_PATH": str(tmp_path / "target"),
    }  # fmt: skip
    for target in ("dev", "lake"):
        for words in (["build"], ["next-day"]):
            log = tmp_path / f"{target}.log"
            with command(words, tmp_path / target, {**place, "TARGET": target}, log) as process:
                assert process.wait() == 0, log.read_text(encoding="utf-8")[-3000:]
    assert differences(tmp_path / "dev", tmp_path / "lake", least=20) == {}
