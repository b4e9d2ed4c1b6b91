"""Odd values in the midst of sound ones, on both engines: each is a reject, and everything else is published."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.ingestion.test_values import amount_of, numbers, texts, time_of, times
from tests.tiny.club import COLUMNS, Club, Version
from tests.tiny.conftest import both_engines

# What Postgres and CSV hold; a text with a zero byte is a reject, as tests/ingestion has it.
towns = texts.filter(lambda text: "\0" not in text)


def sound(amount: str, at: str) -> tuple[Decimal, datetime] | None:
    """What a visit's texts say; None where the contract has it rejected."""
    number, moment = amount_of(amount), time_of(at)
    if number is None or number < 0 or moment is None or not 1970 <= moment.year <= 2069:
        return None
    return number, moment


@both_engines
@settings(
    max_examples=2,  # the first is the simplest
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(numbers, times, towns), min_size=60, max_size=120))
def test_odd_values_are_rejects_and_all_else_is_published(grown: Club, rows: list[tuple[str, str, str]]) -> None:
    at, first = "2025-01-15 12:00:00", 100 + max(each.record for each in grown.versions)
    revision = 100 + max(each.revision for each in grown.versions)
    rejected = set()
    for table in COLUMNS:
        name = f"{revision:06}.{table}.csv"
        with (grown.delivered / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writerow(["op", "revision", "at", *COLUMNS[table]])
            for record, (amount, moment, town) in enumerate(rows, start=first):
                if table == "members":
                    version = Version(table, record, at, revision, (("tier", "gold"), ("town", town)))
                    writer.writerow(["U", revision, at, record, f"member{record}@example.com", town, "gold"])
                else:
                    values = (("member_id", record), ("visited_at", moment), ("amount", amount))
                    version = Version(table, record, at, revision, values)
                    writer.writerow(["U", revision, at, record, record, moment, amount])
                    said = sound(amount, moment)
                    if said is None:
                        rejected.add(record)
                        continue
                    exact = {"member_id": record, "visited_at": said[1].isoformat(sep=" "), "amount": str(said[0])}
                    version = replace(version, values=tuple(exact.items()))
                grown.told.append(version)
                grown.versions.append(version)
    lines = grown.build(observed_at="02-02")
    assert (
        f"records: {2 * len(rows)} read = {2 * len(rows) - len(rejected)} loaded + 0 known + {len(rejected)} rejected"
        in (" ".join(lines))
    )
    assert grown.expected().less(grown.published()) == ""
    records = grown.ask(lambda database: f"select record from {database.raw('club', 'rejects')}")
    found = {each["id"]: (each["amount"], each["visited_at"]) for each in (json.loads(text) for (text,) in records)}
    # To the reader's CSV what is empty is missing.
    wanted = {str(number): tuple(text or None for text in rows[number - first][:2]) for number in rejected}
    assert {record: found[record] for record in found if int(record) >= first} == wanted
