from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ingestion.contract.contracts import Column
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded, LoadError, SourceError
from ingestion.load.loading import load
from ingestion.project import PROJECT_ROOT
from ingestion.readers import files
from ingestion.readers.files.layout import layouts
from tests.absent import absent
from tests.commerce.real_days import REAL_DAYS
from tests.ingestion.loads import NOON, ask, content, load_source, rejects

[LAYOUT] = layouts(read_contract("retail"))

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
DAY = "2024-03-01"

Deliver = Callable[..., Path]


def line(invoice: str = "5001", code: str = "A1", quantity: object = 1, description: str = "MUG") -> str:
    return f"{invoice},{code},{description},{quantity},{DAY} 09:30:00,2.55,17850.0,United Kingdom\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "retail"
    path.mkdir()
    monkeypatch.setenv("SOURCES__RETAIL__BUCKET_URL", str(path))
    return path


@pytest.fixture
def deliver(folder: Path) -> Deliver:
    """Writes a file of one trading day, as of `hour`."""

    def write(text: str | bytes, hour: float = 1, name: str = f"{DAY}.csv") -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        moment = datetime(2024, 3, 2, tzinfo=UTC).timestamp() + 3600 * hour
        os.utime(path, (moment, moment))
        return path

    return write


@pytest.fixture
def real_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    if not REAL_DAYS.exists():
        absent(request, "THE REAL RETAIL DATA IS NOT HERE: THE RETAIL SOURCE NOT TESTED ON IT")
    monkeypatch.setenv("SOURCES__RETAIL__BUCKET_URL", str(REAL_DAYS))
    return REAL_DAYS


def test_real_data_adds_up(real_data: Path, warehouse: Target) -> None:
    loaded = load_source("retail", warehouse)
    assert (loaded["files"].loaded, loaded["sales_lines"].loaded) == (152, 225_438)
    assert ask(
        warehouse,
        """
        select count(*), count(distinct invoice_no), count(distinct stock_code), count(distinct customer_id),
            sum(quantity), sum(quantity * unit_price), count(*) filter (invoice_no like 'C%'),
            sum(quantity * unit_price) filter (invoice_no like 'C%'), count(*) filter (customer_id is null),
            count(*) filter (unit_price = 0), count(*) filter (description is null)
        from raw_retail.sales_lines""",
    ) == [
        (225_438, 11_670, 3_588, 2_879, 2_101_980, Decimal("4000082.001"), 4_096, Decimal("-403228.140"), 63_895,
         1_360, 865)
    ]  # fmt: skip
    months = ask(
        warehouse,
        """
        select strftime(trading_date, '%Y-%m'), count(distinct invoice_no), sum(quantity), sum(quantity * unit_price)
        from raw_retail.sales_lines group by 1 order by 1""",
    )
    assert months[0] == ("2010-12", 2_025, 342_228, Decimal("748957.020"))
    assert months[6] == ("2011-06", 887, 151_436, Decimal("293254.360"))
    assert [result.source_count for result in load_source("retail", warehouse).values()] == [0, 0]


@pytest.mark.battery
def test_real_data_day_by_day_in_any_order(real_data: Path, folder: Path, warehouse: Target, tmp_path: Path) -> None:
    files = sorted(real_data.iterdir())[18:24]
    at_once = Target("dev", "duckdb", tmp_path / "at_once")
    for file in random.Random(1).sample(files, len(files)):
        shutil.copy2(file, folder)
        load_source("retail", warehouse)
    load_source("retail", at_once)
    for table in ("files", "sales_lines"):
        assert content(warehouse, "retail", table) == content(at_once, "retail", table)
    assert ask(warehouse, "select count(*) > 3000 from raw_retail.sales_lines") == [(True,)]


def test_lines_are_numbered_within_their_invoice(deliver: Deliver, warehouse: Target) -> None:
    deliver(HEADER + line("1", "B") + line("2", "A") + line("1", "B") + line("1", "A"))
    load_source("retail", warehouse)
    rows = "select invoice_no, line_number, stock_code from raw_retail.sales_lines order by all"
    assert ask(warehouse, rows) == [("1", 1, "B"), ("1", 2, "B"), ("1", 3, "A"), ("2", 1, "A")]


