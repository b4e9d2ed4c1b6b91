"""The programs that monitoring is made of, started on the loopback for a test: exporters and a real Prometheus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from infra.monitoring.panels import Panel
from ingestion.project import PROJECT_ROOT
from tests.ports import free_port

HERE = PROJECT_ROOT / "infra" / "monitoring"
PROMETHEUS, PROMTOOL = "/usr/bin/prometheus", "/usr/bin/promtool"
POSTGRES_EXPORTER, NODE_EXPORTER = "/usr/bin/prometheus-postgres-exporter", "/usr/bin/prometheus-node-exporter"


def fetched(url: str, seconds: float = 5) -> str:
    with urlopen(url, timeout=seconds) as answer:
        return str(answer.read().decode())


def until(condition: Callable[[], Any], otherwise: Callable[[], str], seconds: float = 30) -> Any:
    """What a condition gives once it is something. What isn't reached yet is none."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except (URLError, ConnectionError, TimeoutError):
            pass
        assert time.monotonic() < end, otherwise()
        time.sleep(0.1)


@contextmanager
def running(command: list[str], url: str, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """A program that answers there, ended with the block. Settings of Granary's are the given ones alone."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "SOURCES__"))}
    with log.open("ab") as said:
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env={**plain, **(environment or {})}, stdout=said, stderr=said
        )
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            return bool(fetched(url))

        until(answers, lambda: log.read_text(encoding="utf-8"))
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def granary_endpoint(environment: Mapping[str, str], log: Path, interval: float = 1) -> Iterator[str]:
    """`make metrics-endpoint`. Yields where it is."""
    port = free_port()
    command = [sys.executable, "-m", "infra.monitoring", "serve", "--port", str(port), "--interval", str(interval)]
    with running(command, f"http://127.0.0.1:{port}/metrics", log, environment):
        yield f"127.0.0.1:{port}"


@contextmanager
def postgres_exporter(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """`make metrics-database`. Yields where it is."""
    port = free_port()
    command = ["make", "--silent", "-o", "setup", "metrics-database", f"PORT={port}"]
    with running(command, f"http://127.0.0.1:{port}/metrics", log, environment):
        yield f"127.0.0.1:{port}"


@contextmanager
def node_exporter(log: Path, folder: Path) -> Iterator[str]:
    """Debian's, which reads metrics from files of a folder, too. Yields where it is."""
    port = free_port()
    command = [NODE_EXPORTER, f"--web.listen-address=127.0.0.1:{port}", f"--collector.textfile.directory={folder}"]
    with running(command, f"http://127.0.0.1:{port}/metrics", log):
        yield f"127.0.0.1:{port}"


@dataclass
class Prometheus:
    """A real one, and how it is asked."""

    url: str

    def ask(self, expr: str) -> list[dict[str, Any]]:
        """The samples that an expression has now."""
        try:
            answer = json.loads(fetched(f"{self.url}/api/v1/query?{urlencode({'query': expr})}"))
        except HTTPError as error:
            raise AssertionError(f"{expr}: {error.read().decode()}") from error
        return list(answer["data"]["result"])

    def firing(self, name: str) -> list[dict[str, Any]]:
        """The alerts of this name that fire."""
        alerts = json.loads(fetched(f"{self.url}/api/v1/alerts"))["data"]["alerts"]
        return [each for each in alerts if each["labels"]["alertname"] == name and each["state"] == "firing"]

    def empty(self, panels: tuple[Panel, ...]) -> list[str]:
        """The panels of which a question has no answer, with the question; variables stand for what there is."""
        found = []
        for panel in panels:
            for expr, _ in panel.queries:
                if not self.ask(expr.replace('="$metric"', '=~".+"')):
                    found.append(f"{panel.title}: {expr}")
        return found


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str], change: Callable[[str], str] = str) -> Iterator[Prometheus]:
    """Prometheus with the project's own configuration, but each second, and of these targets by job.

    change: what a test changes of the rules.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load((HERE / "prometheus.yml").read_text(encoding="utf-8"))
    settings["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    settings["scrape_configs"] = [each for each in settings["scrape_configs"] if each["job_name"] in targets]
    assert {each["job_name"] for each in settings["scrape_configs"]} == set(targets)
    for job in settings["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    rules = (HERE / "rules.yml").read_text(encoding="utf-8")
    (folder / "rules.yml").write_text(change(rules), encoding="utf-8")
    port = free_port()
    command = [
        PROMETHEUS, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with running(command, f"http://127.0.0.1:{port}/-/ready", folder / "prometheus.log"):
        yield Prometheus(f"http://127.0.0.1:{port}")
