"""The rules of history, each with versions made up for it and the intervals that follow, worked out by hand.

Versions come by two loads, and the snapshot is made after each. Where the versions of a case come by one load, what
comes out after it is what comes out after both.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from tests.warehouse.made_up_history import MadeUpHistory

pytestmark = pytest.mark.slow

ENGINES = ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)]


@dataclass(frozen=True)
class Case:
    """One record: its versions by load, as `<time> <revision> <label>`, with `deleted` behind where it is, and when it
    was seen where that matters; its intervals after each load, as `<from> <to> <label>`."""

    first_load: tuple[str, ...]
    after_first: tuple[str, ...]
    second_load: tuple[str, ...] = ()
    after_second: tuple[str, ...] = ()

    @property
    def after_both(self) -> tuple[str, ...]:
        return self.after_second or self.after_first


CASES = {
    "a record without a change": Case(("06-01 1 A",), ("… … A",)),
    "a value that returns": Case(
        ("06-01 1 A", "06-02 2 B", "06-03 3 A"), ("… 06-02 A", "06-02 06-03 B", "06-03 … A"),
    ),
    "a value that returns load by load": Case(
        ("06-01 1 A", "06-02 2 B"), ("… 06-02 A", "06-02 … B"),
        ("06-03 3 A",), ("… 06-02 A", "06-02 06-03 B", "06-03 … A"),
    ),
    "several changes within a day": Case(
        ("06-01 1 A", "06-02T09:00:00 2 B", "06-02T09:00:00.000001 3 C", "06-02T18:30:00 4 A"),
        (
            "… 06-02T09:00:00 A", "06-02T09:00:00 06-02T09:00:00.000001 B",
            "06-02T09:00:00.000001 06-02T18:30:00 C", "06-02T18:30:00 … A",
        ),
    ),
    "written down in any order": Case(
        ("06-03 3 C", "06-01 1 A", "06-02 2 B"), ("… 06-02 A", "06-02 06-03 B", "06-03 … C"),
    ),
    "changes that come to nothing": Case(("06-01 1 A", "06-02 2 A", "06-03 3 A"), ("… … A",), ("06-04 4 A",)),
    "null is a value, and not an empty one": Case(
        ("06-01 1 A", "06-02 2 null", "06-03 3 "), ("… 06-02 A", "06-02 06-03 None", "06-03 … "),
    ),
    # A source that tells states may tell two of one second.
    "of equals, what was observed last": Case(
        ("06-01 1 Z 06-02", "06-01 1 M 06-03"), ("… … M",), ("06-01 1 A 06-04",), ("… … A",),
    ),
    "of equals, what was observed last, whenever it is loaded": Case(
        ("06-01 1 A 06-04",), ("… … A",), ("06-01 1 Z 06-02", "06-01 1 M 06-03"),
    ),
    "the higher revision holds, whenever it was observed": Case(
        ("06-01 1 Z 06-04",), ("… … Z",), ("06-01 2 A 06-02",), ("… … A",),
    ),
    # Deletes.
    "deleted, then restored as it was": Case(
        ("06-01 1 A", "06-02 2 A deleted"), ("… 06-02 A", "06-02 … A deleted"),
        ("06-03 1 A",), ("… 06-02 A", "06-02 06-03 A deleted", "06-03 … A"),
    ),
    "restored at the instant of the delete": Case(
        ("06-01 1 A", "06-02 2 A deleted"), ("… 06-02 A", "06-02 … A deleted"), ("06-02 3 A",), ("… … A",),
    ),
    "restored at a time before the delete": Case(
        ("06-01 1 A", "06-03 2 A deleted"),
        ("… 06-03 A", "06-03 … A deleted"),
        ("06-02 3 A",),
    ),
    "deleted twice": Case(
        ("06-01 1 A", "06-02 2 A deleted", "06-03 3 A deleted"), ("… 06-02 A", "06-02 … A deleted"),
    ),
    "known by its delete alone": Case(("06-02 2 A deleted",), ("… … A deleted",)),
    # Several versions at one instant.
    "twice to the letter": Case(("06-01 1 A", "06-02 2 B", "06-02 2 B"), ("… 06-02 A", "06-02 … B"), ("06-02 2 B",)),
    "the higher revision holds, whichever comes first": Case(
        ("06-01 1 A", "06-02 3 C"), ("… 06-02 A", "06-02 … C"), ("06-02 2 B",),
    ),
    "a correction with a higher revision": Case(
        ("06-01 1 A", "06-02 2 B", "06-03 3 C"), ("… 06-02 A", "06-02 06-03 B", "06-03 … C"),
        ("06-02 4 A",), ("… 06-03 A", "06-03 … C"),
    ),
    # What the snapshot hashes is `=A|=false` and `=B|=false`; their md5 begin with c7a0 and 9ac3, so A is the greater.
    "of equals the greatest content, the lesser first": Case(("06-02 2 B",), ("… … B",), ("06-02 2 A",), ("… … A",)),
    "of equals the greatest content, the lesser last": Case(("06-02 2 A",), ("… … A",), ("06-02 2 B",), ("… … A",)),
    "of equals in one load": Case(("06-02 2 B", "06-02 2 A"), ("… … A",)),
    # Late versions.
    "a late version takes its place": Case(
        ("06-01 1 A", "06-03 3 C"), ("… 06-03 A", "06-03 … C"),
        ("06-02 2 B",), ("… 06-02 A", "06-02 06-03 B", "06-03 … C"),
    ),
    "a late version that says nothing new": Case(
        ("06-01 1 A", "06-03 3 C"), ("… 06-03 A", "06-03 … C"), ("06-02 2 A",),
    ),
    "a late version that the next one repeats": Case(
        ("06-01 1 A", "06-03 3 C"), ("… 06-03 A", "06-03 … C"), ("06-02 2 C",), ("… 06-02 A", "06-02 … C"),
    ),
    "a late first version reaches back": Case(
        ("06-02 2 B", "06-03 3 C"), ("… 06-03 B", "06-03 … C"),
        ("06-01 1 A",), ("… 06-02 A", "06-02 06-03 B", "06-03 … C"),
    ),
    # The interval in which it falls is of two equal versions, and began before it.
    "a late version among equals": Case(
        ("06-01 1 A", "06-05 2 A"), ("… … A",),
        ("06-03 3 B",), ("… 06-03 A", "06-03 06-05 B", "06-05 … A"),
    ),
    "two new versions, one of them late": Case(
        ("06-01 1 A", "06-04 2 C"), ("… 06-04 A", "06-04 … C"),
        ("06-05 4 D", "06-02 3 B"), ("… 06-02 A", "06-02 06-04 B", "06-04 06-05 C", "06-05 … D"),
    ),
    "two new versions at the end": Case(
        ("06-01 1 A",), ("… … A",),
        ("06-03 3 C", "06-02 2 B"), ("… 06-02 A", "06-02 06-03 B", "06-03 … C"),
    ),
    "deleted by a later load": Case(
        ("06-01 1 A",), ("… … A",), ("06-02 2 A deleted",), ("… 06-02 A", "06-02 … A deleted"),
    ),
    "nothing before a later load": Case((), (), ("06-02 2 A",), ("… … A",)),
    "a late delete": Case(
        ("06-01 1 A", "06-03 3 C"), ("… 06-03 A", "06-03 … C"),
        ("06-02 2 A deleted",), ("… 06-02 A", "06-02 06-03 A deleted", "06-03 … C"),
    ),
}  # fmt: skip

# A record whose row is changed by hand after the first load: that shows whether a build wrote it again. It shares the
# first part of its key with one that the second load touches, and the second part with another.
BY_HAND, ITS_NEIGHBOURS = ("untouched", 2), [("untouched", 1), ("touched", 2)]


def replayed(number: int) -> Case:
    """A record whose versions were drawn, some of one time and revision, and brought by two loads as chance has it.

    What holds at each time is worked out here.
    """
    chance = random.Random(number)
    told = {
        (at, revision, seen): chance.choice("ABC")
        for at in ("06-01", "06-02", "06-03")
        for revision in range(1, chance.randrange(2, 4))
        for seen in chance.sample(["06-05", "06-06", "06-07"], chance.randrange(1, 4))
    }
    versions = [f"{at} {revision} {label} {seen}" for (at, revision, seen), label in told.items()]
    chance.shuffle(versions)
    holding = [(at, told[max(each for each in told if each[0] == at)]) for at in ("06-01", "06-02", "06-03")]
    changes = [now for before, now in zip([("", ""), *holding], holding, strict=False) if now[1] != before[1]]
    begins = ["…", *(at for at, _ in changes[1:])]
    spans = zip(begins, [*begins[1:], "…"], changes, strict=True)
    intervals = [f"{start} {end} {label}" for start, end, (_, label) in spans]
    cut = chance.randrange(1, len(versions))
    return Case(tuple(versions[:cut]), (), tuple(versions[cut:]), tuple(intervals))


REPLAYED = {f"replayed {number}": replayed(number) for number in range(40)}
Stages = dict[str, dict[tuple[str, int], list[str]]]


def values(key: tuple[str, int], version: str) -> str:
    """A case's version as the log has it."""
    at, revision, label, *rest = version.split(" ")
    content = "null" if label == "null" else f"'{label}'"
    seen = next((word for word in rest if word != "deleted"), "07-01")
    return f"'{key[0]}', {key[1]}, '2025-{at}', {revision}, {content}, {'deleted' in rest}, '2025-{seen}'"


