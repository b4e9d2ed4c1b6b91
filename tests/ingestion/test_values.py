"""The kinds of values that no source should have and one has: each is loaded exactly, or is a reject with its text.

Values are drawn at random and go through a real load. What must come out is worked out in Python from how they were
written: decimals by `decimal`, times by `datetime`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ingestion.contract.contracts import Column, Source, Table
from ingestion.destination.target import Target
from ingestion.load.extracts import Extract, Reader
from ingestion.load.loading import load
from ingestion.sql import literal
from tests.ingestion.loads import NOON, ask

PLAUSIBLE = ("1900-01-01", "2100-12-31")
COLUMNS = (
    Column("id", "bigint", required=True),
    Column("amount", "numeric(18,4)"),
    Column("moment", "timestamp", plausible=PLAUSIBLE),
    Column("note", "text"),
)
TABLE = Table("odd", "odd", COLUMNS, ("id",), ("id",), plausible=PLAUSIBLE)
SOURCE = Source("odd", "raw_odd", (TABLE,))
LARGEST = Decimal("99999999999999.9999")

plain_numbers = st.decimals(min_value=-LARGEST, max_value=LARGEST, places=4, allow_nan=False).map(str)
odd_numbers = st.sampled_from(
    ["NaN", "-inf", "Infinity", "1e3", "1_000", "1,5", "0x1F", "--1", ".", "1.00005", "99999999999999.99995",
     "100000000000000", "9" * 400, "１２", "\u00a01", "1\u00a0", "", " ", "0.00000"]
)  # fmt: skip
numbers = st.one_of(plain_numbers, odd_numbers, st.decimals(allow_nan=True, allow_infinity=True).map(str))
plain_times = st.datetimes(datetime(1900, 1, 1), datetime(2100, 12, 31)).map(lambda at: at.isoformat(sep=" "))  # noqa: DTZ001
zoned_times = plain_times.map(lambda text: f"{text}+00:00")
odd_times = st.sampled_from(
    ["infinity", "-infinity", "epoch", "now", "today", "tomorrow", "2024-02-30 10:00:00", "24:00",
     "1899-12-31 23:59:59", "2101-01-01 00:00:00", "0044-03-15 (BC)", "99999-01-01", "1719792000", ""]
)  # fmt: skip
times = st.one_of(plain_times, zoned_times, odd_times)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def amount_of(text: str) -> Decimal | None:
    """The number that a text is, where it is one of at most four places that the column holds."""
    stripped = text.strip(" \t\n\r\f\v")
    if not stripped.isascii() or not set(stripped) <= set("+-.0123456789"):
        return None
    try:
        number = Decimal(stripped)
    except InvalidOperation:
        return None
    return number if abs(number) <= LARGEST and number == round(number, 4) else None


def time_of(text: str) -> datetime | None:
    """The time that a text is, in UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


def blank(text: str) -> bool:
    return not text.strip(" \t\n\v\f\r\u00a0")


def expected(row: tuple[str, str, str]) -> tuple[Any, ...] | None:
    """The values as raw must have them; None where the row is a reject."""
    amount, at, note = row
    number, moment = amount_of(amount), time_of(at)
    if (number is None and not blank(amount)) or (moment is None and not blank(at)) or "\0" in note:
        return None
    if moment and not datetime(1900, 1, 1) <= moment < datetime(2101, 1, 1):  # noqa: DTZ001
        return None
    return number, moment, note or None


def loaded(rows: Sequence[tuple[str, str, str]], folder: Path) -> Target:
    """Load rows of texts, as a source that knows no other type has them."""
    target = Target("dev", "duckdb", folder)

    def extracts(reader: Reader) -> Generator[Extract, None, None]:
        reader.connection.execute("create temp table given (id bigint, amount varchar, moment varchar, note varchar)")
        reader.connection.executemany(
            "insert into given values (?, ?, ?, ?)", [(n, *row) for n, row in enumerate(rows)]
        )
        relation = (
            f"(select *, 'U' as _operation, 1 as _revision, "
            f"timestamp {literal('2025-01-01 00:00:00')} as _effective_at from given)"
        )
        yield Extract(TABLE, relation, len(rows))

    (result,) = load(SOURCE, extracts, target, NOON)
    assert result.source_count == result.loaded + result.known + result.rejected == len(rows)
    return target


# Each example is a load of many values: to shrink one takes longer than to read it.
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(st.tuples(numbers, times, texts), min_size=20, max_size=60))
def test_a_text_is_loaded_as_what_it_is_or_rejected_as_it_stands(rows: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = loaded(rows, Path(folder))
        found = {row[0]: row[1:] for row in ask(target, "select id, amount, moment, note from raw_odd.odd")}
        records = [json.loads(text) for (text,) in ask(target, "select record from raw_odd.rejects")]
    wanted = {number: values for number, row in enumerate(rows) if (values := expected(row)) is not None}
    assert found == wanted
    broken = {record["id"]: (record["amount"], record["moment"], record["note"]) for record in records}
    assert broken == {number: row for number, row in enumerate(rows) if number not in wanted}
