"""A short, seeded part of `make prove`, and that its planted faults can still be planted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from tests.prove.kills import prove_kills
from tests.prove.mutations import MUTATIONS, PLAN, copy_project, plant
from tests.prove.paths import follow
from tests.prove.tally import Tally
from tests.prove.world import World
from warehouse.database import open_database

pytestmark = pytest.mark.slow

SEED = 20261121


def test_late_corrected_and_rolled_back_comes_out_the_same(tmp_path: Path) -> None:
    tally = Tally()
    follow([(str(step), int(number)) for step, number in PLAN], World(tmp_path), tally)
    assert tally.counts["paths compared"] == 1
    assert tally.counts["loads that commit late"] > 0
    assert tally.counts["generations rolled back"] == 1


@pytest.mark.battery
def test_a_late_original_does_not_win(tmp_path: Path) -> None:
    """The corrected file of a day is there first, what it corrects comes two builds later."""
    world = World(tmp_path)
    corrected = next(file for file in reversed(world.withheld()) if file.suffix == ".csv")
    original = world.written / f"1_{corrected.name}"
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
    world.expect_same_as_all_at_once("a late original", Tally())


@pytest.mark.parametrize(
    "engine", ["duckdb", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.battery])]
)
def test_killed_builds_leave_whole_generations(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings = None if engine == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    tally = Tally()
    prove_kills(tmp_path, settings, SEED, 1, tally)
    assert tally.counts["kills survived"] + tally.counts["builds that were done before their kill"] == 1
    assert tally.counts["reads of whole generations"] > 100
    assert tally.counts["torn reads"] == tally.counts["failed reads"] == 0


def test_every_mutation_can_be_planted(tmp_path: Path) -> None:
    copy_project(tmp_path / "project")
    for number, mutation in enumerate(MUTATIONS):
        root = tmp_path / str(number)
        (root / mutation.file).parent.mkdir(parents=True)
        shutil.copy2(tmp_path / "project" / mutation.file, root / mutation.file)
        plant(mutation, root)