@pytest.fixture(scope="module", params=ENGINES)
def stages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """What the snapshot held after the first load, after the second, after it was computed in full, and after a column
    more was tracked."""
    engine = None if request.param == "duckdb" else request.getfixturevalue("new_postgres_database")()
    history = MadeUpHistory(tmp_path_factory.mktemp("history"), engine)
    columns, found = "shop, item, valid_at, source_revision, label, is_deleted, observed_at", {}
    neighbours, cases = [BY_HAND, *ITS_NEIGHBOURS], CASES | REPLAYED
    history.load("one", columns, [
        *(values((name, 1), version) for name, case in cases.items() for version in case.first_load),
        *(values(key, "06-01 1 A") for key in neighbours),
    ])  # fmt: skip
    history.snapshot()
    found["first load"] = history.intervals()
    history.run("update snapshots.history set label = 'by hand' where shop = 'untouched' and item = 2")
    history.load("two", columns, [
        *(values((name, 1), version) for name, case in cases.items() for version in case.second_load),
        *(values(key, "06-02 2 B") for key in ITS_NEIGHBOURS),
    ])  # fmt: skip
    history.snapshot()
    found["both loads"] = history.intervals()
    history.run("update granary.code set fingerprint = 'another'")
    history.snapshot()
    found["in full"] = history.intervals()
    # Versions from before have no colour; nor has one that comes later without it.
    history.run(
        "update snapshots.history set label = 'by hand' where shop = 'untouched' and item = 2",
        "alter table log add column colour varchar",
    )
    history.load("three", f"{columns}, colour", [values(("untouched", 1), "06-05 5 B") + ", 'red'"])
    history.track("label", "colour")
    history.snapshot()
    found["a column more"] = history.intervals("coalesce(label, 'None') || ' ' || coalesce(colour, 'None')")
    return found


