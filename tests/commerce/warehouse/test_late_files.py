"""A day's file that comes after what corrects it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from tests.commerce.world import Company
from tests.prove.tally import Tally
from warehouse.database import open_database


@pytest.mark.battery
def test_a_late_original_does_not_win(tmp_path: Path) -> None:
    """The corrected file of a day is there first, what it corrects comes two builds later."""
    world = Company(tmp_path)
    corrected = next(file for file in reversed(world.withheld()) if file.suffix == ".csv")
    original = world.written / f"{corrected.stem}_at_first.csv"
    lines = corrected.read_bytes().splitlines(keepends=True)
    assert len(lines) > 2 and b"United Kingdom" in lines[1]
    original.write_bytes(b"".join([lines[0], *lines[2:], lines[1].replace(b"United Kingdom", b"France")]))
    earlier = corrected.stat().st_mtime_ns - 3_600_000_000_000
    os.utime(original, ns=(earlier, earlier))
    world.deliver([file for file in world.withheld() if file != original])
    world.build()
    world.pass_days()
    world.deliver([file for file in world.withheld() if file != original])
    world.build()
    world.deliver([original])
    world.build()
    with world.entered(), open_database(current_target()) as database:
        files = database.raw("retail", "files")
        # Both were read, the original last: else there is nothing that could have won.
        assert [row[0] for row in database.run(f"""
            select file_name from {files}
            where trading_date = (select trading_date from {files} where file_name = %s) order by _load_id""",
            [original.name])] == [corrected.name, original.name]  # fmt: skip
    world.expect_right("a late original", Tally())
