"""A club that tells of a day's visits in the evening, and whose warehouse looks at it in the morning after."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from ingestion.destination.target import current_target
from ingestion.load.run import load_all
from tests.tiny.club import Club
from tests.warehouses import build_from, connected, settings

FIRST_DAY = date(2024, 3, 4)


class DailyClub:
    """The club by days."""

    def __init__(self, folder: Path, engine: Mapping[str, str]):
        self.club = Club(folder / "club", engine)
        self.warehouse, self.engine = self.club.warehouse, self.club.engine
        self._visits = count(1)

    def environment(self, day: date) -> dict[str, str]:
        """As the warehouse sees it in the morning after a day."""
        morning = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1, hours=6)
        return {"TARGET": "dev", **self.club.environment, "GRANARY_OBSERVED_AT": morning.isoformat()}

    def deliver(self, day: date, visits: int, member: int | None = 1, amount: str = "2.55") -> None:
        """So many visits of a day, told of at eight in the evening."""
        for _ in range(visits):
            self.club.visit(next(self._visits), f"{day} 09:30:00", member, amount, told_at=f"{day} 20:00:00")
        self.club.deliver()

    def load(self, day: date) -> None:
        """Load, and build nothing."""
        with settings({**self.environment(day), "WAREHOUSE_DIR": str(self.warehouse)}):
            _, failures = load_all(current_target(), lambda line: None)
        assert failures == []

    def usual_days(self, number: int) -> list[date]:
        """So many days, of which the first ten are loaded, with about 100 visits each."""
        days = [FIRST_DAY + timedelta(days=each) for each in range(number)]
        for each, day in enumerate(days[:10]):
            self.deliver(day, 96 + each % 5 * 2)
            self.load(day)
        return days

    def build(self, day: date, *, tested: bool = True) -> list[str]:
        """Load, build and publish in the morning after a day."""
        return build_from(self.warehouse, self.environment(day), tested=tested)

    def runs(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask what readers have of the runs, in the schema `runs`: a file of that name, or a schema."""
        if self.engine:
            with connected(self.engine) as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        with duckdb.connect() as connection:
            connection.execute(f"attach '{self.warehouse / 'runs.duckdb'}' as runs (read_only)")
            return connection.execute(sql).fetchall()
