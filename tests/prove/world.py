"""A world whose source tells of what happens when a plan says so, and its warehouse on one engine."""

from __future__ import annotations

import random
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ingestion.contract.contracts import AUDIT_TABLES
from ingestion.contract.reading import read_contracts
from ingestion.destination.target import current_target
from ingestion.load.run import load_all
from tests.prove.tally import Tally
from tests.warehouses import build_from, command, settings
from warehouse.build.build import Request, roll_back_build
from warehouse.database import open_database
from warehouse.errors import BuildError

Engine = dict[str, str] | None  # the environment that names a Postgres; None for DuckDB
NewWorld = Callable[[Path, Engine], "World"]


class World(ABC):
    """What happens, what of it the source has told so far, and a warehouse.

    parts: selections in dbt's words, the first of which can be built whatever there is.
    relations: some whose code may change.
    look: one statement over all schemas: the generation's number, two counts that agree within it, and more.
    look_back: the same, having looked its tables up the other way round.
    """

    parts: ClassVar[tuple[str, ...]]
    relations: ClassVar[tuple[str, ...]]
    look: ClassVar[str]
    look_back: ClassVar[str]
    warehouse: Path

    def __init__(self, folder: Path, engine: Mapping[str, str] | None = None):
        self.folder, self.engine = folder, dict(engine or {})

    @property
    def place(self) -> dict[str, str]:
        """What names the warehouse, but for its folder."""
        return self.engine

    @abstractmethod
    def pass_days(self, days: int = 1) -> None:
        """Let it go on."""

    @abstractmethod
    def withheld(self) -> list[Any]:
        """What happened and isn't told yet, in parts that may be told in any order; the oldest first."""

    @abstractmethod
    def deliver(self, parts: list[Any]) -> None:
        """Have the source tell of these."""

    @abstractmethod
    def deliver_again(self, chance: random.Random) -> None:
        """Have it tell again of some of what it told."""

    @abstractmethod
    def systems(self) -> AbstractContextManager[dict[str, str]]:
        """The environment in which this warehouse loads from this source."""

    @abstractmethod
    def expect_right(self, what: str, tally: Tally) -> None:
        """Compare what is published with what must be, of all that was told.

        Raises:
            BrokenPromiseError: a published table differs.
        """

    def build(self, request: Request = Request(), *, tested: bool = False) -> list[str]:  # noqa: B008
        """Build in this process, with dbt's own tests where `tested` says so."""
        with self.systems() as systems:
            return build_from(self.warehouse, systems, request, tested=tested)

    @contextmanager
    def entered(self, systems: Mapping[str, str] | None = None) -> Iterator[None]:
        """The environment that names this warehouse, and these systems where something is to be loaded."""
        with settings({"TARGET": "dev", **self.place, **(systems or {}), "WAREHOUSE_DIR": str(self.warehouse)}):
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
                for contract in read_contracts(target.project):
                    source = contract.name
                    unseen = database.run(
                        f"select load_id from {database.raw(source, '_dlt_loads')} "
                        f"where load_id not in (select load_id from {database.granary('loads')}) order by load_id"
                    )
                    tables = [*(table.name for table in contract.tables), *AUDIT_TABLES]
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
    def building(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A build as a process of its own, which the caller may kill. The words are its options."""
        with (
            self.systems() as systems,
            command(["build", *words], self.warehouse, systems, self.folder / "build.log") as process,
        ):
            yield process