def test_lines_that_stand_together_are_numbered_in_each_file(deliver: Deliver, warehouse: Target) -> None:
    for name in ("leeds", "york"):
        deliver(HEADER + line("8", "B") + line("8", "A") + line("a7", "B") + line("A7", "A"), name=f"{name}_{DAY}.csv")
    load_source("retail", warehouse)
    rows = ask(warehouse, "select invoice_no, line_number, stock_code from raw_retail.sales_lines")
    assert sorted(rows) == sorted([("8", 1, "B"), ("8", 2, "A"), ("a7", 1, "B"), ("A7", 2, "A")] * 2)


SOUND = {
    "byte order mark": (HEADER + line() * 3).encode("utf-8-sig"),
    "Windows line ends": (HEADER + line() * 3).replace("\n", "\r\n").encode(),
    "old Macintosh line ends": (HEADER + line() * 3).replace("\n", "\r").encode(),
    "no last line end": (HEADER + line() * 3)[:-1].encode(),
    "blank lines": (HEADER + line() + "\n" + line() + "\n" + line() + "\n").encode(),
    "quotes and line ends in values": (HEADER + line(description='"two\nlines, ""quoted"""') * 3).encode(),
    "a quote within a value": (HEADER + line(description='5" DISC') * 3).encode(),
    "not ASCII": (HEADER + line(description="Gift £40 ☕") * 3).encode(),
}


def test_sound_files_of_every_form(deliver: Deliver, warehouse: Target) -> None:
    for day, text in enumerate(SOUND.values(), start=10):
        deliver(text, name=f"2024-03-{day}.csv")
        deliver(gzip.compress(text), name=f"sales_2024-04-{day}.csv.gz")
    load_source("retail", warehouse)
    rows = "select trading_date, count(*), sum(quantity), min(country) from raw_retail.sales_lines group by 1"
    found = {day: rest for day, *rest in ask(warehouse, rows)}
    assert len(found) == 2 * len(SOUND)
    assert all(rest == [3, 3, "United Kingdom"] for rest in found.values()), found


def test_windows_line_ends_around_a_value_with_another(deliver: Deliver, warehouse: Target) -> None:
    deliver((HEADER + line() + line(description='"two\vlines"')).replace("\n", "\r\n").replace("\v", "\n"))
    assert load_source("retail", warehouse)["sales_lines"].loaded == 2


def test_columns_in_another_order(deliver: Deliver, warehouse: Target) -> None:
    deliver("Country,CustomerID,UnitPrice,InvoiceDate,Quantity,Description,StockCode,InvoiceNo\n"
            f"EIRE,1.0,2.5,{DAY} 10:00,3,MUG,A1,5001\n")  # fmt: skip
    deliver(HEADER + line(), name="2024-03-02.csv")
    load_source("retail", warehouse)
    rows = "select invoice_no, stock_code, quantity, country from raw_retail.sales_lines order by country"
    assert ask(warehouse, rows) == [("5001", "A1", 3, "EIRE"), ("5001", "A1", 1, "United Kingdom")]


def test_new_column_is_reported(deliver: Deliver, warehouse: Target) -> None:
    deliver((HEADER + line() + line()).replace("\n", ",x\n").replace("Country,x", "Country,Discount"))
    result = load_source("retail", warehouse)
    assert result["sales_lines"].loaded == 2
    assert result["files"].notes == (f"retail: a new column Discount, which the contract doesn't know, in {DAY}.csv",)


def test_column_that_was_taken_over_is_read_by_its_header(deliver: Deliver, warehouse: Target) -> None:
    contract = read_contract("retail")
    lines = contract.table("sales_lines")
    grown = replace(lines, columns=(*lines.columns, Column("gift_code", "bigint", meta={"optional": True})))
    contract = replace(contract, tables=(contract.table("files"), grown))

    def load_grown() -> dict[str, Loaded]:
        return {each.resource: each for each in load(contract, files.extracts, warehouse, NOON)}

    deliver(HEADER + line())
    load_source("retail", warehouse)  # by the contract from before
    deliver(HEADER + line("5002"), name="2024-03-02.csv")
    deliver("GiftCode," + HEADER + "7," + line("5003") + "," + line("5004"), name="2024-03-03.csv")
    deliver(
        (HEADER + line("5005")).replace("\n", ",x\n").replace("Country,x", "Country,gift code"), name="2024-03-04.csv"
    )
    result = load_grown()
    assert (result["sales_lines"].loaded, result["sales_lines"].rejected, result["files"].notes) == (3, 1, ())
    rows = ask(warehouse, "select invoice_no, gift_code from raw_retail.sales_lines order by all")
    assert rows == [("5001", None), ("5002", None), ("5003", 7), ("5004", None)]
    assert rejects(warehouse, "retail")[0][2] == ["type:gift_code"]
    assert load_grown()["sales_lines"].loaded == 0


