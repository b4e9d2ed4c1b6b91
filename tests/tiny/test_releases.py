"""Releases: keys that are drawn once for each person and release, which a command begins and no build."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from ingestion.environment import variables
from ingestion.project import PROJECT_ROOT
from tests.tiny.club import Club
from tests.tiny.conftest import everywhere
from warehouse.errors import BuildError
from warehouse.people.releases import begin_release

Keys = dict[tuple[int, str], str]


def releasing(club: Club, project: Callable[[Club], Path]) -> Club:
    """The club, from now on with a project that releases its members."""
    root = project(club)
    folder = root / "models" / "staging" / "release_keys"
    folder.mkdir()
    theirs = PROJECT_ROOT / "models" / "staging" / "release_keys" / "_release_keys__sources.yml"
    text = theirs.read_text(encoding="utf-8").replace("[fhir.patients.id]", "[club.members.id]")
    (folder / "_release_keys__sources.yml").write_text(text, encoding="utf-8")
    listed = root / "dbt_project.yml"
    entry = "        club: {"
    more = "        release_keys: {name: Keys of releases, kind: draws, description: Keys}\n"
    listed.write_text(listed.read_text(encoding="utf-8").replace(entry, more + entry, 1), encoding="utf-8")
    return club


def keys_of(club: Club) -> Keys:
    columns = "release_number, person_id, release_key"
    rows = club.ask(lambda database: f"select {columns} from {database.raw('release_keys', 'keys')}")
    assert len(rows) == len({(number, person) for number, person, _ in rows})
    return {(int(number), str(person)): str(uuid.UUID(key)) for number, person, key in rows}


def released(club: Club, **more: str) -> list[str]:
    lines: list[str] = []
    with club.entered(), variables(more):
        begin_release(current_target(), lines.append)
    return lines


def members_of(club: Club) -> set[str]:
    return {str(each.record) for each in club.versions if each.table == "members"}


def told(club: Club, number: int) -> None:
    club.member(number, "02-01", tier="gold")
    club.deliver()


@everywhere
def test_keys_are_drawn_by_the_command_and_for_who_comes_by_builds(
    grown: Club, project: Callable[[Club], Path]
) -> None:
    club, members = releasing(grown, project), members_of(grown)
    club.build()
    assert keys_of(club) == {}
    assert released(club)[-1].startswith(f"release 1 began: {len(members)} keys were drawn")
    first = keys_of(club)
    assert {person for _, person in first} == members and len(set(first.values())) == len(members)
    told(club, 4001)
    club.build()
    more = keys_of(club)
    assert first.items() < more.items() and set(more) - set(first) == {(1, "4001")}
    club.build()
    assert keys_of(club) == more
    released(club)
    second = keys_of(club)
    assert more.items() < second.items() and {person for number, person in second if number == 2} == {*members, "4001"}
    assert len(set(second.values())) == len(second)
    told(club, 4002)
    club.build()
    assert set(keys_of(club)) - set(second) == {(2, "4002")}


def test_a_draw_may_be_given(grown: Club, project: Callable[[Club], Path], tmp_path: Path) -> None:
    club, members = releasing(grown, project), sorted(members_of(grown))
    club.build()
    given = {person: str(uuid.uuid5(uuid.NAMESPACE_OID, person)) for person in members}
    file = tmp_path / "keys.csv"

    def written(persons: list[str], *more: str) -> None:
        lines = [*(f"club,{person},{given[person]}" for person in persons), *more]
        file.write_text("\n".join(["source_id,person_id,release_key", *lines]) + "\n", encoding="utf-8")

    written(members[1:])
    with pytest.raises(BuildError, match=f"has no key of 1 persons, such as club:{members[0]}; nothing was drawn"):
        released(club, SOURCES__RELEASE_KEYS__KEYS=str(file))
    assert keys_of(club) == {}
    # A person twice, and one key for two: they would be released as one.
    for more in (f"club,{members[0]},{uuid.uuid4()}", f"club,9999,{given[members[0]]}"):
        written(members, more)
        with pytest.raises(BuildError, match=f"twice 1 times, such as of club:{members[0]}; nothing was drawn"):
            released(club, SOURCES__RELEASE_KEYS__KEYS=str(file))
    assert keys_of(club) == {}
    written(members, "club,9998,")
    released(club, SOURCES__RELEASE_KEYS__KEYS=str(file))
    assert keys_of(club) == {(1, person): key for person, key in given.items()}


def test_where_nobody_is_known_or_nothing_draws_no_release_begins(club: Club, project: Callable[[Club], Path]) -> None:
    releasing(club, project)
    with pytest.raises(BuildError, match="no person is known yet"):
        released(club)
    listed = club.project / "dbt_project.yml"
    text = listed.read_text(encoding="utf-8").replace("        release_keys: {", "        # release_keys: {")
    listed.write_text(text, encoding="utf-8")
    with pytest.raises(BuildError, match="no source of the domains that are on draws keys"):
        released(club)
