"""Files of every format, each the whole of a table, a part of it or what changed, by nothing but their contract."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
import yaml

from ingestion.contract.contracts import ContractError
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded
from ingestion.load.run import load_all
from ingestion.readers.files.layout import layouts
from tests.ingestion.loads import ask, check_balance, counts, rejects

FILE_COLUMNS = {
    "table_name": "text", "file_date": "date", "file_series": "text", "file_name": "text", "modified_at": "timestamp",
    "size_bytes": "bigint", "checksum": "text", "record_count": "bigint",
}  # fmt: skip


def table(name: str, files: dict[str, Any], columns: dict[str, Any], key: list[str], **meta: Any) -> dict[str, Any]:
    """A table of a contract: its columns' types by name, or all that is said of a column."""
    listed = []
    for column, said in columns.items():
        kind, own = (said, {}) if isinstance(said, str) else (said[0], said[1])
        listed.append({"name": column, "data_type": kind, "config": {"meta": {"privacy": "none", **own}}})
    return {"name": name, "config": {"meta": {"key": key, "files": files, **meta}}, "columns": listed}


def contract(project: Path, *tables: dict[str, Any], **meta: Any) -> None:
    """Write the contract of a source `plant` with these tables into a project of its own."""
    files = table("files", {}, FILE_COLUMNS, ["table_name", "file_series", "file_name"], written_by="ingestion")
    del files["config"]["meta"]["files"]
    source = {"name": "plant", "config": {"meta": {"reader": "files", **meta}}, "tables": [files, *tables]}
    path = project / "models" / "staging" / "plant" / "_plant__sources.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"sources": [source]}), encoding="utf-8")
    (project / "dbt_project.yml").write_text(
        yaml.safe_dump(
            {"vars": {"business_timezone": "Europe/Berlin", "domains": {"plant": {"sources": {"plant": {}}}}}}
        )
    )
    read_contract.cache_clear()


Deliver = Callable[..., Path]
Load = Callable[[], dict[str, Loaded]]


