"""The shop source, followed by change tables and by polling, on SQLite, Postgres and MariaDB."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingestion.contract.contracts import Column, Source, Table
from ingestion.contract.reading import read_contract
from ingestion.demo.commerce import simulate
from ingestion.demo.commerce.shop_schema import copy_shop
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded, SourceError
from ingestion.load.loading import load
from ingestion.load.run import reader_of
from ingestion.readers import sql
from tests.commerce.ingestion.shops import (
    DIALECTS,
    FEW,
    MODES,
    SERVERS,
    Shop,
    at,
    delete_user,
    each,
    insert_address,
    insert_user,
    load_shop,
    update_user,
    user_id,
)
from tests.crosswalks import identifiers
from tests.ingestion.loads import NOON, ask, check_balance, contract_of, load_source, rejects


def history(warehouse: Target, number: int) -> list[tuple[str, str, str]]:
    """A user's versions in raw: operation, status, and from when."""
    rows = ask(
        warehouse,
        f"""
        select _operation, status, strftime(_effective_at, '%m-%d %H:%M') from raw_shop.users
        where id = '{user_id(number)}' order by _effective_at, _revision""",
    )
    return [(row[0], row[1], row[2]) for row in rows]


@each(DIALECTS, *MODES)
def test_load_and_load_again(database: Shop, filled: Shop, mode: str, warehouse: Target) -> None:
    filled.follow(mode)
    result = load_shop(warehouse, at(1))
    assert {name: each.loaded for name, each in result.items() if each.source_count} == {"users": 5, "addresses": 5}
    row = "select email, last_name, created_at, version, _revision > 0 from raw_shop.users order by id limit 1"
    [(email, last_name, *others)] = ask(warehouse, row)
    known = identifiers()
    assert (known[email], known[last_name]) == ("u1@example.com", "Löve")
    assert others == [datetime(2025, 6, 1, 10, tzinfo=UTC).replace(tzinfo=None), 1, True]
    assert ask(warehouse, "select distinct is_default from raw_shop.addresses") == [(True,)]
    again = load_shop(warehouse, at(2))
    assert [each.loaded + each.rejected + each.deleted for each in again.values()] == [0] * len(FEW)
    assert not [note for each in again.values() for note in each.notes]


@each(DIALECTS)
def test_changes_bring_every_version(database: Shop, filled: Shop, warehouse: Target) -> None:
    load_shop(warehouse, at(1))
    filled.run(
        update_user(1, "2025-06-02 08:00:00", "inactive", 2),
        update_user(1, "2025-06-02 09:00:00", "active", 3),
        *delete_user(1, "2025-06-03 00:00:00"),
        insert_user(1, "2025-06-04 00:00:00"),
    )
    result = load_shop(warehouse, at(5))["users"]
    assert (result.loaded, result.deleted) == (4, 0)
    assert history(warehouse, 1) == [
        ("U", "active", "06-01 10:00"),
        ("U", "inactive", "06-02 08:00"),
        ("U", "active", "06-02 09:00"),
        ("D", "active", "06-03 00:00"),
        ("U", "active", "06-04 00:00"),
    ]
    assert load_shop(warehouse, at(6))["users"].loaded == 0


@each(DIALECTS)
def test_polling_brings_updates_deletes_and_restores(database: Shop, filled: Shop, warehouse: Target) -> None:
    filled.follow("polling")
    load_shop(warehouse, at(1))
    filled.run(update_user(1, "2025-06-02 08:00:00", "inactive", 2), *delete_user(2))
    result = load_shop(warehouse, at(2))["users"]
    assert (result.loaded, result.deleted) == (1, 1)
    assert load_shop(warehouse, at(3))["users"].deleted == 0
    # 2 comes back as it was, 3 comes late with an old time.
    filled.run(insert_user(2), insert_user(6, "2025-05-01 00:00:00"))
    assert load_shop(warehouse, at(4))["users"].loaded == 2
    assert load_shop(warehouse, at(5))["users"].loaded == 0
    assert history(warehouse, 1) == [("U", "active", "06-01 10:00"), ("U", "inactive", "06-02 08:00")]
    assert history(warehouse, 2) == [
        ("U", "active", "06-01 10:00"),
        ("D", "active", "06-02 12:00"),
        ("U", "active", "06-04 12:00"),
    ]
    assert history(warehouse, 6) == [("U", "active", "05-01 00:00")]


