"""The simulated clinic comes out the same by any path, whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingestion.demo.healthcare import DemoError, folder, next_day, serving, simulate
from ingestion.demo.healthcare.clinic import to_state
from ingestion.demo.healthcare.folder import last_state
from ingestion.demo.keeping import place_files
from tests.healthcare.demo.clinics import truth

ROOT = Path(__file__).resolve().parents[3]
SCALE = 0.2
TABLES = "select name from sqlite_master where type = 'table' order by 1"


def content(root: Path) -> dict[str, Any]:
    """Everything that the clinic's systems and its truth hold."""
    found: dict[str, Any] = {
        table: sorted(map(repr, truth(root, f"select * from {table}"))) for (table,) in truth(root, TABLES)
    }
    for path in sorted(path for path in (root / "systems").rglob("*") if path.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(root))] = (digest, path.stat().st_mtime_ns)
    return found


@pytest.fixture(scope="module")
def forty_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "forty"
    simulate(root, 40, scale=SCALE)
    return root


def test_same_by_any_path(forty_days: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "c", 25, scale=SCALE)
    for _ in range(15):
        next_day(tmp_path / "c")
    assert content(tmp_path / "c") == content(forty_days)
    assert to_state(last_state(tmp_path / "c")) == to_state(last_state(forty_days))


def test_same_in_another_process(forty_days: Path, tmp_path: Path) -> None:
    """String hashing and time zones differ between processes; the clinic must not."""
    words = ["--domain", "healthcare", "--days", "40", "--scale", str(SCALE), "--folder", str(tmp_path / "c")]
    environment = os.environ | {"PYTHONHASHSEED": "123", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-m", "ingestion.demo", "simulate", *words], check=True, env=environment, cwd=ROOT)
    assert content(tmp_path / "c") == content(forty_days)


def test_another_seed_is_another_clinic(forty_days: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "c", 3, seed=8, scale=SCALE)
    names = "select family_name, given_name, birth_date from truth_patients"
    assert not set(truth(tmp_path / "c", names)) & set(truth(forty_days, names))


def test_longer_is_what_was_there_and_more(forty_days: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "c", 60, scale=SCALE)
    files = {name: value for name, value in content(forty_days).items() if name.startswith("systems")}
    longer = content(tmp_path / "c")
    assert {name: longer[name] for name in files} == files


def test_simulating_again_changes_nothing(forty_days: Path) -> None:
    before = content(forty_days)
    simulate(forty_days, 40, scale=SCALE)
    assert content(forty_days) == before


def test_refusals(forty_days: Path, tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="seed 7"):
        simulate(forty_days, 50, seed=8, scale=SCALE)
    with pytest.raises(DemoError, match="40 days already"):
        simulate(forty_days, 39, scale=SCALE)
    with pytest.raises(DemoError, match="no folder of the demo"):
        next_day(tmp_path / "missing")


@pytest.mark.parametrize("step", ["write_truth", "store_state", "place_files"])
def test_crash_in_an_extension(step: str, forty_days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the commit nothing has happened; after it, the next command puts the files into place."""
    root = tmp_path / "c"
    simulate(root, 30, scale=SCALE)
    before = content(root)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        place, calls = place_files, itertools.count()
        # The first call finishes an earlier run's files; the crash comes after this run's commit.
        later = (lambda *args: crash() if next(calls) else place(*args)) if step == "place_files" else crash
        patch.setattr(folder, step, later)
        with pytest.raises(KeyboardInterrupt):
            simulate(root, 40, scale=SCALE)
    if step != "place_files":
        assert content(root) == before
    simulate(root, 40, scale=SCALE)
    assert content(root) == content(forty_days)


def test_serving_names_what_is_there(forty_days: Path) -> None:
    with serving(forty_days) as settings:
        assert sorted(path.name for path in Path(settings["SOURCES__FHIR__BUCKET_URL"]).iterdir())[0] == "2024-01-01"
        assert list(Path(settings["SOURCES__LAB__BUCKET_URL"]).glob("*.hl7"))
        assert settings["GRANARY_OBSERVED_AT"] == "2024-02-10T00:00:00Z"


def test_size(clinic: Path) -> None:
    """Two years fit in 60 MB, the truth and the simulator's state included."""
    assert sum(path.stat().st_size for path in clinic.rglob("*") if path.is_file()) < 60_000_000
    assert 280 <= truth(clinic, "select count(*) from truth_persons")[0][0] <= 400
