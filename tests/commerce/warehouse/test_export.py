"""A mart as a file: every format read back by another reader, equal to the mart, row for row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from ingestion.destination.target import Target, current_target
from tests.warehouses import opened, settings
from warehouse.errors import BuildError
from warehouse.reading import export as exporting
from warehouse.reading.export import Wanted, export

pytestmark = pytest.mark.slow

MART = "commerce.fct_orders"


@pytest.fixture(scope="module", params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, built: Path) -> dict[str, str]:
    """The variables that name the company's published marts, on either engine."""
    if request.param == "postgres":
        return request.getfixturevalue("marts_on_postgres")()
    return {"TARGET": "dev", "WAREHOUSE_DIR": str(built)}


@pytest.fixture
def target(place: dict[str, str]) -> Iterator[Target]:
    with settings(place):
        yield current_target()


def difference(built: Path, file: str, mart: str = MART, columns: str = "*") -> tuple[Any, ...]:
    """How many rows the mart has, and how many are only there or only in the file; of columns with the mart's types."""
    with opened(built) as connection:
        row = connection.execute(f"""
            select
                (select count(*) from {mart}),
                (select count(*) from (select {columns} from {mart} except all select {columns} from {file})),
                (select count(*) from (select {columns} from {file} except all select {columns} from {mart}))
        """).fetchone()
    assert row is not None
    return row


def test_parquet_has_every_row_and_type(target: Target, built: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    path = export(target, Wanted(MART, "parquet", folder=tmp_path), lines.append)
    count, *differing = difference(built, f"read_parquet('{path}')")
    assert count > 100 and differing == [0, 0]
    assert lines == [f"{count:,} rows of {MART} are in {path} ({path.stat().st_size:,} bytes)"]
    with opened(built) as connection:
        types = [
            dict(connection.execute(f"select column_name, column_type from (describe {each})").fetchall())
            for each in (MART, f"select * from read_parquet('{path}')")
        ]
    assert types[0] == types[1]


def test_csv_and_json_have_every_row(target: Target, built: Path, tmp_path: Path) -> None:
    with opened(built) as connection:
        described = connection.execute(f"select column_name, column_type from (describe {MART})").fetchall()
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in described) + "}"
    csv = export(target, Wanted(MART, "csv", folder=tmp_path), lambda line: None)
    assert difference(built, f"read_csv('{csv}', header = true, columns = {columns})")[1:] == (0, 0)
    file = export(target, Wanted(MART, "json", folder=tmp_path), lambda line: None)
    assert difference(built, f"read_json('{file}', columns = {columns})")[1:] == (0, 0)
    assert isinstance(json.loads(file.read_text(encoding="utf-8")), list)


def test_a_sheet_has_every_row_with_its_types(target: Target, built: Path, tmp_path: Path) -> None:
    wanted = Wanted(MART, "xlsx", columns=("order_id", "order_key", "placed_at", "total_amount", "order_status"),
                    folder=tmp_path)  # fmt: skip
    book = openpyxl.load_workbook(export(target, wanted, lambda line: None), read_only=True)
    header, *rows = book.active.iter_rows(values_only=True)
    assert header == wanted.columns
    with opened(built) as connection:
        expected = connection.execute(
            "select order_id, cast(order_key as varchar), placed_at, cast(total_amount as double), order_status "
            f"from {MART}"
        ).fetchall()
    in_order = lambda rows: sorted((tuple(_to_second(value) for value in row) for row in rows), key=lambda row: row[0])  # noqa: E731
    assert in_order(rows) == in_order(expected) and len(rows) > 100


def _to_second(value: Any) -> Any:
    """Times of a sheet are numbers of days, good for milliseconds."""
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def test_a_filter_and_columns(target: Target, built: Path, tmp_path: Path) -> None:
    wanted = Wanted(MART, "csv", where="order_status = 'delivered'", columns=("order_id",), folder=tmp_path)
    path = export(target, wanted, lambda line: None)
    with opened(built) as connection:
        expected = connection.execute(f"select order_id from {MART} where order_status = 'delivered'").fetchall()
        assert sorted(connection.execute(f"select order_id from read_csv('{path}')").fetchall()) == sorted(expected)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "order_id" and len(expected) > 10


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            Wanted("commerce.fct_order", "csv"),
            "there is no published mart 'commerce.fct_order': choose from commerce.agg_",
        ),
        (Wanted("fct_orders", "csv"), "there is no published mart 'fct_orders': choose from "),
        (Wanted(MART, "csv", columns=("colour",)), f"{MART} has no column colour: it has order_key, "),
        (Wanted(MART, "pdf"), "there is no format 'pdf': choose from parquet, csv, xlsx, json"),
        (Wanted(MART, "csv", where="colour = 1"), f"{MART} could not be exported: "),
    ],
)
def test_what_can_not_be_is_said(target: Target, tmp_path: Path, wanted: Wanted, message: str) -> None:
    with pytest.raises(BuildError) as raised:
        export(target, Wanted(**{**vars(wanted), "folder": tmp_path}), lambda line: None)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == [], "nothing half-written is left"