@each(DIALECTS)
def test_comparing_brings_what_no_time_tells(database: Shop, filled: Shop, warehouse: Target) -> None:
    def counts(day: int) -> tuple[int, ...]:
        found = load_shop(warehouse, at(day))["users"]
        assert found.compared
        return found.source_count, found.loaded, found.known, found.rejected, found.deleted

    def status(number: int, said: str) -> str:
        return f"update users set status = '{said}' where id = '{user_id(number)}'"

    filled.follow("compare")
    assert counts(1) == (5, 5, 0, 0, 0)
    filled.run(status(1, "inactive"), f"delete from users where id = '{user_id(2)}'", status(3, "frozen"))
    assert counts(2) == (4, 1, 2, 1, 1)
    assert counts(3) == (4, 0, 4, 0, 0)
    # 2 comes back and 3 is mended, both as they were; 4 gets another address, of which raw has a token.
    filled.run(insert_user(2), status(3, "active"), f"update users set email = 'new@x.org' where id = '{user_id(4)}'")
    assert counts(4) == (5, 2, 3, 0, 0)
    assert counts(5) == (5, 0, 5, 0, 0)
    assert history(warehouse, 1) == [("U", "active", "06-01 12:00"), ("U", "inactive", "06-02 12:00")]
    assert history(warehouse, 2) == [
        ("U", "active", "06-01 12:00"),
        ("D", "active", "06-02 12:00"),
        ("U", "active", "06-04 12:00"),
    ]
    assert history(warehouse, 3) == [("U", "active", "06-01 12:00")]
    assert history(warehouse, 4) == [("U", "active", "06-01 12:00"), ("U", "active", "06-04 12:00")]
    filled.run("delete from users where email < 'u4'")
    with pytest.raises(SourceError, match=r"shop: 4 of 5 known users are gone"):
        load_shop(warehouse, at(6))


