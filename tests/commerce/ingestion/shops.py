"""A shop's database, on each dialect that is read, and what tests do to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.demo.commerce.shop_schema import create_shop
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded
from tests.ingestion.loads import NOON, load_source

DIALECTS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres), "mysql"]
SERVERS = DIALECTS[1:]
MODES = ["changes", "polling"]
# What most tests load: the source reads its tables by one way, which a simulated shop with all of them shows.
FEW = ("users", "addresses")


class Shop:
    """A shop's database: run statements in it, and point the source at it."""

    def __init__(self, dialect: str, connect: Callable[[], Any], url: str, monkeypatch: pytest.MonkeyPatch):
        self.dialect, self.connect, self.url = dialect, connect, url
        self._monkeypatch = monkeypatch
        self.use(url)

    def use(self, url: str) -> None:
        self._monkeypatch.setenv("SOURCES__SHOP__CREDENTIALS", url)

    def follow(self, mode: str) -> None:
        self._monkeypatch.setenv("SOURCES__SHOP__FOLLOW", mode)

    def run(self, *statements: str) -> None:
        connection = self.connect()
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
        connection.close()

    def create(self, changes: bool = True) -> None:
        connection = self.connect()
        create_shop(connection, self.dialect, changes=changes)  # type: ignore[arg-type]
        connection.commit()
        connection.close()


def each(names: list[Any], *modes: str) -> Any:
    """Parametrize by dialect and, where given, by how the shop is followed."""
    dialects = pytest.mark.parametrize("database", names, indirect=True)
    if not modes:
        return dialects
    return lambda test: dialects(pytest.mark.parametrize("mode", modes)(test))


def user_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def insert_user(number: int, at: str = "2025-06-01 10:00:00", status: str = "active", version: int = 1) -> str:
    return (
        "insert into users (id, email, password_hash, first_name, last_name, status, created_at, updated_at, "
        f"created_by, updated_by, version) values ('{user_id(number)}', 'u{number}@example.com', 'secret', 'Ada', "
        f"'Löve', '{status}', '2025-06-01 10:00:00', '{at}', 'app', 'app', {version})"
    )


def update_user(number: int, at: str, status: str, version: int) -> str:
    return (
        f"update users set status = '{status}', updated_at = '{at}', version = {version} where id = '{user_id(number)}'"
    )


def delete_user(number: int, at: str = "2025-06-09 00:00:00") -> list[str]:
    return [
        "delete from simulated_clock",
        f"insert into simulated_clock values ('{at}')",
        f"delete from users where id = '{user_id(number)}'",
    ]


def insert_address(number: int, at: str = "2025-06-01 10:00:00") -> str:
    return (
        "insert into addresses (id, user_id, kind, line_1, city, postal_code, country_code, is_default, created_at, "
        f"updated_at, version) values ({number}, '{user_id(number)}', 'shipping', '1 High Street', 'York', 'YO1', "
        f"'GB', true, '{at}', '{at}', 1)"
    )


def load_shop(warehouse: Target, observed_at: datetime = NOON, *tables: str) -> dict[str, Loaded]:
    """Load these tables, or the few, and check that raw agrees."""
    return load_source("shop", warehouse, observed_at, tables or FEW)


def at(day: int) -> datetime:
    """When a test's load looks at the shop."""
    return datetime(2025, 6, day, 12, tzinfo=UTC)