@pytest.fixture
def deliver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deliver:
    """Writes a file as of an hour of 2024-06-01."""
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv("SOURCES__PLANT__BUCKET_URL", str(folder))

    def write(name: str, content: str | bytes | Callable[[Path], object], hour: float = 1) -> Path:
        path = folder / name
        if callable(content):
            content(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        moment = datetime(2024, 6, 1, tzinfo=UTC).timestamp() + 3600 * hour
        os.utime(path, (moment, moment))
        return path

    return write


@pytest.fixture
def here(tmp_path: Path) -> Target:
    return Target("dev", "duckdb", tmp_path / "warehouse", project=tmp_path / "project")


@pytest.fixture
def load(here: Target) -> Load:
    """Loads the source as a build does. What happened, by table; of several loads of a table, added up."""

    def run() -> dict[str, Loaded]:
        found, failures = load_all(here, lambda line: None)
        assert not failures, failures
        check_balance("plant", here)
        results: dict[str, Loaded] = {}
        for each in found:
            before = results.get(each.resource)
            counts = ("source_count", "loaded", "known", "rejected", "deleted")
            added = {name: getattr(each, name) + (getattr(before, name) if before else 0) for name in counts}
            notes = (before.notes if before else ()) + each.notes
            results[each.resource] = Loaded("plant", each.resource, **added, notes=notes)
        return results

    return run


def may(day: int, hour: int = 0) -> datetime:
    """A time of May 2024 in UTC, as raw has it."""
    return datetime(2024, 5, day, hour, tzinfo=UTC).replace(tzinfo=None)


def history(here: Target, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """A table's versions in raw: operation, time and values, in order."""
    listed = ", ".join(columns)
    order = f"_effective_at, _operation, {listed}"
    return ask(here, f"select _operation, _effective_at, {listed} from raw_plant.{table} order by {order}")


PRICES = table(
    "prices",
    {"glob": "preise_*.csv", "holds": "table", "period": "file_date", "period_format": "%d.%m.%Y", "delimiter": ";",
     "encoding": "cp1252"},
    {"article": ("text", {"source_name": "Artikel-Nr."}), "label": ("text", {"source_name": "Bezeichnung"}),
     "price_amount": ("numeric(18,2)", {"source_name": "Preis"}),
     "valid_on": ("date", {"source_name": "Gültig ab", "contract": {"timestamp_formats": ["%d.%m.%Y"]}})},
    ["article"], decimal_separator=",",
)  # fmt: skip
PRICE_HEADER = "Artikel-Nr.;Bezeichnung;Preis;Gültig ab\n"


def test_a_table_a_day_with_delimiter_decimals_dates_and_encoding_declared(
    here: Target, deliver: Deliver, load: Load
) -> None:
    contract(here.project, PRICES)
    deliver("preise_01.05.2024.csv", (PRICE_HEADER + '1;"Öl; fein";1.234,50;01.01.2024\n2;Tür;7;02.01.2024\n'
                                      "3;Maß;1,005;03.01.2024\n4;Fuß;1.5;03.01.2024\n").encode("cp1252"))  # fmt: skip
    deliver(
        "preise_03.05.2024.csv", (PRICE_HEADER + "1;Öl;9,99;01.01.2024\n3;Maß;1,00;03.01.2024\n").encode("cp1252"), 3
    )
    deliver("preise_02.05.2024.csv", (PRICE_HEADER + '1;"Öl; fein";1.234,50;01.01.2024\n2;Tür;7,10;02.01.2024\n'
                                      ).encode("cp1252"), 2)  # fmt: skip
    result = load()
    # By hand: of the first day two, the third has three decimals and the fourth no thousands; of the second day one
    # is known, one changed; of the third day one changed, one is new, one is gone.
    assert counts(result["prices"]) == (8, 5, 1, 2, 1)
    assert counts(result["files"]) == (3, 3, 0, 0, 0)
    # A day begins at midnight in Berlin, which was two hours before that of UTC.
    first, second, third = (may(day) - timedelta(hours=2) for day in (1, 2, 3))
    assert history(here, "prices", "article", "label", "price_amount") == [
        ("U", first, "1", "Öl; fein", Decimal("1234.50")),
        ("U", first, "2", "Tür", Decimal("7.00")),
        ("U", second, "2", "Tür", Decimal("7.10")),
        ("D", third, "2", "Tür", Decimal("7.10")),
        ("U", third, "1", "Öl", Decimal("9.99")),
        ("U", third, "3", "Maß", Decimal("1.00")),
    ]
    assert ask(here, "select min(valid_on), max(valid_on) from raw_plant.prices") == [
        (date(2024, 1, 1), date(2024, 1, 3))
    ]
    assert [row[2] for row in rejects(here, "plant")] == [["type:price_amount"], ["type:price_amount"]]
    deliver(
        "preise_03.05.2024.csv", (PRICE_HEADER + "1;Öl;9,99;01.01.2024\n3;Maß;1,00;03.01.2024\n").encode("cp1252"), 9
    )
    result = load()
    assert (counts(result["prices"]), counts(result["files"])) == ((2, 0, 2, 0, 0), (1, 0, 1, 0, 0))


def test_a_table_of_before_the_last_one_is_a_reject(here: Target, deliver: Deliver, load: Load) -> None:
    contract(here.project, PRICES)
    deliver("preise_02.05.2024.csv", (PRICE_HEADER + "1;Öl;2;01.01.2024\n").encode("cp1252"))
    load()
    deliver("preise_01.05.2024.csv", (PRICE_HEADER + "1;Öl;1;01.01.2024\n").encode("cp1252"), 2)
    assert counts(load()["files"]) == (1, 0, 0, 1, 0)
    (reject,) = rejects(here, "plant")
    assert reject[2] == ["file: it is of before preise_02.05.2024.csv, which is loaded: what it tells is past"]
    assert load()["files"].source_count == 0


def test_tables_follow_by_their_time_where_no_date_is_looked_for(here: Target, deliver: Deliver, load: Load) -> None:
    contract(here.project, table("stock", {"holds": "table"}, {"id": "text", "pieces": "bigint"}, ["id"]))
    deliver("stock_2024-05-02.csv", "id,pieces\n1,1\n", 1)
    deliver("stock_2024-05-01.csv", "id,pieces\n1,2\n", 2)
    assert counts(load()["files"]) == (2, 2, 0, 0, 0)
    assert [row[2] for row in history(here, "stock", "pieces")] == [1, 2]


def test_a_table_whose_key_stands_twice_or_that_lost_most_of_its_records(
    here: Target, deliver: Deliver, load: Load
) -> None:
    contract(here.project, table("stock", {"holds": "table"}, {"id": "text", "pieces": "bigint"}, ["id"]))
    deliver("stock.csv", "id,pieces\n" + "".join(f"{n},1\n" for n in range(20)))
    assert counts(load()["stock"]) == (20, 20, 0, 0, 0)
    deliver("stock.csv", "id,pieces\n1,2\n1,3\n", 2)
    assert counts(load()["files"]) == (1, 0, 0, 1, 0)
    assert rejects(here, "plant")[0][2] == ['file: 1 keys stand in more than one record, such as {"id":"1"}']
    deliver("stock.csv", "id,pieces\n1,2\n", 3)
    found, failures = load_all(here, lambda line: None)
    assert not found
    assert "19 of 20 known stock are gone from the source, more than the plausible share of 10%" in failures[0]


def test_a_file_is_judged_again_once_its_contract_is_mended(here: Target, deliver: Deliver, load: Load) -> None:
    def days(*formats: str) -> None:
        since = ("date", {"contract": {"timestamp_formats": list(formats)}} if formats else {})
        contract(here.project, table("stock", {"holds": "table"}, {"id": "text", "since": since}, ["id"]))

    text = "id,since\n1,01.05.2024\n2,2024-05-02\n"
    days()
    deliver("stock.csv", text)
    assert counts(load()["stock"]) == (2, 1, 0, 1, 0)
    days("%d.%m.%Y", "%Y-%m-%d")
    assert load()["stock"].source_count == 0
    deliver("stock.csv", text, 2)
    assert counts(load()["stock"]) == (2, 1, 1, 0, 0)
    deliver("stock.csv", text, 3)
    assert counts(load()["stock"]) == (2, 0, 2, 0, 0)
    assert ask(here, "select id, since from raw_plant.stock order by id") == [
        ("1", date(2024, 5, 1)),
        ("2", date(2024, 5, 2)),
    ]


def workbook(rows: list[list[object]], sheet: str = "Orders") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        book = openpyxl.Workbook()
        book.active.title = "About"
        book.active.append(["nothing of interest"])
        page = book.create_sheet(sheet)
        for row in rows:
            page.append(row)
        book.save(path)

    return write


def test_sheets_of_one_workbook_fill_two_tables(here: Target, deliver: Deliver, load: Load) -> None:
    contract(
        here.project,
        table("orders", {"sheet": "Orders"}, {"file_series": "text", "id": "text", "amount": "numeric(18,2)",
              "ordered_on": "date", "paid": "boolean", "note": "text"}, ["file_series", "id"]),
        table("people", {"sheet": "People", "holds": "table"}, {"id": "text", "name": "text"}, ["id"]),
        files={"format": "excel"},
    )  # fmt: skip

    def both(path: Path) -> None:
        workbook([[None], [None, "ID", "Amount", "Ordered on", "Paid", "Note"],
                  [None, "007", 19.99, may(1), True, "two\nlines"], [], [None, 8, 0.1 + 0.2, may(2), False, "#DIV/0!"],
                  [None, 9, "much", None, None, None, None, "beside"]])(path)  # fmt: skip
        book = openpyxl.load_workbook(path)
        people = book.create_sheet("People")
        people.append(["id", "name"])
        people.append([1, "Ada"])
        book.save(path)

    deliver("May.xlsx", both)
    result = load()
    assert counts(result["orders"]) == (3, 2, 0, 1, 0)
    assert ask(here, "select * exclude (_operation, _revision, _effective_at, _observed_at, _load_id) "
                     "from raw_plant.orders order by id") == [
        ("may", "007", Decimal("19.99"), date(2024, 5, 1), True, "two\nlines"),
        ("may", "8", Decimal("0.30"), date(2024, 5, 2), False, "#DIV/0!"),
    ]  # fmt: skip
    assert rejects(here, "plant") == [("orders", ["may", None], ["columns:too many"])]
    assert ask(here, "select id, name from raw_plant.people") == [("1", "Ada")]
    assert ask(here, "select table_name, file_name, record_count from raw_plant.files order by 1") == [
        ("orders", "May.xlsx", 3), ("people", "May.xlsx", 1)
    ]  # fmt: skip
    deliver("June.xlsx", workbook([["id"]], "Other"))
    deliver("July.xlsx", b"PK\x03\x04 no workbook")
    assert counts(load()["files"]) == (4, 0, 0, 4, 0)
    reasons = sorted(reason for _, _, listed in rejects(here, "plant") for reason in listed if "file" in reason)
    assert reasons[:2] == [f"file: it has no sheet {name}, but About, Other" for name in ("Orders", "People")]
    assert [reason.startswith("file: no sound workbook: ") for reason in reasons[2:]] == [True, True]


ORDERS = table(
    "orders", {"holds": "changes", "format": "ndjson"},
    {"id": "text", "city": ("text", {"source_name": "$.ship.city"}), "amount": "numeric(18,4)", "tags": "text",
     "updated_at": "timestamp"}, ["id"],
)  # fmt: skip


def lines(*records: object) -> str:
    return "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in records)


def order(number: object, hour: int, amount: object, **more: object) -> dict[str, object]:
    return {"id": number, "updated_at": f"2024-05-01T{hour:02}:00:00+02:00", "amount": amount, **more}


def test_changes_in_lines_of_json(here: Target, deliver: Deliver, load: Load) -> None:
    contract(here.project, ORDERS)
    deliver("a.ndjson", lines(
        order("1", 10, 1), order("1", 12, "2.5000", ship={"city": "Köln", "zip": 1}, tags=["x", "y"]),
        '{"id": 2, "updated_at": "2024-05-01", "amount": 12345678901234.5678, "extra": 1}', "{broken", "[1]", "null",
    ))  # fmt: skip
    deliver("b.jsonl.gz", gzip.compress(lines(order("1", 11, 3), order("1", 12, "2.5000", ship={"city": "Köln"},
                                                                       tags=["x", "y"])).encode()), 2)  # fmt: skip
    result = load()
    assert counts(result["orders"]) == (8, 4, 1, 3, 0)
    assert history(here, "orders", "id", "amount", "city", "tags") == [
        ("U", may(1, 0), "2", Decimal("12345678901234.5678"), None, None),
        ("U", may(1, 8), "1", Decimal("1.0000"), None, None),
        ("U", may(1, 9), "1", Decimal("3.0000"), None, None),
        ("U", may(1, 10), "1", Decimal("2.5000"), "Köln", '["x","y"]'),
    ]
    assert {tuple(row[2]) for row in rejects(here, "plant")} == {("record:no object",)}
    notes = [note for note in result["files"].notes if "new column" in note]
    assert notes == ["plant: a new column extra, which the contract doesn't know, in a.ndjson"]
    # A file that grew brings what is new in it.
    deliver("b.jsonl.gz", gzip.compress(lines(order("1", 11, 3), order("3", 13, 4)).encode()), 3)
    assert counts(load()["orders"]) == (2, 1, 1, 0, 0)


def test_a_list_within_a_json_document_and_one_that_is_the_document(here: Target, deliver: Deliver, load: Load) -> None:
    columns = {"id": "text", "price": "numeric(38,10)"}
    contract(
        here.project,
        table("inner", {"glob": "inner*.json", "records": "data.items", "holds": "table"}, columns, ["id"]),
        table("outer", {"glob": "outer*.json", "holds": "table"}, columns, ["id"]),
        files={"format": "json"},
    )  # fmt: skip
    deliver("inner.json", '{"next": null, "data": {"items": [{"id": 1, "price": 123456789012345.1234567891}]}}')
    deliver("outer.json", '[{"id": "a", "price": 2.50}, 7]')
    deliver("outer2.json", '{"error": "none today"}', 2)
    result = load()
    assert [counts(result[name]) for name in ("inner", "outer")] == [(1, 1, 0, 0, 0), (2, 1, 0, 1, 0)]
    assert ask(here, "select price from raw_plant.inner") == [(Decimal("123456789012345.1234567891"),)]
    assert [row[2] for row in rejects(here, "plant")] == [["file: it is no list of records"], ["record:no object"]]


def parquet(query: str) -> Callable[[Path], object]:
    return lambda path: duckdb.execute(f"copy ({query}) to '{path}'")


def test_parquet_keeps_types_and_files_may_differ_in_them(here: Target, deliver: Deliver, load: Load) -> None:
    contract(
        here.project,
        table("readings", {"format": "parquet", "period": "file_date"},
              {"file_date": "date", "file_series": "text", "id": "bigint", "value": "numeric(18,3)",
               "read_at": ("timestamp", {"source_name": "at"}),
               "what": "text"}, ["file_date", "file_series", "id"]),
    )  # fmt: skip
    at = "timestamptz '2024-05-01 12:00:00+02'"
    deliver(
        "x_2024-05-01.parquet",
        parquet(f"select 1 as id, 19.990000000000002::double as value, {at} as at, [1, 2] as what"),
    )
    deliver("x_2024-05-02.parquet", parquet(f"select 2::double as id, 3 as value, {at} as at, {{'a': 1}} as what"))
    deliver("x_2024-05-03.parquet", parquet(f"select 2.5::double as id, 3 as value, {at} as at, null::text as what"))
    deliver("x_2024-05-04.parquet", b"PAR1 no Parquet")
    deliver("x_2024-05-05.parquet", parquet("select 1 as id limit 0"))
    result = load()
    assert counts(result["readings"]) == (3, 2, 0, 1, 0)
    noon = may(1, 10)
    assert ask(here, "select id, value, read_at, what from raw_plant.readings order by id") == [
        (1, Decimal("19.990"), noon, "[1,2]"), (2, Decimal("3.000"), noon, '{"a":1}')
    ]  # fmt: skip
    reasons = sorted(reason for row in rejects(here, "plant") for reason in row[2])
    assert reasons[0] == "file: empty: a schema, but no records"
    assert reasons[1].startswith("file: no sound Parquet: ")
    assert reasons[2] == "type:id"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"format": "xml"}, "format is 'xml': say one of csv, json, ndjson, parquet, excel"),
        ({"holds": "all"}, "holds is 'all': say one of part, table, changes"),
        ({"holds": "part"}, "a file holds a part, which a later one replaces: the key needs file_series"),
        ({"holds": "table", "seperator": ";"}, "config.meta.files has seperator, and knows delimiter, encoding"),
        ({"holds": "table", "delimiter": ";;"}, "delimiter is ';;': say one ASCII character"),
        ({"holds": "table", "encoding": "utf-9"}, "encoding is 'utf-9', which Python doesn't know"),
        ({"holds": "changes", "period": "day"}, "period names day, which is none of its columns"),
    ],
)
def test_what_a_contract_may_not_say(here: Target, files: dict[str, Any], said: str) -> None:
    contract(here.project, table("stock", files, {"id": "text"}, ["id"]))
    with pytest.raises(ContractError) as error:
        layouts(read_contract("plant", here.project))
    assert said in str(error.value)


def test_two_tables_do_not_read_the_same_files_unsaid(here: Target) -> None:
    columns, key = {"id": "text"}, ["id"]
    contract(
        here.project,
        table("stock", {"holds": "table"}, columns, key),
        table("orders", {"holds": "changes", "glob": "orders_*.csv"}, columns, key),
    )
    with pytest.raises(
        ContractError, match="stock takes every file of its format, and orders has some: give it a glob"
    ):
        layouts(read_contract("plant", here.project))
