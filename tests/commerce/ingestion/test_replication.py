"""The shop followed by its log: a snapshot, then every change once, whatever is killed meanwhile.

The oracle is the shop's own change tables, which triggers fill at the source.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest

from infra.following import load_through_kills, loaded, made
from infra.machine import as_server, binary, own
from infra.scratch import Scratch
from ingestion.contract.contracts import Column, Source, Table
from ingestion.contract.reading import read_contract
from ingestion.demo.commerce.shop_schema import create_shop
from ingestion.demo.commerce.work import WORK, Worker
from ingestion.destination.target import Target
from ingestion.load.extracts import SourceError
from ingestion.load.loading import load
from ingestion.load.run import kept_logs
from ingestion.project import PROJECT_ROOT
from ingestion.readers import sql
from orchestration.alerts import conditions
from tests.absent import absent
from tests.commerce.ingestion.shops import FEW, insert_address, insert_user, load_shop, update_user, user_id
from tests.commerce.ingestion.test_names import LINES, create, named, sold
from tests.commerce.ingestion.test_names import loaded as loaded_odd
from tests.crosswalks import VARIABLE, identifiers
from tests.ingestion.loads import NOON, ask, contract_of, load_source
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

TABLES = [table.name for table in read_contract("shop").tables]
_numbers = iter(range(1, 1000))


@pytest.fixture(scope="module")
def logical_server(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A Postgres of the machine's own installation that keeps a log for logical decoding."""
    if not Path(binary("initdb")).exists() or not (Path(binary("postgres")).parents[1] / "lib/wal2json.so").exists():
        absent(request, "POSTGRES WITH wal2json IS NOT HERE: FOLLOWING A LOG NOT TESTED "
                        "(apt-get install postgresql postgresql-15-wal2json)")  # fmt: skip
    folder, port = Path(tempfile.mkdtemp(prefix="granary_log_")), free_port()
    folder.chmod(0o755)
    own(folder)
    data = folder / "data"
    as_server([binary("initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8", "--auth=trust", "--no-sync"])
    options = f"-p {port} -k {folder} -h 127.0.0.1 -c wal_level=logical -c fsync=off -c max_replication_slots=40"
    control = [binary("pg_ctl"), "-D", str(data), "-w"]
    as_server([*control, "-o", options, "-l", str(folder / "log"), "start"])
    try:
        yield {"host": "127.0.0.1", "port": port, "user": "postgres"}
    finally:
        as_server([*control, "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Shop:
    """A shop's database whose log is followed."""

    settings: dict[str, Any]
    slot: str

    @property
    def url(self) -> str:
        s = self.settings
        return f"postgresql://{s['user']}@{s['host']}:{s['port']}/{quote(s['dbname'])}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SOURCES__SHOP__CREDENTIALS": self.url,
            "SOURCES__SHOP__FOLLOW": "replication",
            "SOURCES__SHOP__SLOT": self.slot,
        }

    def connect(self) -> psycopg2.extensions.connection:
        return psycopg2.connect(**self.settings)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in one transaction. Returns the rows of the last, if it has any."""
        with closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def followed(logical_server: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop with five users and an address each, and complete rows in its log."""
    name = f"shop_{os.getpid()}_{next(_numbers)}"
    with closing(psycopg2.connect(**logical_server, dbname="postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"create database {name}")
    database = Shop({**logical_server, "dbname": name}, name)
    with closing(database.connect()) as connection, connection:
        create_shop(connection, "postgres", changes=True)
    database.run(*(insert_user(number) for number in range(1, 6)), *(insert_address(number) for number in range(1, 6)))
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    yield database
    with suppress(psycopg2.Error):
        database.run(f"select pg_drop_replication_slot('{database.slot}')")


def complete_rows(database: Shop) -> None:
    database.run(*(f"alter table {table} replica identity full" for table in TABLES))


def versions(warehouse: Target, table: str, columns: str) -> list[tuple[Any, ...]]:
    """The versions of all records in raw, by key and in order: key, operation, columns."""
    return ask(
        warehouse,
        f"select id, _operation, {columns} from raw_shop.{table} "
        "where _load_id in (select load_id from raw_shop._dlt_loads where status = 0) "
        "order by id, _revision, _effective_at",
    )


def test_snapshot_then_every_change(followed: Shop, warehouse: Target) -> None:
    complete_rows(followed)
    first = load_source("shop", warehouse)
    assert {name: each.loaded for name, each in first.items() if each.source_count} == {"users": 5, "addresses": 5}
    assert [each.loaded for each in load_source("shop", warehouse).values()] == [0] * 9
    # Two states in one transaction, one that is undone, a delete and a return, a key that changes, a text that is long.
    followed.run(
        update_user(1, "2025-06-02 00:00:00", "suspended", 2), update_user(1, "2025-06-02 00:00:01", "active", 3)
    )
    with closing(followed.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(update_user(2, "2025-06-03 00:00:00", "suspended", 2))
        connection.rollback()
    followed.run(f"delete from users where id = '{user_id(3)}'")
    followed.run(insert_user(3, status="suspended"))
    followed.run("update addresses set id = 50 where id = 5")
    for table in ("addresses", "addresses_changes"):
        followed.run(f"alter table {table} alter column city type text")
    followed.run("update addresses set city = repeat(md5('long'), 1000) where id = 4")
    followed.run("update addresses set is_default = false where id = 4")
    second = load_source("shop", warehouse)
    assert (second["users"].loaded, second["addresses"].loaded) == (4, 4)
    found = versions(warehouse, "users", "status, version")
    assert [row for row in found if row[0] == user_id(1)] == [
        (user_id(1), "U", "active", 1), (user_id(1), "U", "suspended", 2), (user_id(1), "U", "active", 3),
    ]  # fmt: skip
    assert [row[1:] for row in found if row[0] == user_id(2)] == [("U", "active", 1)]
    assert [row[1:3] for row in found if row[0] == user_id(3)] == [("U", "active"), ("D", "active"), ("U", "suspended")]
    places = versions(warehouse, "addresses", "length(city), is_default")
    assert [row[1:] for row in places if row[0] == 4] == [("U", 4, True), ("U", 32_000, True), ("U", 32_000, False)]
    assert [row[:2] for row in places if row[0] in (5, 50)] == [(5, "U"), (5, "D"), (50, "U")]
    known = identifiers()
    addresses = ask(warehouse, "select distinct email from raw_shop.users")
    assert sorted(known[token] for (token,) in addresses) == [f"u{number}@example.com" for number in range(1, 6)]
    assert not ask(warehouse, "select 1 from raw_shop.users where first_name = 'secret'"), "what no contract has stays"


def test_a_change_wakes_who_waits_and_is_still_there_to_load(followed: Shop, warehouse: Target) -> None:
    complete_rows(followed)
    followed.run("create table beside (id int)")
    load_source("shop", warehouse)
    watch, ended = sql.watch(contract_of("shop")), threading.Event()
    assert watch is not None
    watch.begin()
    # What no contract has wakes nobody.
    beside = threading.Timer(0.3, lambda: followed.run("insert into beside values (1)"))
    beside.start()
    assert not watch.wait(1.5, ended)
    beside.join()
    changes = threading.Timer(0.5, lambda: followed.run(update_user(1, "2025-06-02 00:00:00", "suspended", 2)))
    started = time.monotonic()
    changes.start()
    assert watch.wait(30, ended) and time.monotonic() - started < 5
    changes.join()
    assert load_source("shop", warehouse)["users"].loaded == 1
    # One that came before the wait does, too; what was loaded, no more.
    watch.begin()
    followed.run(update_user(2, "2025-06-02 00:00:00", "suspended", 2))
    assert watch.wait(30, ended)
    assert load_source("shop", warehouse)["users"].loaded == 1
    assert not watch.wait(0.5, ended)


def test_odd_names_are_found_in_the_log(followed: Shop, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    database = SimpleNamespace(dialect="postgres", url=followed.url)
    table, key = named("postgres", LINES.at_source), named("postgres", "Order ID", "")
    for name in ("FOLLOW", "SLOT"):
        monkeypatch.setenv(f"SOURCES__ODD__{name}", followed.environment[f"SOURCES__SHOP__{name}"])
    followed.run(*create(database), sold(database, 1, 1, "1.50"), sold(database, 2, 1, "1.50"))
    with pytest.raises(SourceError, match=r'alter table "Back Office"\."Order Lines, 2\.0" replica identity full'):
        loaded_odd(database, warehouse, 1, monkeypatch)
    followed.run(f"alter table {table} replica identity full")
    assert loaded_odd(database, warehouse, 1, monkeypatch).loaded == 2
    followed.run(f"update {table} set \"group\" = 'b' where {key} = 1", f"delete from {table} where {key} = 2")
    followed.run("insert into order_lines values (3)", f"update {table} set {key} = 4")
    found = loaded_odd(database, warehouse, 2, monkeypatch)
    assert (found.source_count, found.loaded) == (4, 4)
    rows = 'select order_id, "group", price_amount, _operation from raw_odd.order_lines order by _revision, _operation'
    assert [(*row[:2], float(row[2]), row[3]) for row in ask(warehouse, rows)] == [
        (1, "a", 1.5, "U"), (2, "a", 1.5, "U"), (1, "b", 1.5, "U"), (2, "a", 1.5, "D"), (1, "b", 1.5, "D"),
        (4, "b", 1.5, "U"),
    ]  # fmt: skip


def test_the_time_of_a_version_is_its_commit(followed: Shop, warehouse: Target) -> None:
    complete_rows(followed)
    load_shop(warehouse)
    followed.run("set timezone = 'Asia/Tokyo'", update_user(1, "2025-06-02 00:00:00", "suspended", 2))
    [(at,)] = followed.run("select now() at time zone 'utc'")
    load_shop(warehouse)
    [(seconds,)] = ask(
        warehouse,
        f"select abs(epoch(max(_effective_at)) - epoch(timestamp '{at}')) from raw_shop.users where version = 2",
    )
    assert seconds < 5


def test_truncate_deletes_what_was_there(followed: Shop, warehouse: Target) -> None:
    complete_rows(followed)
    load_shop(warehouse)
    followed.run(insert_address(6), "truncate addresses", insert_address(7))
    followed.run("truncate addresses")
    followed.run("truncate addresses", insert_address(1))
    result = load_shop(warehouse)["addresses"]
    assert (result.loaded, result.deleted) == (3, 7)
    found = versions(warehouse, "addresses", "user_id")
    assert [(row[0], row[1]) for row in found] == [
        (1, "U"), (1, "D"), (1, "U"), (2, "U"), (2, "D"), (3, "U"), (3, "D"), (4, "U"), (4, "D"), (5, "U"), (5, "D"),
        (6, "U"), (6, "D"), (7, "U"), (7, "D"),
    ]  # fmt: skip


def test_batches_end_with_a_commit(followed: Shop, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    complete_rows(followed)
    load_shop(warehouse)
    for day in range(2, 8):
        followed.run(*(update_user(number, f"2025-06-{day:02} 00:00:00", "active", day) for number in range(1, 6)))
    monkeypatch.setenv("SOURCES__SHOP__BATCH", "12")
    counts = [load_shop(warehouse)["users"].loaded for _ in range(4)]
    assert sum(counts) == 30 and counts[-1] == 0 and all(each % 5 == 0 for each in counts) and counts[0] == 10
    assert len(set(versions(warehouse, "users", "version"))) == 35


def test_a_commit_that_comes_late(followed: Shop, warehouse: Target) -> None:
    """A change lies in the log before the last load's end, its commit after it."""
    complete_rows(followed)
    load_shop(warehouse)
    with closing(followed.connect()) as slow, slow.cursor() as cursor:
        cursor.execute(update_user(1, "2025-06-02 00:00:00", "suspended", 2))
        followed.run(update_user(2, "2025-06-02 00:00:00", "suspended", 2))
        assert load_shop(warehouse)["users"].loaded == 1
        slow.commit()
    assert load_shop(warehouse)["users"].loaded == 1
    assert load_shop(warehouse)["users"].loaded == 0


def test_columns_come_and_go(followed: Shop, warehouse: Target) -> None:
    complete_rows(followed)
    load_shop(warehouse)
    followed.run("alter table users add column nickname text", update_user(1, "2025-06-02 00:00:00", "suspended", 2))
    result = load_shop(warehouse)["users"]
    assert result.loaded == 1
    assert result.notes == ("shop: users has a new column nickname, which its contract doesn't know",)
    followed.run("alter table addresses drop column region")
    with pytest.raises(SourceError, match="table addresses has lost the column region"):
        load_shop(warehouse)


def test_what_keeps_a_log_from_being_followed(
    followed: Shop, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        SourceError, match=r"not all values of 2 tables.*alter table public.users replica identity full"
    ):
        load_shop(warehouse)
    complete_rows(followed)
    load_shop(warehouse)
    followed.run(f"select pg_drop_replication_slot('{followed.slot}')")
    followed.run("delete from addresses where id = 1", insert_address(6))
    with pytest.raises(SourceError, match="is gone, and with it the changes since the last load"):
        load_shop(warehouse)
    # What to do then, by the message.
    monkeypatch.setenv("SOURCES__SHOP__FOLLOW", "polling")
    polled = load_shop(warehouse)["addresses"]
    assert polled.deleted == 1
    monkeypatch.setenv("SOURCES__SHOP__FOLLOW", "replication")
    load_shop(warehouse)
    followed.run("delete from addresses where id = 2")
    assert load_shop(warehouse)["addresses"].loaded == 1
    latest = ask(
        warehouse,
        "select id from raw_shop.addresses qualify row_number() over (partition by id order by _effective_at desc, "
        "_revision desc) = 1 and _operation <> 'D' order by id",
    )
    assert latest == [(3,), (4,), (5,), (6,)]


def test_a_table_that_its_contract_gets_later(
    followed: Shop, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen as it is then, and followed from there; the others miss nothing, in small batches either."""
    complete_rows(followed)
    whole = contract_of("shop", FEW)
    early = replace(whole, tables=tuple(table for table in whole.tables if table.name != "addresses"))
    monkeypatch.setenv("SOURCES__SHOP__BATCH", "2")
    load(early, sql.extracts, warehouse, NOON)
    followed.run("delete from addresses where id = 5", insert_address(6))
    for number in range(1, 6):
        followed.run(update_user(number, "2025-06-02 00:00:00", "suspended", 2))
    result = load_shop(warehouse)
    assert (result["addresses"].loaded, result["users"].loaded) == (5, 0)
    followed.run("update addresses set city = 'Leeds' where id = 1")
    counts = [load_shop(warehouse) for _ in range(12)]
    assert [sum(each[name].loaded for each in counts) for name in ("users", "addresses")] == [5, 1]
    found = versions(warehouse, "addresses", "city")
    assert [(row[0], row[2]) for row in found] == [
        (1, "York"), (1, "Leeds"), (2, "York"), (3, "York"), (4, "York"), (6, "York")
    ]  # fmt: skip


def test_how_much_of_the_log_the_server_keeps(
    followed: Shop, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept_logs(PROJECT_ROOT) == {}, "there is no slot yet"
    complete_rows(followed)
    load_shop(warehouse)
    load_shop(warehouse)
    before = kept_logs(PROJECT_ROOT)["shop"]
    followed.run("create table filler as select repeat('x', 100) as x from generate_series(1, 100000)")
    assert kept_logs(PROJECT_ROOT)["shop"] > before + 10_000_000
    monkeypatch.setattr(conditions, "SLOT_BYTES", 10_000_000)
    [alert] = conditions.source_logs(warehouse, {"shop": read_contract("shop")}, datetime(2026, 1, 1))  # noqa: DTZ001
    assert (alert.key, alert.runbook) == ("log of shop", "slot-lag.md")
    # With a checkpoint the server notes from where on a reader could begin again.
    for _ in range(2):
        followed.run("checkpoint")
        load_shop(warehouse)
    assert kept_logs(PROJECT_ROOT)["shop"] < 10_000_000
    monkeypatch.setenv("SOURCES__SHOP__CREDENTIALS", "postgresql://127.0.0.1:1/nobody")
    assert kept_logs(PROJECT_ROOT) == {}, "who can't be asked is another alert's concern"
    monkeypatch.setenv("SOURCES__SHOP__FOLLOW", "polling")
    assert kept_logs(PROJECT_ROOT) == {}


def test_killed_again_and_again_nothing_is_lost_or_doubled(
    followed: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete_rows(followed)
    seed = int(os.environ.get("GRANARY_SEED", "11"))
    warehouse = Target("dev", "duckdb", tmp_path / "warehouse")
    place = {"TARGET": "dev", "WAREHOUSE_DIR": str(warehouse.folder), VARIABLE: os.environ[VARIABLE]}
    loads = Scratch(tmp_path, {**place, **followed.environment})
    started = time.monotonic()
    loads.run("ingestion", "shop")
    usual = time.monotonic() - started
    writer = Worker(followed.connect, seed)
    writer.start()
    try:
        outcome = load_through_kills(loads, "shop", 6, usual, random.Random(seed), print)
    finally:
        writer.done.set()
        writer.join()
    loads.run("ingestion", "shop")
    table, columns = read_contract("shop").table(WORK["table"]), WORK["columns"]
    there, found = dict(followed.run(made(table, columns))), dict(ask(warehouse, loaded(table, columns)))
    assert there == found
    with capsys.disabled():
        count = sum(map(len, there.values()))
        print(f"\n{outcome.kills} kills, {outcome.ends + 2} loads that ended, {writer.commits:,} commits, "
              f"{count:,} versions: 0 lost, 0 doubled (seed {seed})")  # fmt: skip


KINDS = {
    "amount": ("numeric", "numeric(18,4)"),
    "wide": ("numeric(40,4)", "numeric(38,4)"),
    "ratio": ("double precision", "numeric(18,4)"),
    "small_ratio": ("real", "numeric(18,4)"),
    "moment": ("timestamp", "timestamp"),
    "instant": ("timestamptz", "timestamp"),
    "day": ("date", "date"),
    "note": ("text", "text"),
    "bytes": ("bytea", "text"),
    "numbers": ("int[]", "text"),
    "words": ("text[]", "text"),
    "price": ("money", "text"),
    "took": ("interval", "text"),
    "clock": ("time", "text"),
    "document": ("json", "text"),
    "tree": ("jsonb", "text"),
    "place": ("point", "text"),
    "host": ("inet", "text"),
    "span": ("int4range", "text"),
    "flag": ("boolean", "boolean"),
    "code": ("uuid", "text"),
    "bits": ("bit(4)", "text"),
}
ODD = [
    {"amount": "'NaN'"}, {"amount": "'Infinity'"}, {"amount": "1e30"}, {"amount": "12345678901234.5678"},
    {"wide": "123456789012345678901234567890123456.1234"}, {"wide": "12345678901234567890123456789012.1234"},
    {"ratio": "'NaN'"}, {"ratio": "'-Infinity'"}, {"ratio": "0.1"}, {"ratio": "1e300"}, {"ratio": "1234567.1234"},
    {"small_ratio": "0.1"}, {"small_ratio": "'NaN'"},
    {"moment": "'infinity'"}, {"moment": "'-infinity'"}, {"moment": "'99999-01-01'"}, {"moment": "'0044-03-15 BC'"},
    {"moment": "'2025-06-01 10:00:00.123456'"}, {"instant": "'2025-06-01 10:00:00+05'"}, {"instant": "'infinity'"},
    {"day": "'infinity'"}, {"day": "'0044-03-15 BC'"}, {"day": "'12025-01-01'"}, {"day": "'2025-06-01'"},
    {"day": "'2024-03-15 BC'"},
    {"note": "'tab\\there'"}, {"note": "e'new\\nline \\\\ \"quoted\"'"}, {"note": "e'\\x01\\x7f'"}, {"note": "''"},
    {"note": "'\\N'"}, {"note": "'null'"}, {"note": "repeat('long ', 3000)"},
    {"bytes": "'\\x00ff41'"}, {"bytes": "''"}, {"numbers": "'{1,2,null}'"}, {"numbers": "'{{1,2},{3,4}}'"},
    {"words": "array['a b', 'c\"d', null]"}, {"price": "1234.5"}, {"price": "-0.01"},
    {"took": "'1 year 2 days 03:04:05.5'"}, {"took": "'-1 hour'"}, {"clock": "'10:00'"}, {"clock": "'24:00'"},
    {"document": "'{\"a\": 1, \"b\": \"\\u00e9\"}'"}, {"tree": "'{\"b\": 1.10, \"a\": [null]}'"},
    {"place": "'(1,2.5)'"}, {"host": "'10.0.0.1/24'"}, {"span": "'[1,5]'"}, {"flag": "true"}, {"flag": "false"},
    {"code": "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"}, {"bits": "B'0101'"}, {},
]  # fmt: skip


def test_odd_values_are_the_same_in_the_log_as_elsewhere(
    followed: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way of reading a row gives the same values, or a reject."""
    columns = (
        Column("id", "bigint", required=True),
        *(Column(name, kind, plausible=("1900-01-01", "2100-12-31") if kind in ("timestamp", "date") else None)
          for name, (_, kind) in KINDS.items()),
    )  # fmt: skip
    contract = Source("odd", "raw_odd", (Table("odd", "odd", columns, ("id",), ("id",)),), reader="sql")
    for name in ("CREDENTIALS", "SLOT"):
        monkeypatch.setenv(f"SOURCES__ODD__{name}", followed.environment[f"SOURCES__SHOP__{name}"])
    inserts = [
        f"insert into odd ({', '.join(['id', *values])}) values ({', '.join([str(number), *values.values()])})"
        for number, values in enumerate(ODD)
    ]
    declared = ", ".join(f"{name} {kind}" for name, (kind, _) in KINDS.items())
    followed.run(f"create table odd (id bigint primary key, {declared})", "alter table odd replica identity full")
    followed.run(*inserts)

    def read(way: str, folder: str) -> dict[int, Any]:
        monkeypatch.setenv("SOURCES__ODD__FOLLOW", way)
        target = Target("dev", "duckdb", tmp_path / folder)
        load(contract, sql.extracts, target, NOON)
        names = ", ".join(column.name for column in columns)
        newest = "_load_id = (select max(_load_id) from raw_odd.loads)"
        rows = ask(target, f"select {names} from raw_odd.odd where _operation = 'U' and {newest}")
        found = {row[0]: row[1:] for row in rows}
        for (record,) in ask(target, f"select record from raw_odd.rejects where {newest}"):
            said = json.loads(record)
            # Which words the text is in is the way's: NaN, or nan.
            found[int(said["id"])] = {name for name, value in said.items() if value is not None}
        return found

    by_comparing, by_snapshot = read("compare", "compared"), read("replication", "followed")
    followed.run("delete from odd", *inserts)
    by_log = read("replication", "followed")
    assert by_snapshot == by_comparing
    # Of these wal2json says null.
    no_number = {
        number for number, values in enumerate(ODD) if {"'NaN'", "'Infinity'", "'-Infinity'"} & {*values.values()}
    }
    assert {number: way for number, way in by_log.items() if number not in no_number} == {
        number: way for number, way in by_comparing.items() if number not in no_number
    }
    assert all(by_log[number] == (None,) * len(KINDS) for number in no_number)
