"""The simulated clinic as a world of `make prove`: its exports and messages are delivered when the plan says."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ingestion.demo.healthcare import next_day, simulate
from tests.prove.same import expect_as_at_once
from tests.prove.tally import Tally
from tests.prove.world import World


class Clinic(World):
    """A clinic, the days of exports and the messages that it has handed over so far, and a warehouse.

    Nobody is released: the keys of a release are drawn, so that no two warehouses have the same.
    """

    parts = ("+fct_encounters", "dim_patients+", "snap_fhir__patients", "stg_fhir__observations")
    relations = ("fct_observations", "fct_lab_results", "fct_outcomes", "dim_patients")
    look = """
        select
            (select max(generation_number) from ops.generation),
            (select count(*) from healthcare.fct_outcomes),
            (select sum(denominator_count + exclusion_count) from healthcare.agg_outcomes__monthly),
            (select count(*) from healthcare.fct_encounters),
            (select count(*) from healthcare.fct_observations),
            (select count(*) from healthcare.dim_patients),
            (select count(*) from ops.ops_loads),
            (select count(*) from core.dim_sources)"""
    look_back = """
        select ops.generation_number, outcomes.n, months.n, encounters.n, findings.n, patients.n, loads.n, sources.n
        from (select count(*) as n from core.dim_sources) as sources
        cross join (select count(*) as n from ops.ops_loads) as loads
        cross join (select count(*) as n from healthcare.dim_patients) as patients
        cross join (select count(*) as n from healthcare.fct_observations) as findings
        cross join (select count(*) as n from healthcare.fct_encounters) as encounters
        cross join (
            select sum(denominator_count + exclusion_count) as n from healthcare.agg_outcomes__monthly
        ) as months
        cross join (select count(*) as n from healthcare.fct_outcomes) as outcomes
        cross join (select max(generation_number) as generation_number from ops.generation) as ops"""

    def __init__(self, folder: Path, engine: Mapping[str, str] | None = None, days: int = 20, scale: float = 0.1):
        super().__init__(folder, engine)
        self.clinic, self.delivered, self.warehouse = folder / "clinic", folder / "delivered", folder / "warehouse"
        for source in ("fhir", "lab"):
            (self.delivered / source).mkdir(parents=True)
        simulate(self.clinic, days, scale=scale)

    @property
    def place(self) -> dict[str, str]:
        return {**self.engine, "DOMAINS": "healthcare"}

    def pass_days(self, days: int = 1) -> None:
        for _ in range(days):
            next_day(self.clinic)

    def withheld(self) -> list[Path]:
        """Days of exports, and files of messages, that are written but not delivered."""
        written = [path for source in ("fhir", "lab") for path in sorted((self.clinic / "systems" / source).iterdir())]
        return [path for path in written if not self._place(path).exists()]

    def _place(self, path: Path) -> Path:
        return self.delivered / path.parent.name / path.name

    def deliver(self, parts: list[Path]) -> None:
        """Hand them over with the times that they were written at."""
        for path in parts:
            if path.is_dir():
                shutil.copytree(path, self._place(path))
            else:
                shutil.copy2(path, self._place(path))

    def deliver_again(self, chance: random.Random) -> None:
        """Give some files another time, and the same content."""
        there = sorted(path for path in self.delivered.rglob("*") if path.is_file())
        for file in chance.sample(there, k=min(len(there), 2)):
            file.touch()

    @contextmanager
    def systems(self) -> Iterator[dict[str, str]]:
        """The environment in which this warehouse loads from this clinic."""
        folders = {f"SOURCES__{source.upper()}__BUCKET_URL": str(self.delivered / source) for source in ("fhir", "lab")}
        yield {**self.place, **folders}

    def expect_right(self, what: str, tally: Tally) -> None:
        expect_as_at_once(self, what, tally)
