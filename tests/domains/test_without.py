"""A clone from which all domains were deleted, folders and entries: it builds, has a site, and passes its tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.project import PROJECT_ROOT
from tests.domains.clones import without_domains
from tests.prove.mutations import copy_project

# What no name of a domain, of a source or of a table may be needed for: the rules of the project, and of the list.
QUICK = " or ".join(
    path.stem for part in ("project", "domains") for path in (PROJECT_ROOT / "tests" / part).glob("*.py")
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The clone; git knows it, as the rules of the project want."""
    root = tmp_path / "clone"
    copy_project(root)
    without_domains(root)
    (root / ".venv").symlink_to(PROJECT_ROOT / ".venv")
    for words in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def run(root: Path, *words: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GRANARY_"))}
    environment = {**own, "TARGET": "dev", "WAREHOUSE_DIR": str(root / "data")}
    done = subprocess.run([sys.executable, "-m", *words], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_without_any_domain_all_works(root: Path) -> None:
    """What `make build`, `make site` and `make test` call, and of the tests the quick ones of the project."""
    said = run(root, "warehouse", "build").splitlines()
    assert any(line.startswith("tests: ") and " 0 failed" in line for line in said)
    assert any(line.startswith("generation 1 is published") for line in said)
    run(root, "reports.site")
    pages = {str(path.relative_to(root / "site")) for path in (root / "site").rglob("*.html")}
    assert {"index.html", "pipeline.html", "tables/core.dim_dates.html", "tables/ops.ops_loads.html"} <= pages
    # All tests are collected, so that one that can't be imported is an error.
    tested = run(root, "pytest", "-q", "-p", "no:cacheprovider", "-m", "not (slow or battery or postgres)", "-k", QUICK)
    assert " passed" in tested and "failed" not in tested
