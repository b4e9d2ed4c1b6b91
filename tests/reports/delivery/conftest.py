"""A club whose visits are reported, and a mail server that takes the reports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.destination.target import current_target
from ingestion.environment import variables
from reports.delivery.run import deliver
from reports.delivery.subscriptions import read_subscriptions
from tests.reports.delivery.post import Server
from tests.tiny.club import PROJECT
from tests.tiny.days import FIRST_DAY, DailyClub

QUERY = """-- Visits and what was paid, day by day.
select visited_date, count(*) as visit_count, sum(visit_amount) as visits_amount
from tiny.fct_visits
where visited_date between :first_day and :last_day
group by visited_date
order by visited_date
"""
VISITS = {
    "title": "Visits", "query": "visits", "schedule": "daily", "contact": "desk@example.com",
    "as_of": "tiny.fct_visits.visited_date", "recipients": [{"login": "everybody", "to": ["anna@example.com"]}],
}  # fmt: skip
SUNDAY = FIRST_DAY + timedelta(days=6)


@dataclass
class Reported:
    """The club, its subscriptions, and the server that their reports go to."""

    days: DailyClub
    server: Server
    more: dict[str, str] = field(default_factory=dict)

    @property
    def reports(self) -> Path:
        """Where the project's domain has its reports."""
        return self.days.club.project / "reports" / "tiny"

    def subscribe(self, name: str, **changes: Any) -> None:
        """Write a subscription."""
        text = yaml.safe_dump({**VISITS, **changes}, sort_keys=False)
        (self.reports / "subscriptions" / f"{name}.yml").write_text(text, encoding="utf-8")

    def send(self, day: date, *names: str, hour: int = 7, again: str = "") -> tuple[dict[str, int], list[str]]:
        """Send what is due in the morning after a day; or these, by hand. Returns how many ended how, and lines."""
        lines: list[str] = []
        morning = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) + timedelta(days=1)
        with self.days.club.entered(), variables(self.server.settings | self.more):
            found = read_subscriptions(current_target().project)
            chosen = [found[name] for name in names] or list(found.values())
            counts = deliver(current_target(), chosen, morning, lines.append, by_hand=bool(names), again=again)
        return dict(counts), lines

    def recorded(self) -> list[tuple[Any, ...]]:
        """What readers have of the deliveries, the newest last."""
        columns = "subscription_name, login_name, recipient_number, status"
        return self.days.runs(f"select {columns} from runs.ops_deliveries order by recorded_at")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The club's project by links, with a place of its own for reports."""
    folder = tmp_path_factory.mktemp("project")
    for each in PROJECT.iterdir():
        if each.name == ".dbtignore":
            shutil.copy(each, folder)
        elif each.name != "target":
            (folder / each.name).symlink_to(each)
    for name in ("subscriptions", "queries"):
        (folder / "reports" / "tiny" / name).mkdir(parents=True)
    (folder / "reports" / "tiny" / "queries" / "visits.sql").write_text(QUERY, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def week(project: Path, tmp_path_factory: pytest.TempPathFactory) -> DailyClub:
    """The warehouse of a week, in which more visits come each day; the second day's are of another member, too."""
    days = DailyClub(tmp_path_factory.mktemp("week"), {})
    days.club.project = project
    for number in range(7):
        day = FIRST_DAY + timedelta(days=number)
        days.deliver(day, number + 1)
        days.deliver(day, 2, member=2, amount="100.10")
        days.load(day)
    days.build(SUNDAY, tested=False)
    return days


@pytest.fixture
def reported(week: DailyClub, tmp_path: Path) -> Iterator[Reported]:
    """A copy of it, on DuckDB, of which nothing is reported yet."""
    club = week.club.copy(tmp_path / "club")
    days = DailyClub(tmp_path / "unused", {})
    days.club, days.warehouse = replace(club), club.warehouse
    days._visits = iter(range(1000, 2000))  # type: ignore[assignment]
    server = Server()
    with server.running():
        yield Reported(days, server)
    for file in (club.project / "reports" / "tiny" / "subscriptions").iterdir():
        file.unlink()
