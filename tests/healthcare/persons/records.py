"""Records of people on either engine, whose persons the product's own macro finds; febrl's data as such records."""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.project import PROJECT_ROOT
from tests.warehouse.made_up_history import MadeUpHistory

FEBRL = PROJECT_ROOT.parent / "shared" / "data" / "healthcare" / "matching"
BEGINNING, END = datetime(1900, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001 (times of raw are UTC without a zone)
Key = tuple[str, str]


@dataclass(frozen=True)
class Record:
    """What a source says of somebody. Values stand for their tokens: equal ones have equal tokens."""

    source_id: str
    patient_id: str
    ssn_token: str | None = None
    given_name_token: str | None = None
    family_name_token: str | None = None
    birth_date: str | None = None
    street_token: str | None = None
    postal_code: str | None = None

    @property
    def key(self) -> Key:
        """What it is called."""
        return self.source_id, self.patient_id


@dataclass(frozen=True)
class Pair:
    """A match or a decision about two records, and when it held."""

    left: Key
    right: Key
    verdict: str
    valid_from: datetime = BEGINNING
    valid_to: datetime = END


COLUMNS = [field.name for field in fields(Record)]
PAIR_COLUMNS = (
    "left_source_id varchar, left_patient_id varchar, right_source_id varchar, right_patient_id varchar, "
    "verdict varchar, valid_from timestamp, valid_to timestamp"
)


class Identities:
    """A throw-away dbt project that asks the macro for the persons of records, on DuckDB or on Postgres."""

    def __init__(self, folder: Path, postgres: Mapping[str, str] | None):
        """Args: folder: where the project lies. postgres: libpq's settings of an empty database; None for DuckDB."""
        self.made = MadeUpHistory(folder, postgres)
        listed = ", ".join(f"{name} varchar" for name in COLUMNS)
        self.made.run(f"create table records ({listed})", f"create table pairs ({PAIR_COLUMNS})")

    def found(self, records: Sequence[Record], pairs: Sequence[Pair] = ()) -> list[tuple[Any, ...]]:
        """The macro's rows: source, record, person, rule, from, to; in order."""
        told = [(*each.left, *each.right, each.verdict, each.valid_from, each.valid_to) for each in pairs]
        self.made.run(
            "delete from records", "delete from pairs",
            *_inserts("records", ([getattr(each, name) for name in COLUMNS] for each in records)),
            *_inserts("pairs", told),
        )  # fmt: skip
        rows = self.made.model(
            "{{ config(materialized='table', pre_hook=\"{{ link_persons('records', 'pairs') }}\") }}"
            "{{ person_identities('records') }}"
        )
        assert all(row[6] == (row[5] == END) for row in rows), "the last interval is the current one, and no other"
        found = [(row[0], row[1], str(row[2]), *row[3:6]) for row in rows]
        return sorted(found, key=lambda row: (row[0], row[1], row[4]))


def _inserts(table: str, rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    listed = [f"({', '.join(map(_literal, row))})" for row in rows]
    for start in range(0, len(listed), 500):
        yield f"insert into {table} values {', '.join(listed[start : start + 500])}"


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    text = value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
    return "'" + text.replace("'", "''") + "'"


def persons(rows: Iterable[Sequence[Any]], at: datetime = BEGINNING) -> set[frozenset[Key]]:
    """The persons that the macro's rows say held at a time, each as the set of its records."""
    found: dict[str, set[Key]] = defaultdict(set)
    for source, record, person, _, start, end in rows:
        if start <= at < end:
            found[person].add((source, record))
    return set(map(frozenset, found.values()))


def pairs_of(groups: Iterable[Iterable[Key]]) -> set[tuple[Key, Key]]:
    """All pairs of records within the groups."""
    return {pair for group in groups for pair in itertools.combinations(sorted(group), 2)}


def febrl(number: int) -> tuple[list[Record], set[tuple[Key, Key]]]:
    """A febrl data set as records, and its true pairs; skips where the shared data aren't there."""
    if not FEBRL.is_dir():
        pytest.skip(f"THE SHARED DATA ARE NOT HERE: {FEBRL}; MATCHING NOT TESTED ON FEBRL")
    with (FEBRL / f"dataset{number}.csv").open(encoding="utf-8", newline="") as file:
        rows = [{k.strip(): v.strip() or None for k, v in row.items()} for row in csv.DictReader(file)]
    records, entities = [], defaultdict(set)
    for row in rows:
        born = row["date_of_birth"]
        street = f"{row['street_number']} {row['address_1']}" if row["street_number"] and row["address_1"] else None
        record = Record(
            "febrl", str(row["rec_id"]), row["soc_sec_id"], row["given_name"], row["surname"],
            f"{born[:4]}-{born[4:6]}-{born[6:]}" if born else None, street, row["postcode"],
        )  # fmt: skip
        records.append(record)
        entities[str(row["rec_id"]).split("-")[1]].add(record.key)
    return records, pairs_of(entities.values())
