"""The simulated shop, copied into real servers: same tables, same triggers, same content."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import psycopg2
import pymysql
import pytest

from ingestion.demo.commerce import simulate
from ingestion.demo.commerce.shop_schema import TABLES, copy_shop, create_shop

Server = tuple[Literal["postgres", "mysql"], Any]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "company"
    simulate(root, 30, scale=0.05)
    return root / "shop.sqlite"


@pytest.fixture(params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """An empty database of the tests' own servers. MariaDB says in capitals where it was not tried."""
    connection: Any
    if request.param == "mysql":
        settings = request.getfixturevalue("mariadb")
        connection = pymysql.connect(**{**settings, "port": int(settings["port"])})
    else:
        connection = psycopg2.connect(**request.getfixturevalue("postgres"))
    with closing(connection):
        yield request.param, connection


def drop(cursor: Any) -> None:
    for table in TABLES:
        for name in (table, f"{table}_changes"):
            cursor.execute(f"drop table if exists {name}")
    cursor.execute("drop table if exists simulated_clock")


def content(cursor: Any, table: str) -> list[tuple[Any, ...]]:
    """A table's rows, spelled alike on every engine."""

    def spelled(value: Any) -> Any:
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, int | float | Decimal):
            return f"{Decimal(str(value)):.2f}".removesuffix(".00")
        return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value

    cursor.execute(f"select * from {table} order by 1")
    return [tuple(spelled(value) for value in row) for row in cursor.fetchall()]


def test_copy(shop: Path, server: Server) -> None:
    dialect, connection = server
    cursor = connection.cursor()
    drop(cursor)
    create_shop(connection, dialect)
    for _ in range(2):  # a second copy replaces the first
        copy_shop(shop, connection, dialect)
    with closing(sqlite3.connect(shop)) as original:
        for table in [*TABLES, *(f"{name}_changes" for name in TABLES)]:
            assert content(cursor, table) == content(original.cursor(), table), table

    # The server's own triggers go on after the copy (MySQL leaves a gap, where its triggers had run meanwhile).
    cursor.execute("select max(position) from categories_changes")
    last = cursor.fetchone()[0]
    cursor.execute("insert into categories values (900, null, 'New', '2024-03-01 10:00:00', '2024-03-01 10:00:00', 1)")
    cursor.execute("update categories set name = 'Newer', updated_at = '2024-03-02 10:00:00' where id = 900")
    cursor.execute("delete from categories where id = 900")
    query = "select operation, changed_at, name from categories_changes where position > %s order by position"
    cursor.execute(query, (last,))
    assert [(operation, str(at), name) for operation, at, name in cursor.fetchall()] == [
        ("I", "2024-03-01 10:00:00", "New"),
        ("U", "2024-03-02 10:00:00", "Newer"),
        ("D", "2024-01-31 00:00:00", "Newer"),
    ]
    cursor.execute("select * from users_changes limit 0")
    assert "password_hash" not in [column[0] for column in cursor.description]
    connection.rollback()


def test_copy_without_change_tables(shop: Path, server: Server) -> None:
    dialect, connection = server
    cursor = connection.cursor()
    drop(cursor)
    create_shop(cursor, dialect, changes=False)
    copy_shop(shop, connection, dialect)
    with closing(sqlite3.connect(shop)) as original:
        assert content(cursor, "users") == content(original.cursor(), "users")
    with pytest.raises(Exception, match="users_changes"):
        cursor.execute("select * from users_changes")
    connection.rollback()
