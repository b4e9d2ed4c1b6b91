"""Micro-batches: what is committed at the source comes to the mart by itself, once, until somebody ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from ingestion.destination.target import Target
from ingestion.project import PROJECT_ROOT
from tests.ingestion.test_replication import Shop, complete_rows, followed, logical_server  # noqa: F401 (fixtures)
from tests.ingestion.test_shop import update_user, user_id
from warehouse.build.follow import follow
from warehouse.errors import BuildError

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def published(warehouse: Path, query: str) -> list[tuple[object, ...]]:
    if not (warehouse / "warehouse.duckdb").exists():
        return []
    with duckdb.connect(str(warehouse / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_changes_come_to_the_mart_by_themselves(followed: Shop, tmp_path: Path) -> None:  # noqa: F811
    complete_rows(followed)
    warehouse, log = tmp_path / "warehouse", tmp_path / "log"
    environment = {
        **os.environ, **followed.environment, "TARGET": "dev", "WAREHOUSE_DIR": str(warehouse),
        "DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test",
    }  # fmt: skip
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "warehouse", "follow", "shop", "--seconds", "0.5"],
            cwd=PROJECT_ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
    status = f"select customer_status from commerce.dim_customers where customer_id = '{user_id(1)}' and is_current"

    def wait_for(value: str) -> None:
        until = time.monotonic() + 240
        while published(warehouse, status) != [(value,)]:
            assert process.poll() is None and time.monotonic() < until, log.read_text(encoding="utf-8")
            time.sleep(0.5)

    try:
        wait_for("active")
        followed.run(update_user(1, "2025-06-02 00:00:00", "inactive", 2))
        followed.run(update_user(1, "2025-06-03 00:00:00", "suspended", 3))
        wait_for("suspended")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    said_lines = log.read_text(encoding="utf-8").splitlines()
    batches = [line for line in said_lines if line.startswith("generation ")]
    assert said_lines[0].startswith("following shop") and len(batches) >= 2
    versions = [int(re.findall(r"([\d,]+) versions", line)[0].replace(",", "")) for line in batches]
    assert versions[0] == 10 and sum(versions[1:]) == 2
    assert re.search(r"; \d+ to \d+ s after they were made$", batches[1])
    history = f"select count(*) from commerce.dim_customers where customer_id = '{user_id(1)}'"
    assert published(warehouse, history) == [(3,)], "the state in between is there too"


def test_it_gives_up_where_nothing_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("dev", "duckdb", tmp_path / "warehouse")
    with pytest.raises(BuildError, match="there is no source shops: follow one of accounts, "):
        follow(target, "shops", 0, None, lambda line: None)
    monkeypatch.setenv("TARGET", "dev")
    monkeypatch.setenv("WAREHOUSE_DIR", str(target.folder))
    monkeypatch.setenv("SOURCES__SHOP__CREDENTIALS", f"sqlite:///{tmp_path}/nothing.sqlite")
    said: list[str] = []
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with pytest.raises(BuildError, match="5 batches failed one after the other, the last: shop: there is no"):
            follow(target, "shop", 0, None, said.append)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            signal.signal(number, handler)
    assert len([line for line in said if line.startswith("a batch failed: shop")]) == 4