@pytest.mark.parametrize("name", CASES)
def test_rule(stages: Stages, name: str) -> None:
    case, key = CASES[name], (name, 1)
    assert stages["first load"].get(key, []) == list(case.after_first)
    assert stages["both loads"][key] == list(case.after_both)
    assert stages["in full"][key] == list(case.after_both)


def test_a_shuffled_replay_gives_the_same_history(stages: Stages) -> None:
    for stage in ("both loads", "in full"):
        assert {name: stages[stage][name, 1] for name in REPLAYED} == {
            name: list(case.after_both) for name, case in REPLAYED.items()
        }


def test_every_part_of_a_key_counts(stages: Stages) -> None:
    for key in ITS_NEIGHBOURS:
        assert stages["both loads"][key] == ["… 06-02 A", "06-02 … B"]
    assert stages["in full"][BY_HAND] == ["… … A"]


def test_only_keys_of_new_loads_are_written_again(stages: Stages) -> None:
    assert stages["both loads"][BY_HAND] == ["… … by hand"]
    assert stages["in full"][BY_HAND] == ["… … A"], "a changed rule computes all"


def test_versions_from_before_a_tracked_column_have_none(stages: Stages) -> None:
    found = stages["a column more"]
    assert found["untouched", 1] == ["… 06-02 A None", "06-02 06-05 B None", "06-05 … B red"]
    assert found[BY_HAND] == ["… … A None"], "a tracked column computes all"
    for name in ("a value that returns", "a late version takes its place"):
        assert [text.removesuffix(" None") for text in found[name, 1]] == list(CASES[name].after_both)
