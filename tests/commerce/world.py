"""The simulated company as a world of `make prove`: its retail files are delivered when the plan says."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ingestion.demo.commerce import next_day, serving, simulate
from tests.prove.same import expect_as_at_once
from tests.prove.tally import Tally
from tests.prove.world import World


class Company(World):
    """A company, the retail files that it has handed over so far, and a warehouse.

    The accounts API is left out: what raw holds of it depends on when it was asked, so paths may differ there.
    """

    parts = ("+fct_orders", "dim_products+", "snap_shop__users", "stg_shop__orders")
    relations = ("fct_sales", "fct_inventory_daily", "agg_sales__daily", "dim_customers")
    look = """
        select
            (select max(generation_number) from ops.generation),
            (select count(*) from commerce.fct_sales),
            (select sum(line_count) from commerce.agg_sales__daily),
            (select sum(net_reporting_amount) from commerce.fct_sales),
            (select count(*) from commerce.fct_orders),
            (select count(*) from commerce.dim_customers),
            (select count(*) from ops.ops_loads),
            (select count(*) from core.dim_sources)"""
    look_back = """
        select ops.generation_number, sales.n, days.n, sales.amount, orders.n, customers.n, loads.n, sources.n
        from (select count(*) as n from core.dim_sources) as sources
        cross join (select count(*) as n from ops.ops_loads) as loads
        cross join (select count(*) as n from commerce.dim_customers) as customers
        cross join (select count(*) as n from commerce.fct_orders) as orders
        cross join (select sum(line_count) as n from commerce.agg_sales__daily) as days
        cross join (select count(*) as n, sum(net_reporting_amount) as amount from commerce.fct_sales) as sales
        cross join (select max(generation_number) as generation_number from ops.generation) as ops"""

    def __init__(self, folder: Path, engine: Mapping[str, str] | None = None, days: int = 8, scale: float = 0.1):
        super().__init__(folder, engine)
        self.company, self.delivered, self.warehouse = folder / "company", folder / "delivered", folder / "warehouse"
        self.written = folder / "written"
        self.delivered.mkdir(parents=True)
        self.written.mkdir()
        simulate(self.company, days, scale=scale)
        self._keep_versions()

    def pass_days(self, days: int = 1) -> None:
        """Let the company go on, a day at a time, so that no version of a file is missed."""
        for _ in range(days):
            next_day(self.company, 1)
            self._keep_versions()

    def _keep_versions(self) -> None:
        """Every version of every retail file, each under a name of its own."""
        for file in (self.company / "retail").iterdir():
            version = self.written / f"{file.stat().st_mtime_ns}_{file.name}"
            if not version.exists():
                shutil.copy2(file, version)

    def withheld(self) -> list[Path]:
        """Versions of retail files that are written but not delivered, the oldest first."""
        return sorted(file for file in self.written.iterdir() if not (self.delivered / file.name).exists())

    def deliver(self, files: list[Path]) -> None:
        """Hand files over with the time that they were written at."""
        for file in files:
            shutil.copy2(file, self.delivered / file.name)

    def deliver_again(self, chance: random.Random) -> None:
        """Give some files another time, and the same content."""
        there = sorted(self.delivered.iterdir())
        for file in chance.sample(there, k=min(len(there), 2)):
            file.touch()

    @contextmanager
    def systems(self) -> Iterator[dict[str, str]]:
        """The environment in which this warehouse loads from this company."""
        with serving(self.company, faults=[]) as found:
            kept = {name: value for name, value in found.items() if "ACCOUNTS" not in name}
            yield {**kept, **self.engine, "SOURCES__RETAIL__BUCKET_URL": str(self.delivered)}

    def expect_right(self, what: str, tally: Tally) -> None:
        expect_as_at_once(self, what, tally)
