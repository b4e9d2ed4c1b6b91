"""The shared health records, file by file in any order, on either engine: always the same tables."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.healthcare.marts.care import SHARED, build_care
from tests.prove.same import expect_same
from tests.prove.tally import BrokenPromiseError, Tally

FOLDERS = ("fhir_bulk", "fhir_bundles_us", "fhir_bundles_hiv")
NOT_RUN = "THE SHARED HEALTH DATA ARE NOT HERE: THE PART domain WAS NOT RUN"


def prove_records(
    folder: Path,
    postgres: Mapping[str, str],
    number: int,
    tally: Tally,
    say: Callable[[str], None],
    *,
    short: bool = False,
) -> None:
    """Deliver the records in some order and build in between, and compare with all of them at once.

    Args:
        folder: for the files and warehouses; it must be empty.
        postgres: TARGET and libpq's variables of an empty database.
        number: the seed, which decides the order.
        tally: counts paths, rows, builds and files.
        say: takes lines of progress.
        short: with a build after each half, on Postgres alone, beside all at once on DuckDB.

    Raises:
        BrokenPromiseError: tables differ; or CI is true and the records are not there.
    """
    if not SHARED.exists():
        if os.environ.get("CI") == "true":
            raise BrokenPromiseError(NOT_RUN)
        say(NOT_RUN)
        return
    files = [path for name in (*FOLDERS, "hl7v2") for path in sorted((SHARED / name).iterdir())]
    whole = _fed(folder / "whole", [files], {}, tally)
    paths = [("on Postgres", postgres, 2)] if short else [("on DuckDB", {}, 8), ("on Postgres", postgres, 5)]
    for what, engine, builds in paths:
        say(f"  the shared records {what}, {builds} builds")
        order = random.Random(f"{number} {what}").sample(files, len(files))
        bunches = [order[start::builds] for start in range(builds)]
        _fed(folder / what.replace(" ", "_"), bunches, engine, tally)
        expect_same(f"the shared records {what}", whole, engine or folder / what.replace(" ", "_") / "warehouse", tally)


def _fed(folder: Path, bunches: list[list[Path]], engine: Mapping[str, str], tally: Tally) -> Path:
    """Deliver the bunches to a new warehouse, with a build after each. Returns its folder."""
    for bunch in bunches:
        for path in bunch:
            place = folder / "delivered" / ("lab" if path.suffix == ".hl7" else "fhir") / path.parent.name
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        delivered = folder / "delivered"
        for source in ("fhir", "lab"):
            (delivered / source).mkdir(exist_ok=True)
        build_care(folder / "warehouse", delivered / "fhir", delivered / "lab", engine or None)
        tally.add("shared files delivered", len(bunch))
        tally.add("builds of shared records")
    return folder / "warehouse"
