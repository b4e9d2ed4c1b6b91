"""The API that is measured: over a club of as many visits as wanted, as `make api` starts it, with a reporter's key."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg2

from bench.server import LOGINS, PASSWORD, Server
from ingestion.project import PROJECT_ROOT

DATABASE = "bench_api"
READY_SECONDS = 300
REPORTER = next(login for login, (role, _) in LOGINS.items() if role == "reporter")


@dataclass(frozen=True)
class Api:
    """A running API. `connect`: opens a plain connection as the login that the key is for; `seconds`: for clients."""

    engine: str
    port: int
    process: int
    key: str
    rows: int
    connect: Callable[[], Any]
    seconds: float


def deliver(file: Path, rows: int) -> None:
    """Two years of visits, in the form that the club's source has."""
    duckdb.sql(f"""
        copy (
            select
                'U' as op, 0 as revision, moments.visited_at as "at", moments.id,
                1 + moments.id % 5000 as member_id, moments.visited_at,
                hash(moments.id) % 1000000 / 100 as amount
            from (
                select id, timestamp '2024-01-01' + to_seconds(id * (730 * 86400 // {rows})) as visited_at
                from range(1, {rows} + 1) as numbers(id)
            ) as moments
        ) to '{file}' (header)""")


def built(environment: Mapping[str, str], engine: str) -> str:
    """Build it, as production does, and make a key. Returns the key."""
    if engine == "postgres":
        _run(environment, "infra", "migrate")
        _run({**environment, "LOGIN_PASSWORD": PASSWORD}, "infra", "login", REPORTER, "--role", "reporter")
    _run(environment, "warehouse", "build")
    return _run(environment, "api", "key", "--login", REPORTER).splitlines()[-1]


def _run(environment: Mapping[str, str], *command: str) -> str:
    """What a command of Granary prints. Raises RuntimeError where it fails."""
    ended = subprocess.run(
        [sys.executable, "-m", *command], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {ended.stdout[-500:]} {ended.stderr[-500:]}")
    return ended.stdout


@contextmanager
def served(environment: Mapping[str, str], log: Path) -> Iterator[tuple[int, int]]:
    """The API as `make api` starts it. Gives its port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "serve", "--port", str(port)],
            env={**environment, "API__REQUESTS": "100000000"}, cwd=PROJECT_ROOT, stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        until = time.monotonic() + READY_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the API doesn't answer: {log.read_text(encoding='utf-8')[-500:]}")
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=READY_SECONDS)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
    except OSError:
        return False
    return True


def connecting(engine: str, folder: Path, server: Server | None) -> Callable[[], Any]:
    """Opens a connection as the login that the key is for."""
    if engine == "duckdb" or server is None:
        opened = duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True)
        return opened.cursor

    def connect() -> Any:
        connection = psycopg2.connect(host=server.host, dbname=DATABASE, user=REPORTER, password=PASSWORD)
        connection.autocommit = True
        return connection

    return connect
