"""The way into raw: what a load keeps and counts, and what the contract says of values."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.extract.extract import Extract as Extractor
from dlt.load import Load
from dlt.normalize import Normalize

from ingestion import duck
from ingestion.contract.contracts import Column, Source, Table
from ingestion.contract.rules import judged, rejected
from ingestion.destination.target import Target
from ingestion.load.extracts import Extract, LoadError, Reader, SourceError
from ingestion.load.loading import load
from ingestion.sql import quoted
from tests.ingestion.loads import NOON, ask, rejects
from tests.warehouses import as_environment

THINGS = Table(
    "things",
    "things",
    (Column("id", "bigint", required=True), Column("x", "text", accepted_values=("a", "b"))),
    ("id",),
    ("id",),
)
OF_THINGS = Source("things", "raw_things", (THINGS,))


def test_raw_gets_a_column_that_came_into_the_contract_without_any_row(warehouse: Target) -> None:
    load(OF_THINGS, None, warehouse, NOON)
    grown = replace(THINGS, columns=(*THINGS.columns, Column("tier", "numeric(9,2)")))
    contract = replace(OF_THINGS, tables=(grown,))
    load(contract, None, warehouse, NOON)
    described = ask(warehouse, "select column_type from (describe raw_things.things) where column_name = 'tier'")
    assert described == [("DECIMAL(9,2)",)]
    loads = "select count(*) from raw_things._dlt_loads"
    before = ask(warehouse, loads)
    assert load(contract, None, warehouse, NOON) == []
    assert ask(warehouse, loads) == before


@pytest.mark.parametrize(
    ("kind", "given", "value", "reasons"),
    [
        ("bigint", "'12'", 12, []),
        ("bigint", "' +12 '", 12, []),
        ("bigint", "'2.5'", None, ["type:x"]),
        ("bigint", "'two'", None, ["type:x"]),
        ("bigint", "'99999999999999999999'", None, ["type:x"]),
        ("bigint", "2.5", None, ["type:x"]),
        ("date", "'2024-3-5 '", date(2024, 3, 5), []),
        ("date", "'2024-03-15T10:00'", date(2024, 3, 15), []),
        ("date", "'2024-03-15 25:99'", None, ["type:x"]),
        ("date", "'2024-03-15 BC'", None, ["type:x"]),
        ("date", "'2024-03-15xyz'", None, ["type:x"]),
        ("bigint", "2.0", 2, []),
        ("bigint", "3::hugeint", 3, []),
        ("bigint", "2.5::double", None, ["type:x"]),
        ("bigint", "date '2024-01-01'", None, ["type:x"]),
        ("bigint", "null", None, []),
        ("bigint", "' '", None, []),
        ("numeric(18,4)", "'1.23450'", "1.2345", []),
        ("numeric(18,4)", "'.5'", "0.5000", []),
        ("numeric(18,4)", "'1.23456'", None, ["type:x"]),
        ("numeric(18,4)", "'1,5'", None, ["type:x"]),
        ("numeric(18,4)", "'1e3'", None, ["type:x"]),
        ("numeric(18,4)", "'NaN'", None, ["type:x"]),
        ("numeric(18,4)", "'1_0.50'", None, ["type:x"]),
        ("numeric(18,4)", "'12.50'", "12.5000", []),
        ("numeric(18,4)", "'12'", "12.0000", []),
        ("bigint", "'1_000'", None, ["type:x"]),
        ("numeric(18,4)", "1.23456::decimal(12,5)", None, ["type:x"]),
        ("numeric(18,4)", "1.1::double", "1.1000", []),
        ("boolean", "'true'", True, []),
        ("boolean", "'1'", True, []),
        ("boolean", "0", False, []),
        ("boolean", "2", None, ["type:x"]),
        ("boolean", "'maybe'", None, ["type:x"]),
        ("timestamp", "'2024-01-01T02:00:00+02:00'", "2024-01-01 00:00:00", []),
        ("timestamp", "'2024-01-01 02:00:00'", "2024-01-01 02:00:00", []),
        ("timestamp", "timestamptz '2024-01-01 02:00:00+02'", "2024-01-01 00:00:00", []),
        ("timestamp", "'infinity'", None, ["type:x"]),
        ("timestamp", "'2024-02-30'", None, ["type:x"]),
        ("timestamp", "12", None, ["type:x"]),
        ("date", "'2024-02-29'", "2024-02-29", []),
        ("text", "''", None, []),
        ("text", "' a '", " a ", []),
        ("text", "uuid '00000000-0000-4000-8000-000000000001'", "00000000-0000-4000-8000-000000000001", []),
        ("text", "'a' || chr(0)", None, ["type:x"]),
    ],
)
def test_values(kind: str, given: str, value: object, reasons: list[str]) -> None:
    [(typed, good, found)] = judge(Column("x", kind), given)
    assert found == reasons
    assert good == (not reasons)
    if good:
        assert (str(typed) if isinstance(value, str) else typed) == value


@pytest.mark.parametrize(
    ("column", "given", "reasons"),
    [
        (Column("x", "text", required=True), "null", ["missing:x"]),
        (Column("x", "text", required=True), "' ' || chr(9) || chr(160)", ["missing:x"]),
        (Column("x", "bigint", required=True), "'two'", ["type:x"]),
        (Column("x", "text", accepted_values=("active",)), "' ACTIVE' || chr(9)", []),
        (Column("x", "text", accepted_values=("active",)), "'actif'", ["value:x"]),
        (Column("x", "text", accepted_values=("active",)), "null", []),
        (Column("x", "text", required=True, accepted_values=("active",)), "''", ["missing:x"]),
        (Column("x", "text", format="email"), "' Ada@Example.COM' || chr(9)", []),
        (Column("x", "text", format="email"), "'ada.example.com'", ["format:x"]),
        (Column("x", "text", format="email"), "'ada@example'", ["format:x"]),
        (Column("x", "text", format="email"), "'a b@example.com'", ["format:x"]),
        (Column("x", "numeric(18,4)", minimum=0), "'-0.01'", ["range:x"]),
        (Column("x", "numeric(18,4)", minimum=0), "'0'", []),
        (Column("x", "timestamp", timestamp_formats=("%d.%m.%Y",)), "'31.12.2024'", []),
        (Column("x", "timestamp", timestamp_formats=("%d.%m.%Y",)), "'2024-12-31'", ["type:x"]),
    ],
)
def test_rules(column: Column, given: str, reasons: list[str]) -> None:
    assert judge(column, given)[0][2] == reasons


def test_delete_is_judged_by_its_key_alone() -> None:
    column = Column("x", "text", required=True, accepted_values=("active",))
    assert judge(column, "'frozen'", operation="D")[0][1]
    assert not judge(column, "'frozen'")[0][1]


def test_version_without_a_time_is_rejected() -> None:
    assert judge(Column("x", "text"), "'a'", effective_at="null::timestamp")[0][2] == ["missing:_effective_at"]


def judge(
    column: Column, given: str, operation: str = "U", effective_at: str = "timestamp '2024-01-01'"
) -> list[tuple[Any, bool, list[str]]]:
    """One row of one column besides its key: its typed value, whether it is good, and the reasons if not."""
    table = Table("test", "things", (Column("id", "bigint", required=True), column), ("id",), ("id",))
    relation = (
        f"(select 1 as id, {given} as x, '{operation}' as _operation, 1 as _revision, {effective_at} as _effective_at)"
    )
    with duckdb.connect() as connection:
        connection.execute("load icu; set timezone = 'UTC'")
        types = {str(row[0]): str(row[1]) for row in connection.execute(f"describe {relation}").fetchall()}
        connection.execute(f"create table judged as {judged(table, relation, types)}")
        rows = connection.execute("select x, _is_good from judged").fetchall()
        reasons = connection.execute(f"select reasons from ({rejected(table, 'judged', types)})").fetchall()
    return [(x, good, [] if good else json.loads(reasons[0][0])) for x, good in rows]


def load_things(target: Target, rows: str, count: int, **extract: Any) -> Any:
    """Load rows of (id, x, operation, revision) as one extract of a source that has one table."""
    relation = (
        f"(select *, timestamp '2025-01-01' as _effective_at from (values {rows}) as v (id, x, _operation, _revision))"
    )

    def extracts(reader: Reader) -> Any:
        yield Extract(THINGS, relation, count, **extract)

    return load(OF_THINGS, extracts, target, NOON)[0]


@pytest.mark.parametrize("count", [1, 3])
def test_counts_that_do_not_balance_stop_the_load(count: int, warehouse: Target) -> None:
    # One good and one broken row: a source that counts one is as wrong as a source that counts three.
    with pytest.raises(LoadError, match=f"the source counts {count} records, but 1 loaded"):
        load_things(warehouse, "('1', 'a', 'U', 1), ('2', 'z', 'U', 1)", count)
    assert load_things(warehouse, "('1', 'a', 'U', 1), ('2', 'z', 'U', 1)", 2).rejected == 1
    assert ask(warehouse, "select count(*) from raw_things.things") == [(1,)]


def test_repeats_and_known_versions_are_counted(warehouse: Target) -> None:
    since = datetime.fromisoformat("2025-01-01T00:00:00+00:00")
    rows = "('1', 'a', 'U', 1), ('1', 'a', 'U', 1), ('2', 'z', 'U', 1), ('2', 'z', 'U', 1)"
    first = load_things(warehouse, rows, 4, compare_since=since)
    assert (first.loaded, first.known, first.rejected) == (1, 2, 1)
    again = load_things(warehouse, rows, 4, compare_since=since)
    assert (again.loaded, again.known, again.rejected) == (0, 4, 0)
    assert rejects(warehouse, "things") == [("things", ["2"], ["value:x"])]


def test_deletes_that_are_concluded_are_counted_beside_the_records(warehouse: Target) -> None:
    deletes = "select id, x, 'D' as _operation, 2::bigint as _revision, _effective_at from good"
    result = load_things(warehouse, "('1', 'a', 'U', 1)", 1, deletes=deletes)
    assert (result.source_count, result.loaded, result.deleted) == (1, 1, 1)
    assert ask(warehouse, "select _operation, _revision from raw_things.things order by 1") == [("D", 2), ("U", 1)]


def test_source_that_is_not_configured_has_empty_tables(warehouse: Target) -> None:
    assert load(OF_THINGS, None, warehouse) == []
    assert ask(warehouse, "select count(*) from raw_things.things") == [(0,)]


@pytest.mark.parametrize("step", ["extract", "normalize", "load"])
def test_a_signal_reaches_whom_the_command_gave_it(
    step: str, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[int] = []

    def end(*arguments: Any) -> None:
        received.append(arguments[0])

    def interrupted(run: Callable[..., Any]) -> Callable[..., Any]:
        def first_signalled(*arguments: Any, **named: Any) -> Any:
            if not received:
                os.kill(os.getpid(), signal.SIGTERM)
            return run(*arguments, **named)

        return first_signalled

    of_step: type = {"extract": Extractor, "normalize": Normalize, "load": Load}[step]
    name = "extract" if step == "extract" else "run"
    monkeypatch.setattr(of_step, name, interrupted(getattr(of_step, name)))
    before = signal.signal(signal.SIGTERM, end)
    try:
        load(OF_THINGS, None, warehouse)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert ask(warehouse, "select count(*) from raw_things.things") == [(0,)]


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_words_of_sql_are_names(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "postgres":
        for name, value in as_environment(request.getfixturevalue("postgres")).items():
            monkeypatch.setenv(name, value)
    words = [str(word) for (word,) in duckdb.sql("select keyword_name from duckdb_keywords()").fetchall()]
    columns = (*(Column(word, "text") for word in words), Column("id", "bigint", required=True))
    table = Table("words", "order", columns, ("id",), ("id",), indexes=(("group", "at"),))
    listed = ", ".join(f"{word!r} as {quoted(word)}" for word in words)

    def extracts(reader: Reader) -> Generator[Extract, None, None]:
        relation = f"(select 1 as id, {listed}, 'U' as _operation, 1 as _revision, {reader.observed} as _effective_at)"
        yield Extract(table, relation, 1, compare_since=datetime(2025, 1, 1))  # noqa: DTZ001

    target = Target("prod" if engine == "postgres" else "dev", engine, tmp_path / "warehouse")
    found = [load(Source("words", "raw_words", (table,)), extracts, target, NOON)[0] for _ in range(2)]
    assert [(each.loaded, each.known) for each in found] == [(1, 0), (0, 1)]


@pytest.mark.parametrize("name", ["sqlite_scanner", "postgres_scanner", "mysql_scanner", "odbc_scanner", "httpfs"])
def test_an_extension_is_signed_by_duckdb(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """All other tests take its word for it: see conftest.py."""
    monkeypatch.delitem(duck.SETTINGS, "allow_unsigned_extensions")
    with duck.connect() as connection:
        asked = "select current_setting('allow_unsigned_extensions')"
        assert connection.execute(asked).fetchone() == (False,)
        duck.load_extension(connection, name)


ODD = Table(
    "odd",
    "odd",
    (
        Column("id", "bigint", required=True),
        Column("x", "text"),
        Column("amount", "numeric(9,2)", minimum=0),
        Column("seen_at", "timestamp"),
    ),
    ("id",),
    ("id",),
)
ODD_ROWS = """(
    select *, 'U' as _operation, 1 as _revision, timestamp '2025-01-01' as _effective_at from (values
        (1, 'good', 1.50::decimal(9, 2), timestamptz '2025-01-01 00:00:00.000001+00', null),
        (2, 'a,"b"' || chr(10) || 'ü' || chr(0), 2.50, null, null),
        (null, '', -0.01, timestamptz '2025-06-01 12:00:00.123456+02', 'not in the contract'),
        (4, 'good', null, null, null)
    ) as v (id, x, amount, seen_at, other))"""


def test_what_is_set_aside_is_as_the_source_wrote_it(warehouse: Target) -> None:
    def extracts(reader: Reader) -> Any:
        yield Extract(ODD, ODD_ROWS, 4)
        # Once the source is read, and before dlt has had a row of it.
        written.extend(reader.workspace.iterdir())
        seen.extend(reader.connection.execute(f"select id from {reader.raw('odd')} order by id").fetchall())

    written, seen = list[Path](), list[tuple[int]]()
    [result] = load(Source("odd", "raw_odd", (ODD,)), extracts, warehouse, NOON)
    assert (result.loaded, result.rejected, seen, written) == (2, 2, [(1,), (4,)], [])
    assert ask(warehouse, "select id, x, amount from raw_odd.odd order by id") == [
        (1, "good", Decimal("1.50")),
        (4, "good", None),
    ]
    found = {tuple(json.loads(reasons)): json.loads(record) for record, reasons in ask(
        warehouse, "select record, reasons from raw_odd.rejects"
    )}  # fmt: skip
    assert found == {
        ("type:x",): {"id": 2, "x": 'a,"b"\nü\0', "amount": 2.5, "seen_at": None},
        ("missing:id", "range:amount"): {
            "id": None,
            "x": "",
            "amount": -0.01,
            "seen_at": "2025-06-01 10:00:00.123456+00",
        },
    }
    lacking = ask(warehouse, "select column_name, row_count, null_count from raw_odd.profiles order by all")
    assert lacking == [("_effective_at", 2, 0), ("amount", 2, 1), ("id", 2, 0), ("seen_at", 2, 1), ("x", 2, 0)]


ONE_THING = """(
    select 2 as id, 'a' as x, 'U' as _operation, 1 as _revision, timestamp '2025-01-01' as _effective_at)"""


@pytest.mark.parametrize("before", [0, 1])
def test_what_a_load_had_inserted_when_it_failed_is_gone(before: int, warehouse: Target) -> None:
    def breaks_off(reader: Reader) -> Any:
        yield Extract(THINGS, ONE_THING, 1)
        assert reader.connection.execute(f"select count(*) from {reader.raw('things')}").fetchall() == [(before + 1,)]
        raise SourceError("the source is gone")

    if before:
        load_things(warehouse, "('1', 'a', 'U', 1)", 1)
    with pytest.raises(SourceError):
        load(OF_THINGS, breaks_off, warehouse, NOON)
    assert ask(warehouse, "select count(*) from raw_things.things") == [(before,)]


@pytest.mark.parametrize("before", [0, 1])
def test_what_a_load_had_inserted_when_it_was_killed_goes_with_the_next(before: int, warehouse: Target) -> None:
    if before:
        load_things(warehouse, "('1', 'a', 'U', 1)", 1)
    code = (
        "import os, signal; from tests.ingestion.test_loading import *\n"
        "def killed(reader):\n"
        "    yield Extract(THINGS, ONE_THING, 1)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"load(OF_THINGS, killed, Target('dev', 'duckdb', Path({str(warehouse.folder)!r})), NOON)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert ask(warehouse, "select count(*) from raw_things.things") == [(before + 1,)]
    load_things(warehouse, "('3', 'a', 'U', 1)", 1)
    assert ask(warehouse, "select id from raw_things.things order by id") == [(1,), (3,)][1 - before :]


def test_a_load_finds_nothing_of_the_one_before_in_the_database_that_it_takes_over(tmp_path: Path) -> None:
    with duck.connected(tmp_path / "first") as connection:
        duck.load_extension(connection, "sqlite_scanner")
        connection.execute(f"attach '{tmp_path / 'a.duckdb'}' as source")
        connection.execute("create temporary secret login (type http, bearer_token 'x')")
        connection.execute("create temp table judged as select 1")
    kept = duck._idle[-1]
    with duck.connected(tmp_path / "second") as connection:
        assert kept not in duck._idle
        left = "select database_name from duckdb_databases() where not internal"
        assert connection.execute(left).fetchall() == [("memory",)]
        assert connection.execute("select * from duckdb_secrets()").fetchall() == []
        assert connection.execute("select current_setting('timezone')").fetchall() == [("UTC",)]
        with pytest.raises(duckdb.Error, match="judged"):
            connection.execute("from judged")
    assert kept in duck._idle


@pytest.mark.parametrize("spoiled", ["it spills", "it has a variable", "it fails"])
def test_a_database_is_not_taken_over_where(spoiled: str, tmp_path: Path) -> None:
    before = list(duck._idle)
    with suppress(ZeroDivisionError), duck.connected(tmp_path / "spill") as connection:
        match spoiled:
            case "it spills":
                connection.execute("set memory_limit = '50MB'")
                connection.execute("create temp table big as select md5(i::varchar) as m from range(3000000) as t (i)")
            case "it has a variable":
                connection.execute("set variable source = 1")
            case _:
                raise ZeroDivisionError
    assert duck._idle == before[:-1]


def test_a_load_goes_on_where_dlt_has_forgotten_all(warehouse: Target) -> None:
    load_things(warehouse, "('1', 'a', 'U', 1), ('2', 'z', 'U', 1)", 2)
    shutil.rmtree(warehouse.folder / "pipelines")
    assert load_things(warehouse, "('3', 'b', 'U', 1)", 1, cursor="there").loaded == 1
    assert ask(warehouse, "select id, x from raw_things.things order by 1") == [(1, "a"), (3, "b")]
    completed = "select _load_id from raw_things.loads semi join raw_things._dlt_loads on load_id = _load_id"
    assert len(ask(warehouse, completed)) == 2
