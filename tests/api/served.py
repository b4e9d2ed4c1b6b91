"""An API that runs as a process of its own over a small warehouse, and what its callers send."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from api import keys
from ingestion.destination.target import current_target
from ingestion.project import PROJECT_ROOT
from tests.ports import free_port
from tests.tiny.test_rights import ask
from tests.warehouses import connected, settings


@dataclass
class Served:
    """A running API. `keys`: of each login; `tenants`: whose rows it reads, all rows where there are none."""

    world: Any
    admin: Mapping[str, str]
    url: str
    log: Path
    process: subprocess.Popen[bytes]
    keys: dict[str, str] = field(default_factory=dict)
    tenants: dict[str, list[str]] = field(default_factory=dict)

    def get(self, path: str, login: str = "api_reporter", headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        """What the API answers to a login."""
        key = {"Authorization": f"Bearer {self.keys[login]}"} if login else {}
        return requests.get(self.url + path, headers={**key, **(headers or {})}, timeout=60, **more)

    def rows(self, path: str, login: str = "api_reporter", **parameters: Any) -> list[dict[str, Any]]:
        """All rows of all pages, which have to be of one generation."""
        answer = self.get(path, login, params=parameters)
        assert answer.status_code == 200, answer.text
        first, rows = answer.json(), []
        page = first
        while True:
            assert page["generation"] == first["generation"]
            rows += page["rows"]
            if page["next"] is None:
                return rows
            answer = self.get(page["next"], login)
            assert answer.status_code == 200, answer.text
            page = answer.json()

    def make_key(self, login: str, days: int = 1) -> str:
        """A new key of a login."""
        tenants = self.tenants[login] if not self.admin else []
        with self.entered():
            return keys.make(current_target(), login, tenants, days, lambda line: None)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The environment of an administrator of the warehouse."""
        with settings({"TARGET": "dev", **self.world.place, **self.admin, "WAREHOUSE_DIR": str(self.world.warehouse)}):
            yield


@contextmanager
def served(
    world: Any, admin: Mapping[str, str], tenants: dict[str, list[str]], more: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Serve what a world has published, with a key for each login. Of the world: its folder, place and warehouse."""
    port, log = free_port(), world.folder / "api.log"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SOURCES__", "PG"))}
    environment = {
        **plain, "TARGET": "dev", **world.place, **admin, "WAREHOUSE_DIR": str(world.warehouse), **(more or {})
    }  # fmt: skip
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "serve", "--port", str(port)],
            cwd=PROJECT_ROOT, env=environment, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    made = Served(world, admin, f"http://127.0.0.1:{port}", log, process, tenants=tenants)
    try:
        for login in tenants:
            made.keys[login] = made.make_key(login)
        for _ in range(600):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            try:
                if requests.get(made.url + "/health", timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield made
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            process.kill()


def ask_keys_for_secrets(admin: Mapping[str, str]) -> None:
    """Have the tests' own server, which lets everybody in, ask keys for their secrets; others have to by themselves."""
    with closing(connected(admin)) as connection:
        [(file,)] = ask(connection, "show hba_file")
        path = Path(str(file))
        if not path.exists():
            return
        rules = re.sub(r"(?m)^.*granary_api_key.*\n", "", path.read_text(encoding="utf-8"))
        own = "local all +granary_api_key scram-sha-256\nhost all +granary_api_key all scram-sha-256\n"
        path.write_text(own + rules, encoding="utf-8")
        ask(connection, "select pg_reload_conf()")
