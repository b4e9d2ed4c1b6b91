"""Fixtures of the tests that read a shop's database."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pymysql
import pytest

from tests.commerce.ingestion.shops import Shop, insert_address, insert_user


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An empty database of the dialect that the test is parametrized with (indirectly)."""
    dialect = request.param
    if dialect == "sqlite":
        path = tmp_path / "shop.sqlite"
        return Shop(dialect, lambda: sqlite3.connect(path), f"sqlite:///{path}", monkeypatch)
    if dialect == "postgres":
        known = request.getfixturevalue("postgres")
        login = f"{known['user']}:{quote(known.get('password', ''), safe='')}"
        url = f"postgresql://{login}@/{known['dbname']}?host={quote(known['host'], safe='')}&port={known['port']}"
        return Shop(dialect, lambda: psycopg2.connect(**known), url, monkeypatch)
    known = request.getfixturevalue("mariadb")
    settings = {**known, "port": int(known["port"])}
    login = f"{known['user']}:{quote(known['password'], safe='')}"
    url = f"mariadb://{login}@{known['host']}:{known['port']}/{known['database']}"
    return Shop(dialect, lambda: pymysql.connect(**settings), url, monkeypatch)


@pytest.fixture
def filled(database: Shop) -> Shop:
    """A shop with five users and an address each."""
    database.create()
    database.run(*(insert_user(number) for number in range(1, 6)), *(insert_address(number) for number in range(1, 6)))
    return database
