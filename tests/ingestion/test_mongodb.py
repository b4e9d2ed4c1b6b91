"""A database of documents, from a real server that speaks MongoDB's protocol; it is not MongoDB's own."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from bson.binary import UuidRepresentation
from pymongo import MongoClient
from pymongo.database import Database

from ingestion.contract.contracts import Column, Source, Table
from ingestion.destination.target import Target
from ingestion.load.extracts import Loaded, SourceError
from ingestion.load.loading import load
from ingestion.project import PROJECT_ROOT
from ingestion.readers.mongodb import extracts
from ingestion.readers.mongodb.values import line
from tests.absent import absent
from tests.ingestion.loads import ask, check_balance, counts, rejects
from tests.ports import free_port

COLUMNS = (
    Column("id", "text", source_name="_id", required=True),
    Column("city", "text", source_name="$.ship.city"),
    Column("amount", "numeric(18,4)"),
    Column("items", "text"),
    Column("placed_at", "timestamp", plausible=("1900-01-01", "2100-12-31")),
)


def table(name: str, **meta: Any) -> Table:
    return Table("erp", name, COLUMNS, ("id",), ("id",), meta=meta)


ERP = Source("erp", "raw_erp", (table("orders"), table("people", source_name="Person")))


@contextmanager
def running(request: pytest.FixtureRequest, folder: Path, *options: str) -> Iterator[str]:
    """A server of one's own on the loopback. Gives its address."""
    command = PROJECT_ROOT / ".venv-mongodb" / "bin" / "secantusd-py"
    if not command.exists():
        absent(request, "NO SERVER OF MONGODB'S PROTOCOL IS HERE: THAT READER NOT TESTED (make setup-mongodb)")
    port = free_port()
    process = subprocess.Popen(
        [command, "--host=127.0.0.1", f"--port={port}", f"--storage-path={folder / 'mongodb'}", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    address = f"mongodb://127.0.0.1:{port}/shop"
    try:
        with MongoClient[dict[str, Any]](address, serverSelectionTimeoutMS=30_000) as client:
            client.admin.command("ping")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(request, tmp_path_factory.mktemp("mongodb")) as address:
        yield address


@contextmanager
def database(address: str) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](address) as client:
        shop = client.get_default_database()
        for name in ("orders", "Person"):
            shop.drop_collection(name)
            shop.create_collection(name)
        yield shop


@pytest.fixture
def shop(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database[dict[str, Any]]]:
    monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", server)
    with database(server) as found:
        yield found


def run(warehouse: Target, contract: Source = ERP) -> dict[str, Loaded]:
    loaded = load(contract, extracts, warehouse, datetime.now(UTC))
    check_balance("erp", warehouse)
    return {each.resource: each for each in loaded}


def history(warehouse: Target, document: object) -> list[tuple[Any, ...]]:
    return ask(
        warehouse,
        f"select _operation, amount from raw_erp.orders where id = '{document}' order by _effective_at, _revision",
    )


def test_a_copy_and_then_what_happens(shop: Database[dict[str, Any]], warehouse: Target) -> None:
    shop.orders.insert_many([{"_id": n, "amount": n} for n in range(5)])
    shop.Person.insert_one({"_id": "ann"})
    first = run(warehouse)
    assert {name: counts(each) for name, each in first.items()} == {
        "orders": (5, 5, 0, 0, 0),
        "people": (1, 1, 0, 0, 0),
    }
    assert [each.source_count for each in run(warehouse).values()] == [0, 0]
    shop.orders.update_one({"_id": 1}, {"$set": {"amount": Decimal128("2.5000")}})
    shop.orders.replace_one({"_id": 2}, {"amount": 20})
    shop.orders.delete_one({"_id": 3})
    shop.orders.insert_one({"_id": 7, "amount": 7})
    shop.orders.delete_one({"_id": 7})
    shop.orders.insert_one({"_id": 3, "amount": 33})
    second = run(warehouse)
    assert (counts(second["orders"]), second["orders"].compared) == ((4, 4, 0, 0, 2), False)
    assert [history(warehouse, number) for number in (1, 2, 3, 7)] == [
        [("U", 1), ("U", Decimal("2.5"))],
        [("U", 2), ("U", 20)],
        [("U", 3), ("D", 3), ("U", 33)],
        [("U", 7), ("D", 7)],
    ]
    assert [each.source_count for each in run(warehouse).values()] == [0, 0]


def test_what_happens_while_it_is_copied_is_not_missed(
    shop: Database[dict[str, Any]], warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.orders.insert_many([{"_id": n, "amount": n} for n in range(3)])

    def meanwhile(document: Any) -> bytes:
        if document["d"]["_id"] == 0 and document["t"] is None:
            shop.orders.update_one({"_id": 0}, {"$set": {"amount": 100}})
            shop.orders.delete_one({"_id": 2})
        return line(document)

    monkeypatch.setattr("ingestion.readers.mongodb.reader.line", meanwhile)
    run(warehouse)
    latest = """
        select id, _operation, amount from raw_erp.orders
        qualify row_number() over (partition by id order by _effective_at desc, _revision desc) = 1 order by id"""
    assert ask(warehouse, latest) == [("0", "U", 100), ("1", "U", 1), ("2", "D", 2)]
    monkeypatch.undo()


def test_values_of_every_type(shop: Database[dict[str, Any]], warehouse: Target) -> None:
    known = uuid.UUID("12345678-1234-5678-1234-567812345678")
    number = ObjectId("65f0a0000000000000000001")
    shop.orders.insert_many(
        [
            {"_id": number, "amount": Decimal128("12345678901234.5678"), "ship": {"city": "Köln"},
             "placed_at": datetime(2024, 5, 1, 10, tzinfo=UTC), "items": [{"n": Int64(2**60)}, None, True, 0.1]},
            {"_id": "b", "amount": 2.5, "items": Binary.from_uuid(known, UuidRepresentation.STANDARD)},
            {"_id": "c", "amount": "1.00", "items": b"\x00\x01", "placed_at": "2024-05-01T12:00:00+02:00"},
            {"_id": "d", "amount": float("nan")},
            {"_id": "e", "amount": Decimal128("Infinity")},
        ]
    )  # fmt: skip
    noon = datetime(2024, 5, 1, 10, tzinfo=UTC).replace(tzinfo=None)
    assert counts(run(warehouse)["orders"]) == (5, 3, 0, 2, 0)
    assert ask(warehouse, "select id, city, amount, items, placed_at from raw_erp.orders order by id") == [
        (str(number), "Köln", Decimal("12345678901234.5678"), '[{"n":1152921504606846976},null,true,0.1]', noon),
        ("b", None, Decimal("2.5"), str(known), None),
        ("c", None, Decimal(1), "AAE=", noon),
    ]
    assert [row[2] for row in rejects(warehouse, "erp")] == [["type:amount"], ["type:amount"]]


def test_a_collection_that_was_dropped_is_compared_and_then_followed_again(
    shop: Database[dict[str, Any]], warehouse: Target
) -> None:
    shop.orders.insert_many([{"_id": n, "amount": n} for n in range(20)])
    run(warehouse)
    shop.drop_collection("orders")
    shop.orders.insert_many([{"_id": n, "amount": n if n != 5 else 50} for n in range(19)])
    again = run(warehouse)["orders"]
    assert (counts(again), again.compared) == ((19, 1, 18, 0, 1), True)
    assert again.notes == (
        "erp: orders is compared as a whole: it was the subject of drop; states since then are not known",
    )
    assert (history(warehouse, 5), history(warehouse, 19)) == ([("U", 5), ("U", 50)], [("U", 19), ("D", 19)])
    shop.orders.update_one({"_id": 6}, {"$set": {"amount": 60}})
    followed = run(warehouse)["orders"]
    assert (counts(followed), followed.compared) == ((1, 1, 0, 0, 0), False)


def test_a_server_without_streams_is_compared(
    request: pytest.FixtureRequest, tmp_path: Path, warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(request, tmp_path, "--standalone") as address, database(address) as shop:
        monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", address)
        shop.orders.insert_many([{"_id": n, "amount": n} for n in range(20)])
        first = run(warehouse)["orders"]
        assert (counts(first), first.compared) == ((20, 20, 0, 0, 0), True)
        shop.orders.update_one({"_id": 1}, {"$set": {"amount": 10}})
        shop.orders.delete_one({"_id": 2})
        assert counts(run(warehouse)["orders"]) == (19, 1, 18, 0, 1)
        shop.orders.delete_many({"_id": {"$gt": 5}})
        with pytest.raises(SourceError, match="14 of 19 known orders are gone from the source"):
            run(warehouse)
        monkeypatch.setenv("SOURCES__ERP__FOLLOW", "stream")
        with pytest.raises(SourceError, match=r"has no change streams, .* SOURCES__ERP__FOLLOW=auto"):
            run(warehouse)


def test_what_keeps_a_database_from_being_read(
    shop: Database[dict[str, Any]], warehouse: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = replace(ERP, tables=(*ERP.tables, table("refunds")))
    with pytest.raises(SourceError, match=r"there is no collection refunds in shop, which has Person, orders"):
        run(warehouse, lacking)
    keyed = replace(ERP, tables=(replace(table("orders"), key=("city",)),))
    with pytest.raises(SourceError, match="the key has to be the one column with source_name: _id"):
        run(warehouse, keyed)
    monkeypatch.setenv("SOURCES__ERP__FOLLOW", "tail")
    with pytest.raises(SourceError, match="SOURCES__ERP__FOLLOW is 'tail': use one of auto, stream, compare"):
        run(warehouse)
    monkeypatch.delenv("SOURCES__ERP__FOLLOW")
    monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", "mongodb://ann:hush@127.0.0.1/")
    with pytest.raises(SourceError, match="is no address of a MongoDB database") as error:
        run(warehouse)
    assert "hush" not in str(error.value)
    monkeypatch.setattr("ingestion.readers.mongodb.reader._TIMEOUT_MS", 300)
    monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", "mongodb://ann:hush@127.0.0.1:9/shop")
    began = time.monotonic()
    with pytest.raises(SourceError, match="MongoDB can't be read: ") as error:
        run(warehouse)
    assert "hush" not in str(error.value)
    assert time.monotonic() - began < 20