def test_a_table_without_times_is_compared_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "plain.sqlite"
    columns = (Column("code", "text", required=True, privacy="direct_identifier"), Column("size", "bigint"))
    contract = Source("plain", "raw_plain", (Table("plain", "things", columns, ("code",), ("code",)),), reader="sql")
    target, lines = Target("dev", "duckdb", tmp_path / "warehouse"), list[str]()
    monkeypatch.setenv("SOURCES__PLAIN__CREDENTIALS", f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as plain, plain:
        plain.executescript("create table things (code text, size int); insert into things values ('a', 1), ('b', 2)")
    load(contract, reader_of(contract).extracts, target, at(1))
    with closing(sqlite3.connect(file)) as plain, plain:
        plain.executescript("update things set size = 3 where code = 'b'; delete from things where code = 'a'")
    load(contract, reader_of(contract).extracts, target, at(2), lines.append)
    assert lines == ["  plain.things: 1 read, 1 loaded, 0 known, 0 rejected; 1 found deleted; compared as a whole"]
    assert ask(target, "select count(distinct code), count(*) from raw_plain.things") == [(2, 4)]


@each(DIALECTS)
def test_a_second_state_of_one_second(database: Shop, filled: Shop, warehouse: Target) -> None:
    """Times of whole seconds, and a version that nobody counts up: what is told later is another version."""
    filled.follow("polling")
    load_shop(warehouse, at(1))
    for day, status in ((2, "inactive"), (3, "active"), (3, "active"), (4, "inactive")):
        filled.run(update_user(1, "2025-06-02 10:00:00", status, 2))
        load_shop(warehouse, at(day))
    told = ask(
        warehouse,
        f"""
        select status, strftime(_observed_at, '%d') from raw_shop.users
        where id = '{user_id(1)}' and _revision = 2 order by _observed_at""",
    )
    assert told == [("inactive", "02"), ("active", "03"), ("inactive", "04")]


@each(DIALECTS)
def test_restored_record_within_the_lag_is_known(
    database: Shop, filled: Shop, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.follow("polling")
    monkeypatch.setenv("SOURCES__SHOP__LAG_MINUTES", str(30 * 24 * 60))
    load_shop(warehouse, at(1))
    filled.run(*delete_user(2))
    load_shop(warehouse, at(2))
    filled.run(insert_user(2))
    assert load_shop(warehouse, at(3))["users"].loaded == 1
    again = load_shop(warehouse, at(4))["users"]
    assert (again.loaded, again.known) == (0, 5)
    # Restored with a time of its own, it holds from then.
    filled.run(*delete_user(2))
    load_shop(warehouse, at(5))
    filled.run(insert_user(2, "2025-06-05 20:00:00"))
    load_shop(warehouse, at(6))
    assert history(warehouse, 2)[-2:] == [("D", "active", "06-05 12:00"), ("U", "active", "06-05 20:00")]


@each(DIALECTS, *MODES)
def test_all_tables_are_of_one_state(database: Shop, filled: Shop, mode: str, warehouse: Target) -> None:
    filled.follow(mode)
    written: list[str] = []

    def write(line: str) -> None:
        """After the users were read: another user, and her address."""
        if "shop.users" in line and not written:
            written.append(line)
            filled.run(insert_user(7, "2025-06-01 11:00:00"), insert_address(7, "2025-06-01 11:00:00"))

    def loaded() -> tuple[int, int]:
        result = {each.resource: each for each in load(contract_of("shop", FEW), sql.extracts, warehouse, at(1), write)}
        return result["users"].loaded, result["addresses"].loaded

    assert loaded() == (5, 5)
    assert written
    assert loaded() == (1, 1)
    check_balance("shop", warehouse)


@each(DIALECTS, *MODES)
def test_new_column_is_reported(database: Shop, filled: Shop, mode: str, warehouse: Target) -> None:
    filled.follow(mode)
    filled.run("alter table users add column phone varchar(20)")
    assert load_shop(warehouse)["users"].notes == (
        "shop: users has a new column phone, which its contract doesn't know",
    )


@each(DIALECTS, *MODES)
def test_lost_column_stops_the_load(database: Shop, mode: str, warehouse: Target) -> None:
    database.create(changes=False)
    database.run("alter table users drop column first_name")
    database.follow("polling")
    with pytest.raises(SourceError, match=r"shop: table users has lost the column first_name \(it has id, email"):
        load_shop(warehouse)


@each(DIALECTS, *MODES)
def test_column_that_became_text_is_judged(database: Shop, filled: Shop, mode: str, warehouse: Target) -> None:
    filled.follow(mode)
    if database.dialect != "sqlite":  # where any value fits into any column
        kind = "modify version varchar(9)" if database.dialect == "mysql" else "alter version type varchar(9)"
        filled.run(f"alter table users {kind}", f"alter table users_changes {kind}")
    filled.run(f"update users set version = 'two', updated_at = '2025-06-02 00:00:00' where id = '{user_id(3)}'")
    result = load_shop(warehouse)["users"]
    assert result.rejected == 1
    assert rejects(warehouse, "shop") == [("users", [user_id(3)], ["type:version"])]


@each(DIALECTS, *MODES)
def test_broken_record_is_rejected_once_and_loaded_when_mended(
    database: Shop, filled: Shop, mode: str, warehouse: Target
) -> None:
    filled.follow(mode)
    load_shop(warehouse, at(1))
    filled.run(
        insert_user(8, "2025-06-02 00:00:00", status="frozen"), update_user(1, "2025-06-02 00:00:00", "frozen", 2)
    )
    assert load_shop(warehouse, at(2))["users"].rejected == 2
    again = load_shop(warehouse, at(3))["users"]
    assert (again.loaded, again.rejected) == (0, 0)
    filled.run(update_user(8, "2025-06-03 00:00:00", "active", 2), *delete_user(1, "2025-06-03 00:00:00"))
    result = load_shop(warehouse, at(4))["users"]
    assert result.loaded + result.deleted == 2
    assert history(warehouse, 8) == [("U", "active", "06-03 00:00")]
    # Broken records can be deleted.
    assert [operation for operation, _, _ in history(warehouse, 1)] == ["U", "D"]


@each(DIALECTS)
def test_implausible_deletes_stop_the_load(
    database: Shop, filled: Shop, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.follow("polling")
    load_shop(warehouse, at(1))
    filled.run("delete from users where email < 'u4'")
    with pytest.raises(SourceError, match=r"shop: 3 of 5 known users are gone .* SOURCES__SHOP__MAX_DELETE_SHARE=0.6"):
        load_shop(warehouse, at(2))
    assert ask(warehouse, "select count(*) from raw_shop.users where _operation = 'D'") == [(0,)]
    monkeypatch.setenv("SOURCES__SHOP__MAX_DELETE_SHARE", "0.6")
    assert load_shop(warehouse, at(3))["users"].deleted == 3


@each(DIALECTS)
def test_two_records_of_one_key_stop_the_load(database: Shop, filled: Shop, warehouse: Target) -> None:
    filled.follow("polling")
    again = f"select * from once where id = '{user_id(1)}'"
    repeat = ["alter table users rename to once", f"create table users as select * from once union all {again}"]
    message = r"shop: 1 keys \(id\) of users stand in more than one record; nothing was loaded"
    filled.run(*repeat)
    with pytest.raises(SourceError, match=message):
        load_shop(warehouse, at(1))
    filled.run("drop table users", "alter table once rename to users")
    assert load_shop(warehouse, at(2))["users"].loaded == 5
    filled.run(*repeat)
    with pytest.raises(SourceError, match=message):
        load_shop(warehouse, at(3))


@each(SERVERS, *MODES)
def test_user_without_a_right_to_the_password_hash_can_load(
    database: Shop, filled: Shop, mode: str, warehouse: Target
) -> None:
    filled.follow(mode)
    columns = ", ".join(read_contract("shop").table("users").column_names)
    tables = [t.name for t in read_contract("shop").tables if t.name != "users"]
    tables += [f"{t.name}_changes" for t in read_contract("shop").tables]
    if database.dialect == "postgres":
        name = f"reader_{mode}"
        filled.run(
            f"drop role if exists {name}",
            f"create role {name} login",
            f"grant select ({columns}) on users to {name}",
            *(f"grant select on {table} to {name}" for table in tables),
        )
        filled.use(filled.url.replace(filled.url.split("//")[1].split("@")[0], name))
    else:
        name, schema = f"reader_{mode}@'127.0.0.1'", filled.url.rsplit("/", 1)[1]
        filled.run(
            f"create or replace user {name} identified by 'pw'",
            f"grant select ({columns}) on {schema}.users to {name}",
            *(f"grant select on {schema}.{table} to {name}" for table in tables),
        )
        filled.use(filled.url.replace(filled.url.split("//")[1].split("@")[0], f"reader_{mode}:pw"))
    assert load_shop(warehouse)["users"].loaded == 5
    if database.dialect == "postgres":
        filled.run(f"drop owned by reader_{mode}", f"drop role reader_{mode}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_password_hash_is_never_read_from_sqlite(database: Shop, filled: Shop, mode: str, warehouse: Target) -> None:
    # A column that fails when its value is asked for.
    columns = ", ".join(read_contract("shop").table("users").column_names)
    filled.run(
        "alter table users rename to all_users",
        f"create view users as select {columns}, abs(-9223372036854775808) as password_hash from all_users",
    )
    filled.follow(mode)
    assert load_shop(warehouse)["users"].loaded == 5


@each(SERVERS)
def test_change_that_was_committed_late_is_loaded(database: Shop, filled: Shop, warehouse: Target) -> None:
    filled.run(
        update_user(1, "2025-06-01 10:30:00", "inactive", 2),
        update_user(2, "2025-06-01 10:31:00", "inactive", 2),
        "create table late as select * from users_changes where position = 6",
        "delete from users_changes where position = 6",
    )
    assert load_shop(warehouse, at(1))["users"].loaded == 6
    filled.run("insert into users_changes select * from late")
    result = load_shop(warehouse, at(2))["users"]
    assert (result.source_count, result.loaded, result.known) == (7, 1, 6)


@each(DIALECTS)
def test_change_table_that_begins_anew(database: Shop, filled: Shop, warehouse: Target) -> None:
    load_shop(warehouse, at(1))
    filled.run("delete from users_changes")
    assert load_shop(warehouse, at(2))["users"].source_count == 0
    filled.run("insert into users_changes (position, operation, changed_at) values (2, 'U', '2025-06-03 00:00:00')")
    with pytest.raises(SourceError, match="shop: users_changes ends at position 2, but was read up to 5 before"):
        load_shop(warehouse, at(3))


@each(DIALECTS)
def test_records_from_before_the_change_table(database: Shop, warehouse: Target) -> None:
    database.create(changes=False)
    database.run(insert_user(1), insert_user(2), insert_user(3, "2025-06-01 11:00:00"))
    database.create()
    database.run(update_user(2, "2025-06-02 00:00:00", "inactive", 2), insert_user(4, "2025-06-02 00:00:00"))
    result = load_shop(warehouse, at(3))["users"]
    assert (result.source_count, result.loaded) == (4, 4)
    assert history(warehouse, 3) == [("U", "active", "06-01 11:00")]
    assert load_shop(warehouse, at(4))["users"].loaded == 0


@each(DIALECTS)
def test_change_of_following_loses_nothing(database: Shop, filled: Shop, warehouse: Target) -> None:
    for day, mode in ((1, "polling"), (2, "changes"), (3, "polling")):
        filled.follow(mode)
        filled.run(update_user(day, f"2025-06-0{day} 11:00:00", "inactive", 2))
        load_shop(warehouse, at(day))
    latest = "select arg_max(status, _effective_at) from raw_shop.users group by id"
    assert sorted(ask(warehouse, latest)) == [("active",)] * 2 + [("inactive",)] * 3


@each(DIALECTS)
def test_future_time_does_not_hide_later_changes(database: Shop, filled: Shop, warehouse: Target) -> None:
    filled.follow("polling")
    filled.run(update_user(1, "2099-01-01 00:00:00", "inactive", 2))
    load_shop(warehouse, at(1))
    filled.run(update_user(2, "2025-06-02 00:00:00", "inactive", 2))
    assert load_shop(warehouse, at(2))["users"].loaded == 1


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_postgres_types(database: Shop, warehouse: Target) -> None:
    database.create(changes=False)
    database.run(
        "alter table products alter price_amount type numeric",
        "alter table products alter updated_at type timestamptz using updated_at at time zone 'utc'",
        "insert into products (id, sku, name, category_id, price_amount, currency_code, is_active, created_at, "
        "updated_at, version) values "
        "(1, 'a', 'Mug', 1, 12345678901.2345, 'GBP', true, '2025-06-01', '2025-06-01 12:00+02', 1), "
        "(2, 'b', 'Jug', 1, 1.00001, 'GBP', true, '2025-06-01', '2025-06-01 12:00+02', 1)",
    )
    load_shop(warehouse, at(1), "products")
    rows = "select price_amount, strftime(updated_at, '%H:%M'), strftime(_effective_at, '%H:%M') from raw_shop.products"
    assert ask(warehouse, rows) == [(Decimal("12345678901.2345"), "10:00", "10:00")]
    assert rejects(warehouse, "shop") == [("products", ["2"], ["type:price_amount"])]
    again = load_shop(warehouse, at(2), "products")["products"]
    assert (again.loaded, again.rejected) == (0, 0)
    # The server's time zone changes nothing.
    name = urlsplit(database.url).path[1:]
    database.run(f"alter database {name} set timezone = 'Asia/Tokyo'")
    database.run("update products set updated_at = '2025-06-01 12:30+02', version = 2 where id = 1")
    again = load_shop(warehouse, at(2), "products")["products"]
    assert (again.loaded, again.rejected) == (1, 0)


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_role_of_the_warehouse_is_none_of_the_shop(
    database: Shop, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create(changes=False)
    monkeypatch.setenv("PGOPTIONS", "-c role=granary_nobody")
    assert load_shop(warehouse, at(1))["users"].source_count == 0


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
def test_mysql_timestamps_are_read_in_utc(database: Shop, warehouse: Target) -> None:
    database.create(changes=False)
    database.run(
        "alter table users modify created_at timestamp null, modify updated_at timestamp null",
        "set time_zone = '+09:00'",
        "set global time_zone = '+09:00'",
        insert_user(1, "2025-06-01 19:00:00"),
    )
    try:
        load_shop(warehouse, at(1))
        assert load_shop(warehouse, at(2))["users"].known == 1
    finally:
        database.run("set global time_zone = 'SYSTEM'")
    assert history(warehouse, 1) == [("U", "active", "06-01 10:00")]


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_lost_connection_is_an_error_and_no_more(database: Shop, filled: Shop, mode: str, warehouse: Target) -> None:
    filled.follow(mode)

    def cut(line: str) -> None:
        if "shop.users" in line:
            filled.run(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )

    with pytest.raises(SourceError, match=r"shop.*(broke off|could not be read to its end)"):
        load(contract_of("shop", FEW), sql.extracts, warehouse, NOON, cut)
    assert load_shop(warehouse)["users"].loaded == 5


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:9/x", "mysql://u:hunter2@127.0.0.1:9/x"])
def test_refused_connection(url: str, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__SHOP__CREDENTIALS", url)
    with pytest.raises(SourceError, match=r"shop: the database at 127.0.0.1 refuses: .*; check that it runs") as caught:
        load_shop(warehouse)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@each(SERVERS)
def test_wrong_password(database: Shop, warehouse: Target) -> None:
    if database.dialect == "postgres":
        pytest.skip("the tests' server trusts everybody")
    database.use(database.url.replace(database.url.split("//")[1].split("@")[0], "granary:hunter2"))
    with pytest.raises(SourceError, match="refuses") as caught:
        load_shop(warehouse)
    assert "hunter2" not in str(caught.value)


def test_settings_that_are_wrong(warehouse: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for url, message in (
        (f"sqlite:///{tmp_path}/nowhere.sqlite", "shop: there is no SQLite file at .*nowhere.sqlite: check"),
        (
            "oracle://host/x",
            "SOURCES__SHOP__CREDENTIALS starts with 'oracle': use sqlite, postgresql, mysql, mariadb or mssql",
        ),
    ):
        monkeypatch.setenv("SOURCES__SHOP__CREDENTIALS", url)
        with pytest.raises(SourceError, match=message):
            load_shop(warehouse)
    monkeypatch.setenv("SOURCES__SHOP__FOLLOW", "closely")
    with pytest.raises(SourceError, match="SOURCES__SHOP__FOLLOW is 'closely': use one of auto, changes, polling"):
        load_shop(warehouse)


@each(DIALECTS)
def test_follow_changes_where_there_are_none(database: Shop, warehouse: Target) -> None:
    database.create(changes=False)
    database.follow("changes")
    with pytest.raises(SourceError, match=r"FOLLOW=changes, but the database has no table users_changes, addresses"):
        load_shop(warehouse)


@each(DIALECTS)
def test_simulated_shop(database: Shop, warehouse: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(tmp_path / "company", 40, scale=0.1)
    source = tmp_path / "company" / "shop.sqlite"
    if database.dialect == "sqlite":
        database.use(f"sqlite:///{source}")
    else:
        database.create()
        connection = database.connect()
        copy_shop(source, connection, database.dialect)  # type: ignore[arg-type]
        connection.close()
    end = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=40)
    with sqlite3.connect(tmp_path / "company" / "truth.sqlite") as truth:
        counts = dict(truth.execute("select resource, records from truth_counts where source = 'shop'").fetchall())
        broken = truth.execute("select resource, reason from truth_rejects where source = 'shop'").fetchall()
    result = load_source("shop", warehouse, end)
    assert {name: each.source_count for name, each in result.items()} == {
        name: counts[f"{name}_changes"] for name in result
    }
    found = [(resource, reasons[0]) for resource, _, reasons in rejects(warehouse, "shop")]
    assert sorted(found) == sorted(broken)
    check_same_state(source, warehouse, result)


def check_same_state(source: Path, warehouse: Target, result: dict[str, Loaded]) -> None:
    """The latest good version of each record is what the shop's table says, but for records that are broken there."""
    for name in result:
        living = f"""
            select count(*) from (
                select * from raw_shop.{name}
                qualify row_number() over (partition by id order by _effective_at desc, _revision desc) = 1
            ) where _operation = 'U'"""
        with sqlite3.connect(source) as connection:
            there = connection.execute(f"select count(*) from {name}").fetchone()[0]
        never_good = ask(
            warehouse,
            f"""
            select count(distinct record_key) from raw_shop.rejects where resource = '{name}'
            and json_extract_string(record, '$.id') not in (select cast(id as varchar) from raw_shop.{name})""",
        )[0][0]
        assert ask(warehouse, living)[0][0] == there - never_good, name
