"""The forms that a contract may ask of a text by name."""

from __future__ import annotations

import calendar
from datetime import datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contract.formats import is_email, is_hl7_time


def holds(condition: str, text: str) -> bool:
    with duckdb.connect() as connection:
        return connection.execute(f"select {condition} from (select ?::varchar as t)", [text]).fetchone() == (True,)


TIMES = (
    "2024", "202402", "20240229", "2024022923", "202402292359", "20240229235959", "20240229235959.1", "0001",
    "20240229235959.123456789+1400", "2024-0500", "20240131+0000", "20000229", "19991231235959.9999-1200",
)  # fmt: skip
NO_TIMES = (
    "", " 2024", "2024 ", "24", "20241", "202400", "202413", "20240230", "20230229", "19000229", "20240431",
    "2024022924", "202402292360", "20240229235960", "20240229235959.", "20240229.5", "2024-02-29", "2024+1500",
    "2024+0060", "2024+00", "0000", "00000101", "20240229T2359", "20240229235959Z", "now",
)  # fmt: skip


@pytest.mark.parametrize(("text", "is_one"), [*((each, True) for each in TIMES), *((each, False) for each in NO_TIMES)])
def test_hl7_times(text: str, is_one: bool) -> None:
    assert holds(is_hl7_time("t"), text) is is_one


@given(st.text("0123", min_size=8, max_size=8))
def test_days_are_those_that_the_calendar_has(text: str) -> None:
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    exists = year >= 1 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    assert holds(is_hl7_time("t"), text) is exists


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001 (any time, of no zone)
def test_every_time_of_the_calendar_is_one(moment: datetime) -> None:
    assert holds(is_hl7_time("t"), moment.strftime("%Y").zfill(4) + moment.strftime("%m%d%H%M%S.%f"))


def test_an_address_may_have_capitals_and_blanks_around_it() -> None:
    assert holds(is_email("t"), " Anna@Example.COM\t")
    assert not holds(is_email("t"), "anna@example")