ZIPPED = gzip.compress((HEADER + line() * 9).encode())
BAD_FILES = [
    ("2024-04-01.csv", b"", "file: empty"),
    ("2024-04-02.csv", HEADER.encode(), "file: empty: a header, but no records"),
    ("2024-04-03.csv", (HEADER + line()).replace("UnitPrice", "Price").encode(), "file: missing column UnitPrice"),
    ("2024-04-04.csv", (HEADER + line(description="Gift £40")).encode("latin-1"), "file: not UTF-8: bad byte"),
    ("2024-04-05.csv", b"PK\x03\x04\x00\x00\xff", "file: binary"),
    ("2024-04-06.csv", ZIPPED, "file: "),
    ("2024-04-07.csv.gz", ZIPPED[:-9], "file: truncated gzip"),
    ("2024-04-08.csv.gz", ZIPPED[:40], "file: truncated gzip"),
    ("2024-04-09.csv.gz", (HEADER + line()).encode(), "file: no sound gzip"),
    ("2024-04-10.csv", (HEADER + line() + '5002,A1,"MUG,1').encode(), "file: a quoted value is never closed"),
    ("2024-04-11.csv", (HEADER + line() + line().replace("\n", "\r\n")).encode(), "file: its lines end"),
    ("2024-04-12.csv.tmp", (HEADER + line()).encode(), "file: its name ends in neither"),
    ("sales.csv", (HEADER + line()).encode(), "file: no trading date"),
    ("2024-02-30.csv", (HEADER + line()).encode(), "file: no trading date"),
]


def test_bad_files_are_rejected_and_the_others_go_on(deliver: Deliver, warehouse: Target) -> None:
    deliver(HEADER + line())
    for name, text, _ in BAD_FILES:
        deliver(text, name=name)
    result = load_source("retail", warehouse)
    assert (result["files"].loaded, result["files"].rejected, result["sales_lines"].loaded) == (1, len(BAD_FILES), 1)
    query = "select record ->> '$.file_name', record_key, reasons from raw_retail.rejects"
    found = {name: (json.loads(key), json.loads(reasons)) for name, key, reasons in ask(warehouse, query)}
    for name, _, reason in BAD_FILES:
        assert found[name][0] == [name[:10] if name.startswith("2024-04") else None, LAYOUT.series_of(name)]
        assert len(found[name][1]) == 1
        assert found[name][1][0].startswith(reason)
    assert result["files"].notes[0].startswith("retail: 2024-02-30.csv was not loaded: no trading date")
    assert result["files"].notes[-1] == "retail: 4 more files were not loaded: see raw_retail.rejects"
    again = load_source("retail", warehouse)["files"]
    assert (again.source_count, again.notes) == (0, ())


def test_mended_file_is_loaded(deliver: Deliver, warehouse: Target) -> None:
    whole = gzip.compress((HEADER + line() * 3).encode())
    deliver(whole[:30], hour=1, name=f"{DAY}.csv.gz")
    assert load_source("retail", warehouse)["files"].rejected == 1
    deliver(whole, hour=2, name=f"{DAY}.csv.gz")
    assert load_source("retail", warehouse)["sales_lines"].loaded == 3
    assert rejects(warehouse, "retail")[0][1] == [DAY, "-"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("5009,A1\n", "columns:too few"),
        (line().replace("\n", ",and,more\n"), "columns:too many"),
        (line(description='"MUG" BLUE'), "columns:quotes"),
    ],
)
def test_line_that_is_no_record_is_rejected(bad: str, reason: str, deliver: Deliver, warehouse: Target) -> None:
    deliver(HEADER + line("1", "A") + line("1", "B") + bad + bad + line("1", "C"))
    result = load_source("retail", warehouse)["sales_lines"]
    assert (result.source_count, result.loaded, result.rejected) == (5, 3, 2)
    assert rejects(warehouse, "retail") == [("sales_lines", [DAY, "-"], [reason])] * 2
    assert ask(warehouse, "select line_number, stock_code from raw_retail.sales_lines order by 1") == [
        (1, "A"), (2, "B"), (3, "C")
    ]  # fmt: skip


