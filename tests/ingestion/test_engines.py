"""What the readers of files and of documents load is the same in raw on either engine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ingestion.contract.contracts import META_COLUMNS, Source
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.load.loading import load
from ingestion.readers import files
from tests.ingestion.loads import NOON, ask
from tests.ingestion.test_files import contract, table
from tests.warehouses import as_environment

ORDERS = table(
    "orders", {"holds": "changes", "format": "ndjson"},
    {"id": "text", "amount": "numeric(18,4)", "updated_at": "timestamp"}, ["id"],
)  # fmt: skip
STOCK = table(
    "stock",
    {"glob": "stock_*.csv", "holds": "table", "period": "file_date"},
    {"id": "text", "pieces": "bigint"},
    ["id"],
)
SALES = table(
    "sales", {"glob": "sales_*.csv", "period": "file_date", "delimiter": ";"},
    {"file_date": "date", "file_series": "text", "line": ("bigint", {"numbered_within": []}), "price": "numeric(18,2)"},
    ["file_date", "file_series", "line"], decimal_separator=",",
)  # fmt: skip


def raw(target: Target, source: Source, postgres: dict[str, str]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a source's tables, but for when and by which load they came."""
    meta = [name for name in META_COLUMNS if name not in ("_observed_at", "_load_id")]
    columns = {each.name: [*each.column_names, *meta] for each in source.tables} | {"rejects": ["resource", "reasons"]}
    found = {}
    for name, listed in columns.items():
        query = f"select {', '.join(listed)} from {source.schema}.{name}"
        if target.engine == "duckdb":
            rows = ask(target, query)
        else:
            with psycopg2.connect(**postgres) as connection, connection.cursor() as cursor:
                cursor.execute(query)
                rows = cursor.fetchall()
            connection.close()
        found[name] = sorted(rows, key=lambda row: json.dumps(row, default=str))
    return found


@pytest.mark.postgres
def test_files_are_loaded_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_postgres_database: Callable[[], dict[str, str]]
) -> None:
    project, folder, postgres = tmp_path / "project", tmp_path / "files", new_postgres_database()
    contract(project, ORDERS, STOCK, SALES)
    folder.mkdir()
    monkeypatch.setenv("SOURCES__PLANT__BUCKET_URL", str(folder))
    for name, value in as_environment(postgres).items():
        monkeypatch.setenv(name, value)
    targets = [
        Target("dev", "duckdb", tmp_path / "one", project=project),
        Target("prod", "postgres", tmp_path / "other", project=project),
    ]
    source = read_contract("plant", project)

    def deliver(name: str, text: str, hour: int) -> None:
        (folder / name).write_text(text, encoding="utf-8")
        moment = datetime(2024, 6, 1, hour, tzinfo=UTC).timestamp()
        os.utime(folder / name, (moment, moment))

    def loaded(hour: int) -> list[list[tuple[str, int, int, int, int]]]:
        found = []
        for target in targets:
            results = load(source, files.extracts, target, NOON + timedelta(hours=hour))
            found.append([(each.resource, each.loaded, each.known, each.rejected, each.deleted) for each in results])
        return found

    deliver("orders_1.ndjson", '{"id": "ä", "amount": 1.25, "updated_at": "2024-05-01T10:00:00+02:00"}\n{oops\n', 1)
    deliver("stock_2024-05-01.csv", "id,pieces\na,1\nb,2\n", 1)
    deliver("sales_2024-05-01.csv", "price\n1,50\n2\n", 1)
    one, other = loaded(0)
    assert one == other == [
        ("files", 3, 0, 0, 0), ("orders", 1, 0, 1, 0), ("stock", 2, 0, 0, 0), ("sales", 2, 0, 0, 0)
    ]  # fmt: skip
    deliver(
        "orders_1.ndjson", '{"id": "ä", "amount": 1.25, "updated_at": "2024-05-01T10:00:00+02:00"}\n{"id": "b"}\n', 2
    )
    deliver("stock_2024-05-02.csv", "id,pieces\na,1\nb,3\nc,4\n", 2)
    deliver("sales_2024-05-01.csv", "price\n1,50\n", 2)
    one, other = loaded(1)
    assert one == other == [
        ("files", 3, 0, 0, 0), ("orders", 1, 1, 0, 0), ("stock", 2, 1, 0, 0), ("sales", 1, 0, 0, 1)
    ]  # fmt: skip
    one, other = loaded(2)
    assert one == other
    assert all(result[1:] == (0, 0, 0, 0) for result in one)
    rows = [raw(target, source, postgres) for target in targets]
    assert rows[0] == rows[1]
    assert len(rows[0]["stock"]) == 4
