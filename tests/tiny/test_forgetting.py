"""A person is forgotten everywhere, what was spent stays, nothing brings them back: no source, and no restore."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ingestion.destination.target import current_target
from ingestion.privacy.tombstones import read_tombstones
from tests.crosswalks import identifiers
from tests.tiny.club import Club
from tests.tiny.conftest import EVERYWHERE
from warehouse.build import redaction
from warehouse.errors import BuildError
from warehouse.ops.backup import back_up, restore
from warehouse.people.forgetting import forget

EVE, DOT = 1, 2
EVES = {"email": "eve@example.com", "town": "York"}
DOTS = {"email": "dot@example.com", "town": "Bath"}


@pytest.fixture
def two(club: Club) -> Club:
    """Two members, each with an older address, a visit and a reject; built and published twice."""
    for number, person in ((EVE, EVES), (DOT, DOTS)):
        club.member(number, "06-01", email=f"old{number}@example.com", town=person["town"])
        club.member(number, "06-05", **person)
        club.member(number, "06-06", tier="no tier", **person)
        club.visit(number, f"06-1{number} 12:00", number)
    club.deliver()
    club.build(observed_at="06-20")
    club.visit(3, "06-20 12:00", EVE)
    club.deliver()
    club.build(observed_at="06-21")
    return club


def forgotten(club: Club, *asked: str, dry: bool = False) -> list[str]:
    """Forget. Returns what was said."""
    said: list[str] = []
    with club.entered():
        forget(current_target(), asked, dry, said.append)
    return said


def known_of(club: Club, number: int, generation: str = "published") -> list[tuple[Any, ...]]:
    """What a generation says of a member, tokens told as what they stand for: address and town, the oldest first."""
    known = identifiers()
    rows = club.ask(
        lambda d: (
            f"select valid_from, email_token, town from {getattr(d, generation)('tiny', 'dim_members')} "
            f"where member_id = {number} order by valid_from"
        )
    )
    return [(known.get(str(email), email), town) for _, email, town in rows]


def spent(club: Club) -> Decimal:
    [(amount,)] = club.ask(lambda d: f"select sum(visit_amount) from {d.published('tiny', 'fct_visits')}")
    return Decimal(amount)


def assert_forgotten(club: Club) -> None:
    """Nothing leads from either generation, from raw or from rejects to Eve; Dot is there as she was."""
    for generation in ("published", "next"):
        ours = known_of(club, EVE, generation)
        assert ours and all(str(email).startswith("forgotten_") and town is None for email, town in ours), ours
        assert known_of(club, DOT, generation)[-1] == ("dot@example.com", "Bath")
    values = set(identifiers().values())
    assert not {"eve@example.com", "old1@example.com"} & values
    assert {"dot@example.com", "old2@example.com"} <= values
    rejects = club.ask(lambda d: f"select record from {d.raw('club', 'rejects')} order by length(record)")
    *ours, dots = (record for (record,) in rejects)
    assert ours and set(ours) == {"{}"} and "Bath" in dots
    towns = club.ask(lambda d: f"select distinct town from {d.raw('club', 'members')} where id = {EVE}")
    assert towns == [(None,)]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("engine", EVERYWHERE, indirect=True)
def test_a_person_is_forgotten_and_stays_so(two: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
    club = two
    club.engine = {**club.engine, "DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test"}
    for asked in ("club:nobody", "nobody@example.com"):
        with pytest.raises(BuildError, match="nobody is known as"):
            forgotten(club, asked)
    before = spent(club)
    assert known_of(club, EVE)[-1] == ("eve@example.com", "York")
    on_duckdb = club.engine.get("TARGET") is None
    if on_duckdb:
        with club.entered():
            back_up(current_target(), None, 7, lambda line: None)
    assert forgotten(club, "EVE@example.com", dry=True) == [f"would forget club:{EVE}"]
    assert known_of(club, EVE)[-1][0] == "eve@example.com"

    said: list[str] = []
    # Cut short once raw doesn't know her any more, and before the crosswalk forgets her: the next one finds her there.
    with monkeypatch.context() as cut, club.entered():
        cut.setattr(redaction, "drop_identifiers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forget(current_target(), [f"club:{EVE}"], False, said.append)
    assert said == [f"forgetting club:{EVE}"]
    assert club.ask(lambda d: f"select distinct town from {d.raw('club', 'members')} where id = {EVE}") == [(None,)]
    assert "eve@example.com" in identifiers().values()

    # Cut short before the marts are told: the next one finishes it.
    with monkeypatch.context() as cut, club.entered():
        cut.setattr(redaction, "shred", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forget(current_target(), [f"club:{EVE}"], False, said.append)
    assert "eve@example.com" not in identifiers().values()
    assert not str(known_of(club, EVE)[-1][0]).startswith("forgotten_"), "the marts aren't told yet"
    assert forgotten(club)[0] == "0 persons gone from raw, 0 identifiers from the crosswalk"
    assert_forgotten(club)
    assert spent(club) == before == Decimal(30)
    with club.entered():
        assert {(each.source, each.person) for each in read_tombstones(current_target())} == {("club", str(EVE))}

    # The source goes on to tell of her, and of a visit that is hers.
    club.member(EVE, "06-22", email="eve@example.com", town="Leeds")
    club.member(EVE, "06-22 01:00", tier="no tier either", **EVES)
    club.visit(4, "06-22 12:00", EVE)
    club.deliver()
    club.build(observed_at="06-23")
    assert spent(club) == before + 10
    assert not [value for value in identifiers().values() if "eve@" in value]
    assert all(str(email).startswith("forgotten_") and town is None for email, town in known_of(club, EVE))
    assert forgotten(club) == [
        "nobody is to be forgotten: the warehouse knows nobody whom the ledger of tombstones names"
    ]

    # A restore brings back what was; the ledger of tombstones isn't part of it.
    if not on_duckdb:
        club.ask(lambda d: f"update {d.raw('club', 'members')} set town = 'York' where id = {EVE}")
        said = club.build(observed_at="06-24")
        assert "1 person gone from raw, 0 identifiers from the crosswalk" in said, "a build sees to it, too"
        return
    said = []
    with club.entered():
        restore(current_target(), None, said.append)
    assert said[0].startswith("1 person gone from raw")
    assert not list(club.warehouse.glob("warehouse*.duckdb")), "marts that know her are not for readers"
    for day in (24, 25):
        club.build(observed_at=f"06-{day}")
        club.visit(day, f"06-{day} 01:00", DOT)
        club.deliver()
    assert_forgotten(club)
