"""A short, seeded part of `make prove`, and that its planted faults can still be planted."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from ingestion.project import PROJECT_ROOT
from tests.prove.batches import prove_batches
from tests.prove.kills import prove_kills
from tests.prove.mutations import MUTATIONS, PLAN, copy_project, plant
from tests.prove.paths import follow
from tests.prove.tally import Tally
from tests.tiny.world import TinyWorld

SEED = 20261121


def test_late_corrected_and_rolled_back_comes_out_the_same(tmp_path: Path) -> None:
    tally = Tally()
    follow([(str(step), int(number)) for step, number in PLAN], TinyWorld(tmp_path), tally)
    assert tally.counts["paths compared"] == 1
    assert tally.counts["loads that commit late"] > 0
    assert tally.counts["generations rolled back"] == 1


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_killed_builds_leave_whole_generations(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings = None if engine == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    tally = Tally()
    prove_kills(TinyWorld, tmp_path, settings, SEED, 1, tally)
    assert tally.counts["kills survived"] + tally.counts["builds that were done before their kill"] == 1
    assert tally.counts["reads of whole generations"] > 100
    assert tally.counts["torn reads"] == tally.counts["failed reads"] == 0


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_batches_without_dbt_are_those_of_dbt(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings = None if engine == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    tally = Tally()
    prove_batches(TinyWorld, tmp_path, settings, SEED, 8, 3, tally)
    assert tally.counts["batches compared"] == 8
    assert tally.counts["kills survived"] > 0
    assert tally.counts["batches without dbt"] >= 3


def test_every_mutation_can_be_planted(tmp_path: Path) -> None:
    """Those of each domain among them: their texts are the product's."""
    domains = [path.parent.name for path in sorted((PROJECT_ROOT / "tests").glob("*/proof.py"))]
    own = [each for name in domains for each in importlib.import_module(f"tests.{name}.proof").MUTATIONS]
    assert not domains or own
    copy_project(tmp_path / "project")
    for number, mutation in enumerate((*MUTATIONS, *own)):
        root = tmp_path / str(number)
        (root / mutation.file).parent.mkdir(parents=True)
        shutil.copy2(tmp_path / "project" / mutation.file, root / mutation.file)
        plant(mutation, root)
