from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest
import requests

from ingestion.contract.contracts import read_contract
from ingestion.destination.target import Target
from ingestion.load.extracts import Extract, Reader, SourceError
from ingestion.load.loading import load
from ingestion.readers.rest import extract
from ingestion.readers.rest.client import Client, Page
from ingestion.sources.accounts.source import USERS
from tests.ingestion.loads import NOON, ask

STAFF = replace(USERS, resource="staff", path="/v1/staff")


def record(name: str) -> dict[str, object]:
    at = "2025-06-01T00:00:00Z"
    return {"id": name, "email": f"{name}@example.com", "status": "active", "created_at": at, "updated_at": at}


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    for endpoint in (USERS, STAFF):
        table = reader.contract.table(endpoint.resource)
        yield extract(reader, endpoint, {name: name for name in table.column_names})


def test_interrupted_load_of_two_listings_goes_on_in_each(warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = read_contract("accounts")
    users = accounts.table("users")
    contract = replace(accounts, tables=(users, replace(users, name="staff")))
    monkeypatch.setenv("SOURCES__ACCOUNTS__BASE_URL", "http://accounts.test")
    monkeypatch.setenv("SOURCES__ACCOUNTS__TOKEN", "t")
    asked: list[tuple[str, int]] = []

    def page(self: Client, session: requests.Session, number: int, since: str | None) -> Page:
        asked.append((self.endpoint.path, number))
        if asked == [("/v1/users", 1), ("/v1/users", 2), ("/v1/staff", 1), ("/v1/staff", 2)]:
            raise SourceError("accounts: the API breaks off")
        return Page([record(f"{self.endpoint.resource}_{number}")], number, 2, 2)

    monkeypatch.setattr(Client, "page", page)
    with pytest.raises(SourceError, match="breaks off"):
        load(contract, extracts, warehouse, NOON)
    asked.clear()
    load(contract, extracts, warehouse, NOON)
    assert asked == [("/v1/users", 2), ("/v1/staff", 1), ("/v1/staff", 2)]
    for resource in ("users", "staff"):
        rows = ask(warehouse, f"select id from raw_accounts.{resource} order by id")
        assert rows == [(f"{resource}_1",), (f"{resource}_2",)]
    assert not any((warehouse.folder / "pending" / "accounts").iterdir())
