"""Which records are one person's, worked out in plain Python: an oracle that shares nothing with the SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import combinations

from tests.healthcare.persons.records import Key, Pair, Record

LARGEST = 20


class _Groups:
    """Disjoint sets of things."""

    def __init__(self) -> None:
        self.parents: dict[Key, Key] = {}

    def root(self, of: Key) -> Key:
        """Which set a thing is in."""
        while self.parents.get(of, of) != of:
            of = self.parents[of]
        return of

    def join(self, one: Key, other: Key) -> None:
        """Make the sets of two things one."""
        self.parents[self.root(one)] = self.root(other)


def _same(records: Sequence[Record], *names: str) -> list[tuple[Key, Key]]:
    """The pairs that are equal in all of these, unless too many are."""
    shared: dict[tuple[str, ...], list[Key]] = {}
    for record in records:
        values = [getattr(record, name) for name in names]
        if all(values) and ("birth_date" not in names or len(record.birth_date or "") == 10):
            shared.setdefault(tuple(values), []).append(record.key)
    return [pair for group in shared.values() if len(group) <= LARGEST for pair in combinations(group, 2)]


def expected_persons(records: Sequence[Record], pairs: Sequence[Pair], at: datetime) -> set[frozenset[Key]]:
    """The persons by the rules, with the matches and decisions that hold at a time."""
    by_key = {each.key: each for each in records}
    there = [each for each in pairs if {each.left, each.right} <= set(by_key)]
    holding = [each for each in there if each.valid_from <= at < each.valid_to]
    name, born = ("given_name_token", "family_name_token"), "birth_date"
    tiers: list[tuple[list[tuple[Key, Key]], tuple[str, ...]]] = [
        (_same(records, "ssn_token"), ()),
        (_same(records, *name, born, "postal_code") + _same(records, *name, born, "street_token"), ()),
        (_same(records, *name, born), ("ssn_token",)),
        (_same(records, "family_name_token", born, "postal_code"), ("ssn_token", "given_name_token")),
        ([(each.left, each.right) for each in holding if each.verdict == "match"], ()),
    ]
    apart = [{each.left, each.right} for each in holding if each.verdict == "apart"]
    clusters = {frozenset({each}) for each in by_key}
    for links, columns in tiers:
        groups = _Groups()
        for one, other in links:
            groups.join(one, other)
        clusters = _joined(clusters, groups, partial(_sound, by_key, apart, columns))
    return clusters


def _joined(
    clusters: set[frozenset[Key]], groups: _Groups, sound: Callable[[list[frozenset[Key]]], bool]
) -> set[frozenset[Key]]:
    for cluster in clusters:
        first, *others = cluster
        for other in others:
            groups.join(first, other)
    parts: dict[Key, list[frozenset[Key]]] = {}
    for cluster in clusters:
        parts.setdefault(groups.root(next(iter(cluster))), []).append(cluster)
    found: set[frozenset[Key]] = set()
    for listed in parts.values():
        found |= {frozenset().union(*listed)} if sound(listed) else set(listed)
    return found


def _sound(
    records: dict[Key, Record], apart: list[set[Key]], columns: tuple[str, ...], parts: list[frozenset[Key]]
) -> bool:
    if any(pair <= frozenset().union(*parts) for pair in apart):
        return len(parts) == 1
    return all(sum(any(getattr(records[key], column) for key in part) for part in parts) <= 1 for column in columns)
