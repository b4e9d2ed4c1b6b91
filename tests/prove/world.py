"""A small company whose files are delivered when the plan says, and its warehouse on one engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ingestion.contract.contracts import AUDIT_TABLES, read_contract, source_names
from ingestion.demo.commerce import next_day, serving, simulate
from ingestion.destination.target import current_target
from ingestion.load.run import load_all
from ingestion.project import PROJECT_ROOT
from tests.prove.tally import BrokenPromiseError, Tally
from tests.warehouse.warehouses import build_from, differences, published_tables, settings
from warehouse.build.build import Request, roll_back_build
from warehouse.database import open_database
from warehouse.errors import BuildError


class World:
    """A company, the retail files that it has handed over so far, and a warehouse.

    The accounts API is left out: what raw holds of it depends on when it was asked, so paths may differ there.
    """

    def __init__(self, folder: Path, engine: Mapping[str, str] | None = None, days: int = 8, scale: float = 0.1):
        self.folder, self.engine = folder, dict(engine or {})
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

    @contextmanager
    def systems(self) -> Iterator[dict[str, str]]:
        """The environment in which this warehouse loads from this company."""
        with serving(self.company, faults=[]) as found:
            kept = {name: value for name, value in found.items() if "ACCOUNTS" not in name}
            yield {**kept, **self.engine, "SOURCES__RETAIL__BUCKET_URL": str(self.delivered)}

    def build(self, request: Request = Request(), *, tested: bool = False) -> list[str]:  # noqa: B008
        """Build in this process, with dbt's own tests where `tested` says so."""
        with self.systems() as systems:
            return build_from(self.warehouse, systems, request, tested=tested)

    @contextmanager
    def entered(self, systems: Mapping[str, str] | None = None) -> Iterator[None]:
        """The environment that names this warehouse, and these systems where something is to be loaded."""
        with settings({"TARGET": "dev", **self.engine, **(systems or {}), "WAREHOUSE_DIR": str(self.warehouse)}):
            yield

    def load(self) -> None:
        """Load, and build nothing."""
        with self.systems() as systems, self.entered(systems):
            _, failures = load_all(current_target(), lambda line: None)
        assert failures == []

    def commit_late(self) -> int:
        """Give the loads that no build has seen ids that are older than all others: as if they had begun first.

        Returns:
            How many loads these are.
        """
        changed = 0
        with self.entered():
            target = current_target()
            with open_database(target) as database:
                for source in source_names():
                    unseen = database.run(
                        f"select load_id from {database.raw(source, '_dlt_loads')} "
                        f"where load_id not in (select load_id from {database.granary('loads')}) order by load_id"
                    )
                    tables = [*(table.name for table in read_contract(source).tables), *AUDIT_TABLES]
                    for (load_id,) in unseen:
                        older = f"1000.{load_id[-7:]}"
                        for table in tables:
                            database.run(
                                f"update {database.raw(source, table)} set _load_id = %s where _load_id = %s",
                                [older, load_id],
                            )
                        database.run(
                            f"update {database.raw(source, '_dlt_loads')} set load_id = %s where load_id = %s",
                            [older, load_id],
                        )
                        changed += 1
        return changed

    def roll_back(self) -> bool:
        """Roll back where that is possible. Says whether it was."""
        with self.entered():
            try:
                roll_back_build(current_target(), lambda line: None)
            except BuildError:
                return False
        return True

    @contextmanager
    def building(self) -> Iterator[subprocess.Popen[bytes]]:
        """A build as a process of its own, which the caller may kill."""
        with self.systems() as systems:
            environment = {
                name: value for name, value in os.environ.items() if not name.startswith(("SOURCES__", "PG"))
            }
            environment |= {"TARGET": "dev", **systems, "WAREHOUSE_DIR": str(self.warehouse)}
            log = (self.folder / "build.log").open("ab")
            process = subprocess.Popen(
                [sys.executable, "-m", "warehouse", "build"],
                cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
                log.close()

    def expect_same_as_all_at_once(self, what: str, tally: Tally) -> None:
        """Build everything that was ever delivered in one go, elsewhere, and compare row by row.

        Raises:
            BrokenPromiseError: a published table differs.
        """
        whole = self.folder / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        with self.systems() as systems:
            duck = {name: value for name, value in systems.items() if name not in self.engine}
            build_from(whole, duck, tested=False)
        expect_same(what, whole, self.engine or self.warehouse, tally)


def expect_same(what: str, whole: Path, other: Path | Mapping[str, str], tally: Tally) -> None:
    """Compare what two warehouses publish, row by row.

    Args:
        what: the path to `other`, for the error.
        whole: the folder of the DuckDB warehouse that was built of all at once.
        other: another's, or libpq's variables of a Postgres.
        tally: counts paths and rows.

    Raises:
        BrokenPromiseError: a published table differs.
    """
    found = differences(whole, other)
    tally.add("paths compared")
    tally.add("rows compared", _rows(whole))
    if found:
        raise BrokenPromiseError(f"{what}: tables differ from a build of all at once: {found}")


def _rows(folder: Path) -> int:
    import duckdb

    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        tables = published_tables(connection, "warehouse")
        return sum(int((connection.execute(f"select count(*) from {table}").fetchone() or (0,))[0]) for table in tables)