def test_file_cut_in_a_line(deliver: Deliver, warehouse: Target) -> None:
    deliver((HEADER + line() * 3)[:-30])
    result = load_source("retail", warehouse)["sales_lines"]
    assert (result.source_count, result.loaded, result.rejected) == (3, 2, 1)
    assert rejects(warehouse, "retail") == [("sales_lines", [DAY, "-"], ["columns:too few"])]


def test_lines_that_break_the_contract(deliver: Deliver, warehouse: Target) -> None:
    deliver(
        HEADER + line(quantity="two") + line(invoice="") + line() + line().replace("2.55", "2,55".replace(",", "-"))
    )
    result = load_source("retail", warehouse)["sales_lines"]
    assert (result.loaded, result.rejected) == (1, 3)
    assert sorted(reasons[0] for _, _, reasons in rejects(warehouse, "retail")) == [
        "missing:invoice_no",
        "type:quantity",
        "type:unit_price",
    ]
    assert ask(warehouse, "select line_number from raw_retail.sales_lines") == [(2,)]


def state(warehouse: Target) -> list[tuple[object, ...]]:
    """The lines that hold after all versions."""
    return ask(
        warehouse,
        """
        select invoice_no, line_number, quantity from (
            select * from raw_retail.sales_lines
            qualify row_number() over (
                partition by trading_date, invoice_no, line_number order by _effective_at desc, _revision desc
            ) = 1
        ) where _operation = 'U' order by all""",
    )


VERSIONS = {
    1: HEADER + line("1", quantity=1) + line("1", quantity=2) + line("2", quantity=3),
    2: HEADER + line("1", quantity=1),
    3: HEADER + line("1", quantity=5) + line("3", quantity=4),
}


def test_replaced_file_deletes_what_vanished(deliver: Deliver, warehouse: Target) -> None:
    deliver(VERSIONS[1], hour=1)
    load_source("retail", warehouse)
    deliver(VERSIONS[2], hour=2)
    result = load_source("retail", warehouse)["sales_lines"]
    assert (result.source_count, result.loaded, result.deleted) == (1, 1, 2)
    assert state(warehouse) == [("1", 1, 1)]
    deleted = "select invoice_no, line_number, quantity, stock_code from raw_retail.sales_lines where _operation = 'D'"
    assert sorted(ask(warehouse, deleted)) == [("1", 2, 2, "A1"), ("2", 1, 3, "A1")]


@pytest.mark.parametrize("order", [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)])
def test_versions_in_any_order(order: tuple[int, ...], deliver: Deliver, warehouse: Target) -> None:
    for hour in order:
        deliver(VERSIONS[hour], hour=hour)
        load_source("retail", warehouse)
    assert state(warehouse) == [("1", 1, 5), ("3", 1, 4)]
    first_gone = "select min(_effective_at) from raw_retail.sales_lines where _operation = 'D' and invoice_no = '2'"
    assert ask(warehouse, first_gone) == [(datetime(2024, 3, 2, 2, tzinfo=UTC).replace(tzinfo=None),)]


def test_versions_of_one_day_in_one_load(deliver: Deliver, warehouse: Target) -> None:
    for hour in (1, 2, 3):
        deliver(VERSIONS[hour], hour=hour, name=f"{DAY}-{hour}.csv")
    load_source("retail", warehouse)
    assert state(warehouse) == [("1", 1, 5), ("3", 1, 4)]


def test_line_that_comes_back_broken_is_gone(deliver: Deliver, warehouse: Target) -> None:
    deliver(HEADER + line("1") + line("2"), hour=1)
    load_source("retail", warehouse)
    deliver(HEADER + line("1") + line("2", quantity="two"), hour=2)
    result = load_source("retail", warehouse)["sales_lines"]
    assert (result.loaded, result.rejected, result.deleted) == (1, 1, 1)
    assert state(warehouse) == [("1", 1, 1)]


