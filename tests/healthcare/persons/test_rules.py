"""The rules by which records are one person's: on public data with their truth, and against a union-find of our own."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from hashlib import md5
from uuid import UUID

import pytest

from ingestion.project import PROJECT_ROOT
from tests.healthcare.persons.records import BEGINNING, END, Identities, Key, Pair, Record, febrl, pairs_of, persons
from tests.healthcare.persons.union_find import expected_persons

SYNTHEA = PROJECT_ROOT.parent / "shared" / "data" / "healthcare" / "fhir_bulk_patients_100" / "Patient.000.ndjson"
DAY = datetime(2026, 1, 1)  # noqa: DTZ001 (UTC without a zone, as in raw)


def person_key(record: Key) -> str:
    """The key of the person whose least record this is."""
    return str(UUID(md5(f"person|{record[0]}|{record[1]}".encode(), usedforsecurity=False).hexdigest()))


@pytest.mark.parametrize(("number", "wanted"), [(1, 467), (3, 6028)])
def test_febrl_is_matched_without_a_wrong_pair(identities: Identities, number: int, wanted: int) -> None:
    records, true = febrl(number)
    rows = identities.found(records)
    found = pairs_of(persons(rows))
    assert found <= true, "no wrong pair"
    assert len(found) == wanted
    assert len(rows) == len(records), "without matches and decisions each record has one interval"
    # Counted apart from the product: what the rules say of pairs, closed transitively.
    assert persons(rows) == expected_persons(records, [], BEGINNING)
    if number == 3:
        assert len(found) / len(true) >= 0.92
        shuffled = random.Random(7).sample(records, len(records))
        assert identities.found(shuffled) == rows, "the order of arrival decides nothing"


def test_the_dead_are_not_those_who_take_their_place(identities: Identities) -> None:
    if not SYNTHEA.exists():
        pytest.skip(f"THE SHARED DATA ARE NOT HERE: {SYNTHEA}; SYNTHEA'S GROUPS NOT TESTED")
    records, groups = [], dict[tuple[str, str], list[Key]]()
    for line in SYNTHEA.read_text(encoding="utf-8").splitlines():
        patient = json.loads(line)
        address, name = patient["address"][0], patient["name"][0]
        ssn = [each["value"] for each in patient["identifier"] if each.get("system", "").endswith("/us-ssn")]
        records.append(Record(
            "fhir", patient["id"], ssn[0], name["given"][0], name["family"], patient["birthDate"],
            ", ".join(address["line"]), address.get("postalCode"),
        ))  # fmt: skip
        groups.setdefault((patient["birthDate"], str(address.get("postalCode"))), []).append(records[-1].key)
    alike = [group for group in groups.values() if len(group) > 1]
    assert (len(alike), sum(map(len, alike))) == (7, 17), "as the data's README counts them"
    assert {len(each) for each in persons(identities.found(records))} == {1}
    # Neither are they where nobody has a number.
    without = [Record(*each.key, None, *(getattr(each, name) for name in NAMES)) for each in records]
    assert {len(each) for each in persons(identities.found(without))} == {1}


NAMES = ("given_name_token", "family_name_token", "birth_date", "street_token", "postal_code")


def test_what_contradicts_is_no_match(identities: Identities) -> None:
    anna = {"given_name_token": "anna", "family_name_token": "ash", "birth_date": "1980-02-03"}
    twin = {"family_name_token": "birch", "birth_date": "2024-05-06", "postal_code": "66000"}
    records = [
        # Two of one name and birth date with numbers that differ, and one without a number: which of them is it?
        Record("a", "1", "111", **anna),
        Record("a", "2", "222", **anna),
        Record("a", "3", **anna),
        # The same where the address says that one number is a typing error.
        Record("b", "1", "333", "bo", "beech", "1981-02-03", "1 Road", "66001"),
        Record("b", "2", "334", "bo", "beech", "1981-02-03", "2 Road", "66001"),
        Record("b", "3", None, "bo", "beech", "1981-02-03"),
        # Twins, and a record that names neither.
        Record("c", "1", given_name_token="cy", **twin),
        Record("c", "2", given_name_token="di", **twin),
        Record("c", "3", **twin),
        # One child, and a record without the given name.
        Record("d", "1", "555", "di", "dogwood", "2024-05-06", None, "66002"),
        Record("d", "2", None, None, "dogwood", "2024-05-06", None, "66002"),
        # A year is no birth date, nor are a name and a ZIP enough.
        Record("e", "1", None, "ed", "elm", "1980", None, "66003"),
        Record("e", "2", None, "ed", "elm", "1980", None, "66003"),
        # A number that a form was filled with.
        *(Record("f", str(each), "000-00-0000") for each in range(21)),
    ]
    rows = identities.found(records)
    together = {tuple(sorted(each)) for each in persons(rows) if len(each) > 1}
    assert together == {
        (("b", "1"), ("b", "2"), ("b", "3")),
        (("d", "1"), ("d", "2")),
    }
    rules = {(row[0], row[1]): row[3] for row in rows}
    assert [rules["b", each] for each in "123"] == ["name_birth_address", "name_birth_address", "name_birth"]
    assert rules["d", "2"] == "family_birth_postal" and rules["a", "3"] == "alone"
    assert {row[2] for row in rows if row[0] == "b"} == {person_key(("b", "1"))}


def test_a_decision_is_history(identities: Identities) -> None:
    records = [Record("fhir", "1", "7"), Record("fhir", "2", "8"), Record("lab", "1", "7"), Record("lab", "2", "8")]
    one, two, other_one, other_two = (each.key for each in records)
    days = [DAY + timedelta(days=each) for each in range(4)]
    pairs = [Pair(one, two, "match", days[0]), Pair(other_two, other_one, "apart", days[1], days[2])]
    rows = identities.found(records, pairs)
    apart = {frozenset({one, other_one}), frozenset({two, other_two})}
    assert persons(rows, days[0] - timedelta(seconds=1)) == apart
    assert persons(rows, days[0]) == {frozenset({one, two, other_one, other_two})}
    assert persons(rows, days[1]) == apart, "what numbers say is not undone with the match"
    assert persons(rows, days[2]) == {frozenset({one, two, other_one, other_two})}
    assert [(row[2], row[3], row[4], row[5]) for row in rows if row[:2] == two] == [
        (person_key(two), "ssn", BEGINNING, days[0]),
        (person_key(one), "match", days[0], days[1]),
        (person_key(two), "ssn", days[1], days[2]),
        (person_key(one), "match", days[2], END),
    ]
    assert len([row for row in rows if row[:2] == one]) == 1, "whose person stays the same has one interval"
    # Two who were never one are not concerned by a decision.
    rows = identities.found(records, [Pair(one, two, "apart", days[1])])
    assert len(rows) == 4 and persons(rows) == apart


@pytest.mark.parametrize("seed", range(12))
def test_any_graph_is_as_a_union_find_has_it(identities_of_session: Identities, seed: int) -> None:
    chance = random.Random(seed)
    few = chance.choice([2, 4, 8])

    def value(kind: str) -> str | None:
        return f"{kind}{chance.randrange(few)}" if chance.random() < 0.8 else None

    records = [
        Record(
            chance.choice(["fhir", "lab", "Lab"]), f"{chance.choice('aB_')}{number}", f"s{chance.randrange(12)}"
            if chance.random() < 0.5 else None, value("given"), value("family"),
            chance.choice(["1990-01-01", "1990-01-02", "1990-01", None]), value("street"), value("postal"),
        )
        for number in range(30)
    ]  # fmt: skip
    keys = [each.key for each in records]
    days = [DAY + timedelta(days=each) for each in range(5)]
    pairs = []
    for _ in range(chance.randrange(8)):
        left, right = chance.sample(keys, 2)
        start = chance.randrange(4)
        end = days[chance.randrange(start + 1, 5)] if chance.random() < 0.5 else END
        pairs.append(Pair(left, right, chance.choice(["match", "apart"]), days[start], end))
    rows = identities_of_session.found(chance.sample(records, len(records)), chance.sample(pairs, len(pairs)))
    for at in [BEGINNING, *days]:
        wanted = expected_persons(records, pairs, at)
        assert persons(rows, at) == wanted
        held = {row[:2]: row[2] for row in rows if row[4] <= at < row[5]}
        assert held == {key: person_key(min(group)) for group in wanted for key in group}
