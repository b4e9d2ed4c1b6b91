"""The club as a world of `make prove`: days pass in it, its source tells of them in any order, late, or twice."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.prove.tally import BrokenPromiseError, Tally
from tests.prove.world import World
from tests.tiny.club import Club, Version

FIRST_DAY = datetime(2025, 1, 1)  # noqa: DTZ001 (times of raw are UTC without a zone)


@dataclass(frozen=True)
class Bunch:
    """What the source has to tell of a day, or one correction of an earlier one: it comes in files of its own."""

    versions: tuple[Version, ...]


class TinyWorld(World):
    """A club, of which each day brings visits, new members, changes, corrections of what was told, and deletions."""

    parts = ("+fct_visits", "dim_members+", "snap_club__members", "stg_club__visits")
    relations = ("fct_visits", "agg_visits__daily", "dim_members", "snap_club__members")
    look = """
        select
            (select max(generation_number) from ops.generation),
            (select count(*) from tiny.fct_visits),
            (select sum(visit_count) from tiny.agg_visits__daily),
            (select sum(visit_amount) from tiny.fct_visits),
            (select count(*) from tiny.dim_members),
            (select count(*) from ops.ops_loads)"""
    look_back = """
        select ops.generation_number, visits.n, days.n, visits.amount, members.n, loads.n
        from (select count(*) as n from ops.ops_loads) as loads
        cross join (select count(*) as n from tiny.dim_members) as members
        cross join (select sum(visit_count) as n from tiny.agg_visits__daily) as days
        cross join (select count(*) as n, sum(visit_amount) as amount from tiny.fct_visits) as visits
        cross join (select max(generation_number) as generation_number from ops.generation) as ops"""

    def __init__(self, folder: Path, engine: Mapping[str, str] | None = None, days: int = 6):
        super().__init__(folder, engine)
        self.club = Club(folder / "club", self.engine)
        self.warehouse = self.club.warehouse
        self.days, self.bunches, self.delivered = 0, list[Bunch](), set[Bunch]()
        self.pass_days(days)

    @property
    def place(self) -> dict[str, str]:
        """What names the warehouse, and the project that it is built from."""
        return self.club.environment

    def pass_days(self, days: int = 1) -> None:
        """Let the club go on."""
        for _ in range(days):
            self._live(FIRST_DAY + timedelta(days=self.days), random.Random(self.days))
            self.days += 1

    def _live(self, day: datetime, chance: random.Random) -> None:
        club, first = self.club, len(self.club.versions)
        at = lambda: (day + timedelta(minutes=chance.randrange(1440))).isoformat(sep=" ")  # noqa: E731
        known = [each for each in club.versions if each.operation == "U"]
        for _ in range(chance.randrange(1, 4)):
            club.member(1 + self.days * 3 + chance.randrange(3), at(), tier=chance.choice(["bronze", "silver", "gold"]))
        for each in range(5):
            # Some visit before anybody has told who they are, or are nobody known.
            member = chance.choice([None, *range(1, 3 * self.days + 6)])
            club.visit(self.days * 5 + each + 1, at(), member, str(chance.randrange(1, 10_000) / 100))
        self._told_as_one(first)
        for each in chance.sample(known, k=min(len(known), 3)):
            first = len(club.versions)
            kind = chance.choice(["now", "as of then", "gone"])
            changed = {"tier": "gold"} if each.table == "members" else {"amount": "5.5", "visited_at": at()}
            if kind == "gone":
                club.corrected(each, at(), operation="D")
            else:
                club.corrected(each, each.at if kind == "as of then" else at(), **changed)
            self._told_as_one(first)

    def _told_as_one(self, first: int) -> None:
        self.bunches.append(Bunch(tuple(self.club.versions[first:])))

    def withheld(self) -> list[Bunch]:
        """What happened and isn't told yet, the oldest first."""
        return [each for each in self.bunches if each not in self.delivered]

    def deliver(self, bunches: list[Bunch]) -> None:
        """Have the source tell of these, each in a file of its own."""
        for bunch in bunches:
            self.club.deliver(bunch.versions)
            self.delivered.add(bunch)

    def deliver_again(self, chance: random.Random) -> None:
        """Have it tell again of what it told."""
        there = [each for each in self.bunches if each in self.delivered]
        self.deliver(chance.sample(there, k=min(len(there), 2)))

    @contextmanager
    def systems(self) -> Iterator[dict[str, str]]:
        """The environment in which this warehouse loads from this club."""
        yield self.club.environment

    def expect_right(self, what: str, tally: Tally) -> None:
        """Compare what is published with what is worked out from the told versions in plain Python.

        Raises:
            BrokenPromiseError: a published table differs.
        """
        found, wanted = self.club.published(), self.club.expected()
        tally.add("paths compared")
        tally.add("rows compared", sum(wanted.visits.values()) + sum(wanted.members.values()))
        if found != wanted:
            raise BrokenPromiseError(f"{what}: {wanted.less(found)}")
