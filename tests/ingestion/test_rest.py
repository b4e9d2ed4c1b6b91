from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest
import requests

from ingestion.contract.contracts import Column, Source, Table
from ingestion.destination.target import Target
from ingestion.load.extracts import Extract, Reader, SourceError
from ingestion.load.loading import load
from ingestion.readers.rest import Endpoint, Reply, extract
from ingestion.readers.rest.client import Client, Page
from tests.ingestion.loads import NOON, ask

USERS = Endpoint(
    resource="users", entities="people", path="/v1/users", page_parameter="page", size_parameter="page_size",
    since_parameter="modified_since", reply=Reply(records="data", page="page", pages="pages", total="total"), id="id",
    modified_at="updated_at",
)  # fmt: skip
STAFF = replace(USERS, resource="staff", path="/v1/staff")
COLUMNS = (Column("id", "text", required=True), Column("updated_at", "timestamp", required=True))
TABLES = tuple(Table("directory", each.resource, COLUMNS, ("id",), ("id",)) for each in (USERS, STAFF))
DIRECTORY = Source("directory", "raw_directory", TABLES)


def record(name: str) -> dict[str, object]:
    return {"id": name, "updated_at": "2025-06-01T00:00:00Z"}


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    for endpoint in (USERS, STAFF):
        table = reader.contract.table(endpoint.resource)
        yield extract(reader, endpoint, {name: name for name in table.column_names})


def test_interrupted_load_of_two_listings_goes_on_in_each(warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__DIRECTORY__BASE_URL", "http://directory.test")
    monkeypatch.setenv("SOURCES__DIRECTORY__TOKEN", "t")
    asked: list[tuple[str, int]] = []

    def page(self: Client, session: requests.Session, number: int, since: str | None) -> Page:
        asked.append((self.endpoint.path, number))
        if asked == [("/v1/users", 1), ("/v1/users", 2), ("/v1/staff", 1), ("/v1/staff", 2)]:
            raise SourceError("directory: the API breaks off")
        return Page([record(f"{self.endpoint.resource}_{number}")], number, 2, 2)

    monkeypatch.setattr(Client, "page", page)
    with pytest.raises(SourceError, match="breaks off"):
        load(DIRECTORY, extracts, warehouse, NOON)
    asked.clear()
    load(DIRECTORY, extracts, warehouse, NOON)
    assert asked == [("/v1/users", 2), ("/v1/staff", 1), ("/v1/staff", 2)]
    for resource in ("users", "staff"):
        rows = ask(warehouse, f"select id from raw_directory.{resource} order by id")
        assert rows == [(f"{resource}_1",), (f"{resource}_2",)]
    assert not any((warehouse.folder / "pending" / "directory").iterdir())