def test_touched_file_is_known_whole(deliver: Deliver, warehouse: Target) -> None:
    deliver(VERSIONS[1], hour=1)
    load_source("retail", warehouse)
    deliver(VERSIONS[1], hour=5)
    result = load_source("retail", warehouse)
    assert (result["files"].known, result["sales_lines"].source_count, result["sales_lines"].known) == (1, 3, 3)


def test_two_files_of_one_day_and_time(deliver: Deliver, warehouse: Target) -> None:
    deliver(VERSIONS[1])
    deliver(VERSIONS[2], name=f"{DAY}b.csv")
    result = load_source("retail", warehouse)["files"]
    assert (result.loaded, result.rejected) == (1, 1)
    assert rejects(warehouse, "retail")[0][2][0].startswith("file: written at the very time of another")


def test_vanished_file_changes_nothing(deliver: Deliver, warehouse: Target) -> None:
    file = deliver(VERSIONS[1])
    load_source("retail", warehouse)
    file.unlink()
    result = load_source("retail", warehouse)
    assert result["sales_lines"].deleted == 0
    assert result["files"].notes[0].startswith("retail: no file in ")
    assert len(state(warehouse)) == 3


def test_no_folder(warehouse: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCES__RETAIL__BUCKET_URL", str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match=r"retail: there is no folder .*nowhere: check SOURCES__RETAIL__BUCKET_URL"):
        load_source("retail", warehouse)


def test_other_stores_are_read_like_a_folder(warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe(f"/bucket/retail/{DAY}.csv", (HEADER + line() * 2).encode())
    monkeypatch.setenv("SOURCES__RETAIL__BUCKET_URL", "memory://bucket/retail")
    try:
        assert load_source("retail", warehouse)["sales_lines"].loaded == 2
        assert load_source("retail", warehouse)["files"].source_count == 0
    finally:
        store.rm("/bucket", recursive=True)


def test_a_killed_load_of_a_large_file_goes_on_where_it_was(deliver: Deliver, warehouse: Target) -> None:
    """The first bytes are not read again: at the source they are others by then, which only a test can bring about."""
    lines = 400_000
    path = deliver(HEADER + line(quantity=7) + line(quantity=1) * (lines - 1))
    environment = {**os.environ, "TARGET": "dev", "WAREHOUSE_DIR": str(warehouse.folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "ingestion", "retail"],
        cwd=PROJECT_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    copies = warehouse.folder / "pending" / "retail"
    while not any(copy.stat().st_size for copy in copies.glob("*")):
        assert process.poll() is None, "the load ended before it could be killed"
    process.kill()
    process.wait()
    assert [copy.stat().st_size > 0 for copy in copies.iterdir()] == [True]

    written = path.stat()
    with path.open("r+b") as file:
        file.write((HEADER + line(quantity=9)).encode())
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    loaded = load_source("retail", warehouse)
    assert loaded["sales_lines"].loaded == lines
    assert ask(warehouse, "select count(*), sum(quantity), max(quantity) from raw_retail.sales_lines") == [
        (lines, lines + 6, 7)
    ]
    assert not copies.exists()


ODD_NAMES = [
    "with a blank", "hash#", "question?", "per%20cent", "quote'", 'double"', "[brackets]", "semi;colon", "new\nline",
    "star*", "back\\slash", "ünïcode", "-dash", "{braces}", "a&b=c", "$HOME", "~",
]  # fmt: skip


def test_files_of_odd_names_are_files(deliver: Deliver, folder: Path, warehouse: Target) -> None:
    for day, name in enumerate(ODD_NAMES, start=1):
        deliver(HEADER + line(str(day)), name=f"{name}2024-05-{day:02}.csv")
    deliver(gzip.compress((HEADER + line("capitals")).encode()), name="SALES_2024-06-01.CSV.GZ")
    os.link(folder / "with a blank2024-05-01.csv", os.fsencode(folder) + b"/\xff2024-06-02.csv")
    (folder / "2024-06-03.csv").symlink_to(folder / "nothing")
    (folder / "2024-06-04.csv").mkdir()
    found = load_source("retail", warehouse)
    assert (found["files"].loaded, found["files"].rejected) == (len(ODD_NAMES) + 2, 0)
    assert found["files"].notes == ("retail: 2024-06-03.csv is a link that leads nowhere",)
    again = load_source("retail", warehouse)
    assert (again["files"].source_count, again["sales_lines"].source_count) == (0, 0)


# One that begins with a dot is hidden, and one with a date in it is of that day.
NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), max_size=40).filter(
    lambda name: not name.startswith(".") and not re.search(r"\d{4}-\d\d-\d\d", name)
)


# Each example is a load of many files: to shrink one takes longer than to read it.
@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(NAMES, min_size=20))
def test_files_of_any_names_are_files(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as given, pytest.MonkeyPatch.context() as patch:
        folder, warehouse = Path(given, "retail"), Target("dev", "duckdb", Path(given, "warehouse"))
        folder.mkdir()
        patch.setenv("SOURCES__RETAIL__BUCKET_URL", str(folder))
        files = [f"{name}_{date(2024, 1, 1) + timedelta(number)}.csv" for number, name in enumerate(names)]
        for number, name in enumerate(files):
            (folder / name).write_text(HEADER + line(str(number)), encoding="utf-8")
        found = load_source("retail", warehouse)
        assert (found["files"].loaded, found["sales_lines"].loaded) == (len(names), len(names))
        assert {name for (name,) in ask(warehouse, "select file_name from raw_retail.files")} == set(files)
        assert [each.source_count for each in load_source("retail", warehouse).values()] == [0, 0]


def test_a_folder_of_an_odd_name(
    deliver: Deliver, folder: Path, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(HEADER + line())
    odd = folder.rename(folder.with_name("a [folder] #1 of 100%"))
    monkeypatch.setenv("SOURCES__RETAIL__BUCKET_URL", str(odd))
    assert load_source("retail", warehouse)["sales_lines"].loaded == 1


def test_two_stores_of_one_day_both_count(deliver: Deliver, warehouse: Target) -> None:
    present = """
        select file_series, invoice_no from raw_retail.sales_lines group by all
        having arg_max(_operation, _revision) = 'U' order by all"""
    deliver(HEADER + line("1") + line("2"), name=f"leeds_{DAY}.csv")
    load_source("retail", warehouse)
    deliver(HEADER + line("1"), hour=2, name=f"york_{DAY}.csv")
    found = load_source("retail", warehouse)
    (note,) = found["files"].notes
    assert note.startswith(f"retail: york_{DAY}.csv is of the day of leeds_{DAY}.csv, and named otherwise: both count")
    assert found["sales_lines"].deleted == 0
    assert ask(warehouse, present) == [("leeds", "1"), ("leeds", "2"), ("york", "1")]
    # A correction is delivered under the same name, or with something behind it.
    deliver(HEADER + line("4"), hour=3, name=f"york_{DAY}_corrected.csv")
    (note,) = load_source("retail", warehouse)["files"].notes
    assert note.startswith(f"retail: york_{DAY}_corrected.csv takes the place of york_{DAY}.csv")
    deliver(HEADER + line("5"), hour=4, name=f"york_{DAY}.csv")
    assert load_source("retail", warehouse)["files"].notes == ()
    assert ask(warehouse, present) == [("leeds", "1"), ("leeds", "2"), ("york", "5")]
    # It is said once, not each day.
    for shop in ("leeds", "york"):
        deliver(HEADER + line("1"), hour=24, name=f"{shop}_2024-03-02.csv")
    assert load_source("retail", warehouse)["files"].notes == ()


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("2024-05-01.csv", "-"),
        ("sales_2024-05-01.csv", "sales"),
        ("SALES-2024-05-01.CSV", "sales"),
        ("2024-05-01/leeds 2024-05-01.csv", "leeds"),
        ("leeds/2024-05-01.csv", "leeds"),
        ("leeds/till 2_2024-05-01_corrected.csv.gz", "leeds/till 2"),
    ],
)
def test_a_series_is_what_a_name_says_before_its_day(name: str, series: str) -> None:
    assert LAYOUT.series_of(name) == series


def test_a_key_that_grew_is_refused(deliver: Deliver, warehouse: Target) -> None:
    deliver(HEADER + line())
    load_source("retail", warehouse)
    with closing(duckdb.connect(str(warehouse.build_file))) as connection:
        connection.execute("alter table raw_retail.sales_lines drop column file_series")
    with pytest.raises(LoadError, match=r"retail\.sales_lines: the contract's key has file_series, which the records"):
        load_source("retail", warehouse)
