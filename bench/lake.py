"""A lake beside DuckDB's own files: one company, built in full and day by day in both, by one process each.

The files have two of dbt's threads, as `make build` has, the lake has one; DuckDB works on a statement with all cores
in both. The lake's catalogs lie in Postgres, its files, encrypted, in a folder. Then the lake is built in full by
several workers of this machine.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator

from bench.builds import Built, Warehouse
from bench.company import Company
from bench.measuring import Measurement, Settings, Took, middle, say, timed
from bench.server import Server
from ingestion.destination.lake import Lake
from ingestion.destination.target import Target
from ingestion.environment import variables
from warehouse.database import open_database
from warehouse.publish.compaction import Stored, compact, stored

DATABASE = "bench_lake"
DAYS = 3
FULL_AT_MOST = 1.15
WORKERS = (1, 2, 4)
# More workers than cores are no slower than as many as these.
CORES, MORE_AT_MOST = 2, 1.0
FILES = "DuckDB's own files"


class LakeWarehouse(Warehouse):
    """The company's warehouse on a lake."""

    def __init__(self, settings: Settings, server: Server, company: Company):
        super().__init__("duckdb", settings, None, company)
        self.folder = settings.folder / "warehouse_lake"
        self.target = Target("lake", "duckdb", self.folder, lake=Lake(str(self.folder / "lake"), None))
        self.workers: int | None = None
        server.fresh(DATABASE)
        os.environ.update(server.settings(DATABASE))

    def build(self, full: bool = False) -> Built:
        """By so many workers as `workers` says."""
        with variables({"GRANARY_WORKERS": str(self.workers or "")}):
            return super().build(full)

    def stored(self) -> Stored:
        """What it takes."""
        assert self.target.lake
        with open_database(self.target) as database:
            return stored(database, self.target.lake)


def measure(settings: Settings, server: Server) -> Iterator[Measurement]:
    """Build both, and yield each measurement as it is made.

    Raises:
        BuildError: a build fails.
    """
    company = Company(settings, DAYS)
    say("making the company")
    company.make()
    files = Warehouse("duckdb", settings, None, company)
    full, day = _built(files, settings.runs)
    used = sum(each.stat().st_size for each in files.folder.glob("*.duckdb"))
    files._clear()
    lake = LakeWarehouse(settings, server, company)
    lakes_full, lakes_day = _built(lake, settings.runs)
    yield _beside("a full build", lakes_full, full, FULL_AT_MOST)
    together: dict[int, Took] = {}
    for lake.workers in WORKERS:
        together[lake.workers] = middle([_full(lake) for _ in range(max(2, settings.runs))])
        took = together[lake.workers]
        fewer = together.get(lake.workers // 2, lakes_full)
        yield Measurement(
            "lake", "duckdb", f"a full build by {lake.workers} workers", took.seconds,
            f"{lake.workers // 2} workers" if lake.workers > 1 else "one process", fewer.seconds,
            took.seconds / fewer.seconds, at_most=MORE_AT_MOST if lake.workers > CORES else None, cpu=took.cpu,
            note="with their start",
        )  # fmt: skip
    lake.workers = None
    yield _beside("a day of one percent", lakes_day, day)
    before = lake.stored()
    took = timed(lambda: compact(lake.target, say))
    after = lake.stored()
    sizes = [f"{each.files:,} files of {each.bytes / 1e6:,.0f} MB" for each in (before, after)]
    note = f"{', then '.join(sizes)}; DuckDB's own files: {used / 1e6:,.0f} MB"
    yield Measurement("lake", "duckdb", "compaction", took.seconds, cpu=took.cpu, note=note)
    lake._clear()


def _built(warehouse: Warehouse, runs: int) -> tuple[Took, Took]:
    """What a full build takes, and a day on top of it."""
    kind = warehouse.target.name
    warehouse.prepare(keep=False)
    full = [_full(warehouse) for _ in range(max(2, runs))]
    days = []
    for number in range(1, DAYS + 1):
        warehouse.company.write(warehouse.target, number)
        built = warehouse.build()
        warehouse.settle()
        say(f"  {kind}: day {number}: {built}")
        days.append(built.took)
    steady = days[1:]
    mean = Took(statistics.mean(each.seconds for each in steady), statistics.mean(each.cpu for each in steady))
    return middle(full), mean


def _full(warehouse: Warehouse) -> Took:
    built = warehouse.build(full=True)
    warehouse.settle()
    say(f"  {warehouse.target.name}: full build: {built}")
    return built.took


def _beside(what: str, lakes: Took, files: Took, at_most: float | None = None) -> Measurement:
    return Measurement(
        "lake", "duckdb", what, lakes.seconds, FILES, files.seconds, lakes.seconds / files.seconds, at_most=at_most,
        cpu=lakes.cpu, note=f"CPU {lakes.cpu:.0f} s beside {files.cpu:.0f} s",
    )  # fmt: skip
