"""What the endpoint and the file say of a warehouse, on both engines, and what they say when it is away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestion.project import PROJECT_ROOT
from tests.absent import package
from tests.infra.monitoring.systems import (
    NODE_EXPORTER,
    PROMTOOL,
    fetched,
    granary_endpoint,
    node_exporter,
    running,
    until,
)
from tests.ports import free_port
from tests.tiny.club import Club
from tests.tiny.conftest import both_engines
from warehouse.errors import BuildError

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def environment(club: Club) -> dict[str, str]:
    return {"TARGET": "dev", **club.environment, "WAREHOUSE_DIR": str(club.warehouse)}


def parsed(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def command(club: Club, *words: str) -> subprocess.CompletedProcess[str]:
    plain = {name: each for name, each in os.environ.items() if not name.startswith(("PG", "SOURCES__"))}
    return subprocess.run(
        [sys.executable, "-m", "infra.monitoring", *words], cwd=PROJECT_ROOT, env={**plain, **environment(club)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.slow
@both_engines
def test_what_a_warehouse_says(grown: Club, tmp_path: Path) -> None:
    file = tmp_path / "granary.prom"
    wrote = command(grown, "textfile", str(file))
    assert wrote.returncode == 0, wrote.stderr
    assert wrote.stdout.count("generation 2: ") == 1
    again = command(grown, "textfile", str(file))
    assert again.returncode == 0 and again.stdout.startswith(f"{file}: "), "it is looked at once"
    assert list(tmp_path.glob("granary*")) == [file]
    text = file.read_text(encoding="utf-8")
    samples = parsed(text)
    assert value(samples, "granary_up") == 1
    assert value(samples, "granary_generation_number") == 2
    assert value(samples, "granary_runs_total", command="build", outcome="published") == 2
    assert value(samples, "granary_last_run_success", command="build") == 1
    assert value(samples, "granary_steps_total", step="publishing") == 2
    assert 0 < value(samples, "granary_last_step_seconds", step="building") < 60
    # Eleven versions of members, fifteen visits, in two loads of each.
    for resource, records in (("members", 11), ("visits", 15)):
        table = {"source": "club", "resource": resource}
        assert value(samples, "granary_records_read_total", **table) == records
        assert value(samples, "granary_records_loaded_total", **table) == records
        assert value(samples, "granary_records_rejected_total", **table) == 0
        assert value(samples, "granary_loads_total", **table) == 2
        assert value(samples, "granary_last_load_timestamp_seconds", **table) == 1738368000  # 2025-02-01
    assert value(samples, "granary_newest_record_timestamp_seconds", source="club", resource="visits") == 1737540000
    assert value(samples, "granary_source_late_after_seconds", source="club", owner="the club") == 129600
    assert value(samples, "granary_relation_rows", relation="fct_visits") == 15
    assert value(samples, "granary_relation_bytes", schema="tiny", relation="fct_visits") > 0
    late = {"key": "late source club", "owner": "the club", "runbook": "docs/runbooks/late-source.md"}
    assert value(samples, "granary_alert", **late) == 1
    assert value(samples, "granary_alert_since_timestamp_seconds", key="late source club") == 1738368000 + 129600
    assert value(samples, "granary_build_running") == 0
    files = {labels for name, labels in samples if name == "granary_file_bytes"}
    assert bool(files) == (not grown.engine)
    # A metric that nobody's rows are in, and few of them.
    assert "@" not in text and "Town" not in text and len(samples) < 400
    labels = {name for _, labels in samples for name, _ in labels}
    assert labels <= {
        "command", "outcome", "step", "source", "resource", "owner", "dimension", "status", "relation", "schema",
        "key", "runbook", "file",
    }  # fmt: skip


def test_a_run_that_failed_and_one_that_succeeds_again(grown: Club, tmp_path: Path) -> None:
    file, moved = tmp_path / "granary.prom", grown.delivered.rename(grown.delivered.with_name("elsewhere"))
    with pytest.raises(BuildError):
        grown.build()
    assert command(grown, "textfile", str(file)).returncode == 0
    samples = parsed(file.read_text(encoding="utf-8"))
    assert value(samples, "granary_last_run_success", command="build") == 0
    assert value(samples, "granary_runs_total", command="build", outcome="failed") == 1
    failed = {"key": "failed run", "owner": "data platform", "runbook": "docs/runbooks/failed-run.md"}
    assert value(samples, "granary_alert", **failed) == 1
    assert str(moved) not in file.read_text(encoding="utf-8")


def test_the_endpoint_holds_no_file_and_follows_what_is_published(grown: Club, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with granary_endpoint(environment(grown), log, interval=0.2) as address:

        def samples() -> Samples:
            return parsed(fetched(f"http://{address}/metrics", 1))

        def generation() -> float | None:
            return samples().get(("granary_generation_number", frozenset()))

        until(lambda: generation() == 2, log.read_text)
        grown.visit(99, "01-30 10:00", 1)
        grown.deliver()
        grown.build(observed_at="02-02")
        until(lambda: generation() == 3, log.read_text)
        # The warehouse goes away, and comes back.
        moved = grown.warehouse.rename(grown.warehouse.with_name("away"))
        until(lambda: value(samples(), "granary_up") == 0, log.read_text)
        assert len(samples()) == 1
        moved.rename(grown.warehouse)
        until(lambda: value(samples(), "granary_up") == 1, log.read_text)
    said = log.read_text(encoding="utf-8").splitlines()
    assert len([line for line in said if line.startswith("granary_up 0: nothing is published in ")]) == 1
    assert said.count("granary_up 1: the warehouse answers again") == 1


def test_between_two_looks_no_file_of_the_warehouse_is_open(grown: Club, tmp_path: Path) -> None:
    assert command(grown, "published").returncode == 0
    port = free_port()
    program = [sys.executable, "-m", "infra.monitoring", "serve", "--port", str(port), "--interval", "600"]
    with running(program, f"http://127.0.0.1:{port}/metrics", tmp_path / "log", environment(grown)):
        url = f"http://127.0.0.1:{port}/metrics"
        until(lambda: "granary_up 1.0" in fetched(url), (tmp_path / "log").read_text)
        found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(port) in _read(path)]
        assert len(found) == 1
        time.sleep(0.5)
        opened = [str(each.resolve()) for each in (found[0].parent / "fd").iterdir()]
        assert opened and not [name for name in opened if name.endswith(".duckdb")]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


@contextmanager
def silent_server() -> Iterator[int]:
    """A port where somebody takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_does_not_answer_holds_no_scrape_up(tmp_path: Path) -> None:
    with silent_server() as port:
        away = {"TARGET": "prod", "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "nobody", "PGDATABASE": "none"}
        with granary_endpoint({**away, "WAREHOUSE_DIR": str(tmp_path)}, tmp_path / "log") as address:
            for _ in range(5):
                began = time.monotonic()
                assert parsed(fetched(f"http://{address}/metrics", 1)) == {("granary_up", frozenset()): 0}
                assert time.monotonic() - began < 1


def test_node_exporter_reads_the_file(grown: Club, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    package(request, NODE_EXPORTER, "prometheus-node-exporter", "METRICS AS A FILE")
    folder = tmp_path / "textfiles"
    folder.mkdir()
    assert command(grown, "textfile", str(folder / "granary.prom")).returncode == 0
    promtool = package(request, PROMTOOL, "prometheus", "METRICS AS A FILE")
    with (folder / "granary.prom").open(encoding="utf-8") as text:
        checked = subprocess.run([promtool, "check", "metrics"], stdin=text, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, ""), "names are as Prometheus' own are"
    with node_exporter(tmp_path / "log", folder) as address:
        samples = parsed(fetched(f"http://{address}/metrics"))
    assert value(samples, "granary_generation_number") == 2
    assert value(samples, "node_textfile_scrape_error") == 0


def test_messages(grown: Club, tmp_path: Path) -> None:
    nowhere = command(grown, "textfile", str(tmp_path / "nowhere" / "granary.prom"))
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith("FAILED: ") and "say FILE=… in a folder that is yours" in nowhere.stderr
    empty = Club(tmp_path / "empty")
    file = tmp_path / "granary.prom"
    away = command(empty, "textfile", str(file))
    assert away.returncode == 1 and "granary_up 0: nothing is published in " in away.stdout
    assert parsed(file.read_text(encoding="utf-8")) == {("granary_up", frozenset()): 0}
    unpublished = command(empty, "published")
    assert unpublished.returncode == 1 and "run `make build` first" in unpublished.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = command(grown, "serve", "--port", str(port))
    assert refused.returncode == 1
    assert refused.stderr == f"FAILED: port {port} is taken: `make metrics-endpoint PORT={port + 1}`\n"
    assert command(grown, "serve", "--interval", "0").returncode == 2
