"""The club: what happened there, the files in which its source tells of it, its warehouse, and what must be published.

What must be published is worked out here, in plain Python from the versions alone: the oracle of the mechanism's tests.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ingestion.destination.target import current_target
from ingestion.encryption import open_file
from ingestion.load.run import load_all
from ingestion.project import PROJECT_ROOT
from tests.warehouses import build_from, command, connected, reading_lake, settings
from warehouse.build.build import Request
from warehouse.database import Database, open_database

PROJECT = PROJECT_ROOT / "tests" / "tiny" / "project"
COLUMNS = {"members": ("id", "email", "town", "tier"), "visits": ("id", "member_id", "visited_at", "amount")}
BEGINNING, END = datetime(1900, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001 (times of raw are UTC without a zone)
LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class Version:
    """A version of a record, as the source tells it. Times are of 2025 where they name no year, and UTC."""

    table: str
    record: int
    at: str
    revision: int
    values: tuple[tuple[str, Any], ...]
    operation: str = "U"

    @property
    def moment(self) -> datetime:
        """The time from which it holds."""
        return _time(self.at)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text if text[:4].isdigit() else f"2025-{text}")


@dataclass
class Club:
    """The club, and the warehouse on one engine that is built from its files."""

    folder: Path
    engine: Mapping[str, str] = field(default_factory=dict)
    project: Path = PROJECT
    versions: list[Version] = field(default_factory=list)
    told: list[Version] = field(default_factory=list)
    _revisions: Iterator[int] = field(default_factory=lambda: count(1))
    _files: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.delivered.mkdir(parents=True, exist_ok=True)

    @property
    def delivered(self) -> Path:
        """Where the source's files lie."""
        return self.folder / "delivered"

    @property
    def warehouse(self) -> Path:
        """The warehouse's folder."""
        return self.folder / "warehouse"

    def member(self, record: int, at: str, tier: str = "bronze", operation: str = "U", **more: Any) -> Version:
        """Something is known of a member from a time on."""
        values = {"email": f"member{record}@example.com", "town": f"Town {record}", "tier": tier, **more}
        return self._happened("members", record, at, values, operation)

    def visit(
        self, record: int, at: str, member: int | None = 1, amount: str = "10", told_at: str | None = None
    ) -> Version:
        """A member came, which is noted at once, or when `told_at` says."""
        values = {"member_id": member, "visited_at": at, "amount": amount}
        return self._happened("visits", record, told_at or at, values, "U")

    def corrected(self, version: Version, at: str, **values: Any) -> Version:
        """A later version of the same record, which holds from `at`."""
        operation = values.pop("operation", "U")
        return self._happened(version.table, version.record, at, {**dict(version.values), **values}, operation)

    def _happened(self, table: str, record: int, at: str, values: Mapping[str, Any], operation: str) -> Version:
        version = Version(table, record, at, next(self._revisions), tuple(values.items()), operation)
        self.versions.append(version)
        return version

    def deliver(self, versions: Iterable[Version] | None = None) -> None:
        """Have the source tell of these versions, or of all that it hasn't told of, in a file for each table."""
        listed = [each for each in self.versions if each not in self.told] if versions is None else list(versions)
        number = next(self._files)
        for table in COLUMNS:
            rows = [each for each in listed if each.table == table]
            if not rows:
                continue
            # Whoever follows looks all the time, and must not find half a file.
            whole = self.delivered / f"{number:04}.{table}.csv"
            partial = whole.with_suffix(".partial")
            with partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["op", "revision", "at", *COLUMNS[table]])
                writer.writerows(self._row(each) for each in rows)
            partial.rename(whole)
        self.told += listed

    def _row(self, version: Version) -> list[Any]:
        values = {"id": version.record, **dict(version.values)}
        if values.get("visited_at"):
            values["visited_at"] = _time(values["visited_at"]).isoformat(sep=" ")
        row = [version.operation, version.revision, version.moment.isoformat(sep=" ")]
        return [*row, *(values[name] for name in COLUMNS[version.table])]

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which this warehouse is built from this source."""
        place = {"GRANARY_PROJECT_DIR": str(self.project), "SOURCES__CLUB__BUCKET_URL": str(self.delivered)}
        if self.project == PROJECT and "DBT_TARGET_PATH" in os.environ:
            # Of two projects in one place, each would spoil the other's parse cache.
            place["DBT_TARGET_PATH"] = f"{os.environ['DBT_TARGET_PATH'].removesuffix('/tiny')}/tiny"
        elif self.project != PROJECT:
            place["DBT_TARGET_PATH"] = str(self.project / "target")
        return {**place, **self.engine}

    def build(self, request: Request = Request(), *, tested: bool = False, observed_at: str = "") -> list[str]:  # noqa: B008
        """Load, build and publish in this process, with dbt's own tests where `tested` says so."""
        sources = self.environment | ({"GRANARY_OBSERVED_AT": _time(observed_at).isoformat()} if observed_at else {})
        return build_from(self.warehouse, sources, request, tested=tested)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The environment that names this warehouse and its source."""
        with settings({"TARGET": "dev", **self.environment, "WAREHOUSE_DIR": str(self.warehouse)}):
            yield

    def load(self) -> None:
        """Load, and build nothing."""
        with self.entered():
            _, failures = load_all(current_target(), lambda line: None)
        assert failures == []

    def ask(self, query: Callable[[Database], str]) -> list[tuple[Any, ...]]:
        """The rows of a query, which is made of the names of the open warehouse's tables."""
        with self.entered(), open_database(current_target()) as database:
            return database.run(query(database))

    def command(self, *words: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """A command of the warehouse as a process of its own; what it says goes to `said` in the folder."""
        return command(words, self.warehouse, self.environment, self.folder / "said")

    def copy(self, folder: Path) -> Club:
        """The same club with a copy of its files and of the warehouse's folder; its database is copied by others."""
        shutil.copytree(self.folder, folder)
        other = replace(self, folder=folder, versions=list(self.versions), told=list(self.told))
        other._revisions = count(1 + max(each.revision for each in self.versions))
        other._files = count(1 + len(list(self.delivered.iterdir())))
        return other

    def with_own_project(self, root: Path) -> Path:
        """Build from a copy of the project from now on, for a test to change. Returns where it lies."""
        shutil.copytree(self.project, root, ignore=shutil.ignore_patterns("target", "logs"), symlinks=True)
        # What is the product's stays the product's.
        for link in [path for path in root.rglob("*") if path.is_symlink()]:
            original = (self.project / link.relative_to(root)).resolve()
            link.unlink()
            link.symlink_to(original)
        self.project = root
        return root

    def published(self) -> Published:
        """What readers see."""
        if self.engine.get("TARGET") == "lake":
            with reading_lake(self.engine, self.warehouse) as lake:
                return _published(lambda query: lake.execute(query).fetchall())
        if self.engine:
            with connected(self.engine) as connection, connection.cursor() as cursor:

                def rows(query: str) -> list[tuple[Any, ...]]:
                    cursor.execute(query)
                    return list(cursor.fetchall())

                return _published(rows)
        with open_file(self.warehouse / "warehouse.duckdb", read_only=True) as connection:
            return _published(lambda query: connection.execute(query).fetchall())

    def expected(self) -> Published:
        """What readers must see of what the source has told."""
        return expected(self.told)


Rows = Counter[tuple[Any, ...]]


@dataclass(frozen=True)
class Published:
    """The published tables: members (id, tier, from, to, deleted, inferred), visits (id, member, tier then, date, time,
    amount), days (date, visits, amount)."""

    members: Rows
    visits: Rows
    days: Rows

    def less(self, found: Published) -> str:
        """Which of these rows are missing from what was found, and which were found and shouldn't be."""
        said = []
        for name in ("members", "visits", "days"):
            wanted, there = getattr(self, name), getattr(found, name)
            said += [f"{name}: missing {row}" for row in (wanted - there)]
            said += [f"{name}: found {row}" for row in (there - wanted)]
        return "; ".join(said)


def _published(rows: Callable[[str], Sequence[tuple[Any, ...]]]) -> Published:
    members = rows("""
        select member_id, tier, valid_from, valid_to, is_deleted, is_inferred
        from tiny.dim_members where member_id is not null""")
    visits = rows("""
        select facts.visit_id, members.member_id, members.tier, facts.visited_date, facts.visited_at, facts.visit_amount
        from tiny.fct_visits as facts
        left join tiny.dim_members as members
            on facts.member_version_key = members.member_version_key and facts.member_key = members.member_key""")
    days = rows("select visited_date, visit_count, visits_amount from tiny.agg_visits__daily")
    return Published(Counter(map(tuple, members)), Counter(map(tuple, visits)), Counter(map(tuple, days)))


def expected(versions: Sequence[Version]) -> Published:
    """What must be published of these versions, in whatever order they came and however often."""
    logs: dict[tuple[str, int], dict[datetime, Version]] = {}
    for version in sorted(set(versions), key=lambda each: each.revision):
        logs.setdefault((version.table, version.record), {})[version.moment] = version
    histories = {
        record: _intervals([log[moment] for moment in sorted(log)])
        for (table, record), log in logs.items()
        if table == "members"
    }
    members: Rows = Counter()
    for record, intervals in histories.items():
        for tier, start, end, is_deleted in intervals:
            members[(record, tier, start, end, is_deleted, False)] += 1
    visits: Rows = Counter()
    days: dict[date, tuple[int, Decimal]] = {}
    seen = {dict(each.values)["member_id"] for each in versions if each.table == "visits"} - {None}
    for record in seen - histories.keys():
        members[(record, None, BEGINNING, END, False, True)] += 1
    for (table, record), log in logs.items():
        last = log[max(log)]
        if table != "visits" or last.operation == "D":
            continue
        values = dict(last.values)
        moment, amount = _time(values["visited_at"]), Decimal(values["amount"])
        member = values["member_id"]
        tier = "unknown" if member is None else None
        for tier_then, start, end, _ in histories.get(member, []):
            if start <= moment < end:
                tier = tier_then
        day = moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(LONDON).date()
        visits[(record, member, tier, day, moment, amount)] += 1
        number, sum_so_far = days.get(day, (0, Decimal(0)))
        days[day] = (number + 1, sum_so_far + amount)
    return Published(members, visits, Counter((day, *figures) for day, figures in days.items()))


def _intervals(log: Sequence[Version]) -> list[tuple[str, datetime, datetime, bool]]:
    """The history of one member: (tier, from, to, deleted); neighbours that say the same of them are one."""
    states: list[Version] = []
    for version in log:
        said = (version.values, version.operation)
        if not states or (states[-1].values, states[-1].operation) != said:
            states.append(version)
    begins = [BEGINNING, *(each.moment for each in states[1:])]
    return [
        (dict(each.values)["tier"], start, end, each.operation == "D")
        for each, start, end in zip(states, begins, [*begins[1:], END], strict=True)
    ]
