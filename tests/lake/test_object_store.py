"""A lake whose files lie in an object store: moto's server, a mock that speaks S3, since no package has a real one."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from ingestion.project import PROJECT_ROOT
from tests.absent import absent
from tests.ports import free_port
from tests.tiny.club import Club
from warehouse.database import open_database
from warehouse.publish.compaction import compact, stored


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The environment that names a store with a bucket."""
    command = PROJECT_ROOT / ".venv-objectstore" / "bin" / "moto_server"
    if not command.exists():
        absent(
            request, "NO SERVER THAT SPEAKS S3 IS HERE: A LAKE IN AN OBJECT STORE NOT TESTED (make setup-objectstore)"
        )
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [command, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/company", method="PUT"), timeout=5).close()
                break
            except urllib.error.URLError:
                assert process.poll() is None, "the server ended before it answered"
                time.sleep(0.1)
        yield {
            "LAKE_URL": "s3://company/granary",
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "builder",
            "AWS_SECRET_ACCESS_KEY": "the builder's own",
            "AWS_REGION": "eu-west-2",
        }
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_lake_in_an_object_store(store: dict[str, str], tmp_path: Path) -> None:
    club = Club(tmp_path / "club", {"TARGET": "lake", **store})
    club.member(1, "01-01")
    club.visit(1, "01-02 10:00")
    club.deliver()
    club.build(tested=True)
    club.visit(2, "01-03 10:00")
    club.deliver()
    club.build()
    assert club.published() == club.expected()
    assert not list((tmp_path / "club").rglob("*.parquet"))
    with club.entered():
        target = current_target()
        compact(target, lambda line: None, nothing_before=True)
        with open_database(target) as database:
            assert target.lake
            assert stored(database, target.lake).files > 5
    assert club.published() == club.expected()
