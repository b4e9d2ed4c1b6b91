"""A warehouse of its own on the cluster, in which a drill may do what it likes; it is gone afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.cluster import Cluster, primary_of, run_sql
from infra.migrate import HEAD, migrate
from ingestion.domains import domains
from ingestion.environment import variables
from ingestion.project import PROJECT_ROOT
from warehouse.errors import BuildError

DATABASE, SYSTEM = "granary_drill", "granary_drill_system"


@dataclass
class Scratch:
    """A migrated warehouse and an empty database for a source beside it.

    folder: for files, gone afterwards.
    settings: the environment of commands that work on the warehouse; a drill adds its sources.
    """

    folder: Path
    settings: dict[str, str]

    def begin(self, module: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a command of the project, in a session of its own."""
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "SOURCES__", "PRIVACY__"))
        }
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=PROJECT_ROOT, env={**plain, **self.settings, **more},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, module: str, *arguments: str, **more: str) -> str:
        """Run a command of the project. Returns its output, without what it said of errors.

        Raises:
            BuildError: it failed, with its last line.
        """
        process = self.begin(module, *arguments, **more)
        said, errors = process.communicate()
        if process.returncode:
            raise BuildError(f"{module} {' '.join(arguments[:1])} failed: {last_line(said, errors)}")
        return said

    @contextmanager
    def during(self, module: str, *arguments: str, **more: str) -> Iterator[tuple[dict[str, Any], Callable[[], str]]]:
        """Have a command run that works until its standard input closes.

        Yields:
            What its first line says, which is JSON, and a function that ends it and returns the rest of its output.

        Raises:
            BuildError: it failed.
        """
        process = self.begin(module, *arguments, **more)

        def end() -> str:
            said, errors = process.communicate()
            if process.returncode:
                raise BuildError(f"{module} {' '.join(arguments[:1])} failed: {last_line(said, errors)}")
            return said

        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline() or end() or "{}"), end
        finally:
            if process.poll() is None:
                process.communicate()


def companies(part: str = "__init__") -> list[str]:
    """The domains that are on and have a simulated company, with such a module."""
    there = PROJECT_ROOT / "ingestion" / "demo"
    return [each.name for each in domains() if (there / each.name / f"{part}.py").is_file()]


def company(part: str = "__init__") -> str:
    """The first of them. Raises BuildError where there is none."""
    if not (found := companies(part)):
        raise BuildError("no domain that is on has a simulated company for this drill")
    return found[0]


def last_line(said: str, errors: str) -> str:
    """The last thing that a command told of what went wrong; of an error its own line, not the hints below it."""
    lines = (errors.strip() or said.strip()).splitlines() or ["it said nothing"]
    return next((line for line in reversed(lines) if _ERROR.match(line)), lines[-1])


_ERROR = re.compile(r"(FAILED|[a-z_]\w*(\.\w+)+|\w+(Error|Exception)): ")


@contextmanager
def scratch(cluster: Cluster) -> Iterator[Scratch]:
    """Make both databases on the primary, and take them away at the end."""
    primary = primary_of(cluster)
    folder = Path(tempfile.mkdtemp(prefix="granary_drill_"))
    server = cluster.environment(primary) | {"PGDATABASE": DATABASE, "TARGET": "prod"}
    for name in (DATABASE, SYSTEM):
        run_sql(cluster, primary, f"drop database if exists {name} with (force)")
        run_sql(cluster, primary, f"create database {name}")
    try:
        with variables(server):
            migrate(HEAD, lambda line: None)
        yield Scratch(folder, {**server, "WAREHOUSE_DIR": str(folder / "warehouse")})
    finally:
        slots = f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '{SYSTEM}'"
        run_sql(cluster, primary, slots)
        for name in (DATABASE, SYSTEM):
            run_sql(cluster, primary, f"drop database if exists {name} with (force)")
        shutil.rmtree(folder, ignore_errors=True)
