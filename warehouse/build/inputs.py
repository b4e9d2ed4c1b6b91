"""What dbt makes a project of: its files, dbt itself, what the environment says. As one fingerprint of all of it.

While that is the same, so is what the ledger knows of the project: a build that finds nothing new needs no dbt, whose
import alone takes longer than the rest, and the selects of tests that were compiled once need not be compiled again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ingestion.destination.target import Target, libpq
from ingestion.project import parsed_yaml
from warehouse.fingerprints import ENVIRONMENT, versions

SETTINGS = ("dbt_project.yml", "profiles.yml")
_PATHS = ("model", "macro", "seed", "snapshot", "test", "analysis", "docs")
# What changes nothing about what the warehouse is made of: where it lies, what a target says besides, what dbt leaves
# out or writes down.
_OTHERS = {
    "WAREHOUSE_DIR", "GRANARY_MARTS_FILE", "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "USER", "TARGET",
    "SANDBOX_NAME", "DBT_THREADS", "DUCKDB_MEMORY_LIMIT", "DBT_TARGET_PATH", "DBT_LOG_PATH",
    "DBT_EXCLUDE_RESOURCE_TYPES", "DBT_WRITE_JSON", "DBT_SEND_ANONYMOUS_USAGE_STATS",
}  # fmt: skip


def project_fingerprint(target: Target) -> str:
    """A fingerprint of every file that dbt reads, of the variables that they ask for, of dbt and of this package.

    It is the same on every machine that has the same, wherever it has it.
    """
    digest = hashlib.sha256()
    asked: set[str] = set()
    for base, path in _files(target.project):
        text = path.read_bytes()
        digest.update(f"{path.relative_to(base)} {len(text)} ".encode() + text)
        asked |= set(ENVIRONMENT.findall(text.decode("utf-8", "replace")))
    asked |= {name for name in os.environ if name.startswith("DBT_")}
    told = [f"{name}={os.environ.get(name)}" for name in sorted(asked - _OTHERS)]
    told += versions()
    told += [target.name, target.prefix, *([libpq()["dbname"]] if target.engine == "postgres" else [])]
    digest.update("\n".join(told).encode())
    return digest.hexdigest()


def _files(project: Path) -> Iterator[tuple[Path, Path]]:
    """Each file after the folder that its name begins in."""
    given = parsed_yaml((project / SETTINGS[0]).read_text(encoding="utf-8"))
    folders = {folder for kind in _PATHS for folder in given.get(f"{kind}-paths", [f"{kind}s"])}
    yield from ((project, project / name) for name in SETTINGS)
    package = Path(__file__).parents[1]
    for base, folder in (*((project, project / each) for each in sorted(folders)), (package, package)):
        for root, inner, names in os.walk(folder):
            inner[:] = sorted(name for name in inner if name != "__pycache__")
            yield from ((base, Path(root) / name) for name in sorted(names) if not name.startswith("."))