@pytest.fixture
def formulas(tmp_path: Path) -> Target:
    """A mart whose texts would be formulas."""
    with closing(duckdb.connect(str(tmp_path / "warehouse.duckdb"))) as connection:
        connection.execute("create schema commerce")
        connection.execute(
            "create table commerce.dim_products as select * from (values "
            "(1, '=cmd()'), (2, '+1'), (3, '-1'), (4, '@sum'), (5, chr(9) || '=1'), (6, 'tea = 1'), (7, null), "
            "(123456789012345678, 'long')) as t(id, name)"
        )
    return Target("dev", "duckdb", tmp_path)


def test_texts_are_no_formulas(formulas: Target, tmp_path: Path) -> None:
    def names(**options: Any) -> dict[int, str]:
        path = export(formulas, Wanted("commerce.dim_products", "csv", folder=tmp_path, **options), lambda line: None)
        return dict(duckdb.execute(f"select id, name from read_csv('{path}', header = true)").fetchall())

    assert names() == {
        1: "'=cmd()", 2: "'+1", 3: "'-1", 4: "'@sum", 5: "'\t=1", 6: "tea = 1", 7: None, 123456789012345678: "long",
    }  # fmt: skip
    assert names(safe=False)[1] == "=cmd()"
    path = export(formulas, Wanted("commerce.dim_products", "xlsx", folder=tmp_path), lambda line: None)
    cells = list(openpyxl.load_workbook(path).active.iter_rows(min_row=2))
    assert [cell.data_type for row in cells for cell in row[1:]].count("f") == 0
    assert [row[1].value for row in cells][:4] == ["=cmd()", "+1", "-1", "@sum"]
    assert cells[7][0].value == "123456789012345678", "a sheet would round it"


def test_what_a_sheet_can_not_hold_is_refused(
    formulas: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "SHEET_ROWS", 8)
    with pytest.raises(BuildError, match="has 8 rows, and a sheet holds 7: give WHERE=, or choose csv or parquet"):
        export(formulas, Wanted("commerce.dim_products", "xlsx", folder=tmp_path), lambda line: None)


def test_what_became_of_values_that_a_sheet_does_not_hold_is_said(tmp_path: Path) -> None:
    with closing(duckdb.connect(str(tmp_path / "warehouse.duckdb"))) as connection:
        connection.execute("create schema commerce")
        connection.execute(
            "create table commerce.dim_products as select * from (values "
            "(1, repeat('x', 32767), date '2024-01-01'), (2, repeat('y', 32768), date '1899-12-31'), "
            "(1234567890123456, repeat('😀', 16384), date '9999-12-31')) as t(id, name, sold_date)"
        )
    lines: list[str] = []
    wanted = Wanted("commerce.dim_products", "xlsx", folder=tmp_path)
    path = export(Target("dev", "duckdb", tmp_path), wanted, lines.append)
    assert sorted(lines[:-1]) == [
        "note: id: 1 numbers stand there as texts: a sheet keeps 15 digits",
        "note: name: 2 texts were cut: a cell holds 32,767 characters; csv and parquet hold all",
        "note: sold_date: 2 dates stand there as texts: a sheet has the years from 1900 to 9998",
    ]
    cells = [row[1].value for row in openpyxl.load_workbook(path).active.iter_rows(min_row=2)]
    assert [len(cell) for cell in cells] == [32767, 32767, 16383]


def test_a_filter_that_finds_nothing_says_which_values_there_are(target: Target, tmp_path: Path) -> None:
    lines: list[str] = []
    export(target, Wanted(MART, "csv", where="order_status = 'Delivered'", folder=tmp_path), lines.append)
    assert lines[0].startswith("note: no row has order_status = 'Delivered'; there are 'delivered', ")


def test_a_folder_that_is_a_file(target: Target, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(BuildError, match="file is no folder: give FOLDER= another one"):
        export(target, Wanted(MART, "csv", folder=file), lambda line: None)
