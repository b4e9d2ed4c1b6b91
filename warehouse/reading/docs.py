"""dbt's own reports: the docs site as one static page, and the freshness of sources."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ingestion.destination.target import Target
from ingestion.project import PROJECT_ROOT
from warehouse import dbt
from warehouse.errors import BuildError
from warehouse.reading.query import require_published

SITE = PROJECT_ROOT / "site"


def make_artifacts(target: Target) -> Path:
    """Dbt's manifest, catalog and docs page (`static_index.html`), with the names that readers know.

    Returns:
        The folder that they are in.

    Raises:
        BuildError: nothing is published yet, or dbt fails.
    """
    require_published(target)
    outcome = dbt.run(target, ["docs", "generate", "--static"], published=True)
    folder = Path(dbt.target_path(target, published=True))
    if not outcome.success or not (folder / "static_index.html").exists():
        raise BuildError("dbt could not write the docs; look in logs/dbt.log")
    return folder


def write_docs(target: Target, say: Callable[[str], None]) -> None:
    """Write dbt's docs as one page that needs no server, to `site/docs/index.html`.

    Raises:
        BuildError: nothing is published yet, or dbt fails.
    """
    page = SITE / "docs" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(make_artifacts(target) / "static_index.html", page)
    say(f"dbt's docs are in {page}: open it in a browser")


def check_freshness(target: Target, say: Callable[[str], None]) -> None:
    """Say how old the newest record of each source is, by the limits in its contract.

    Raises:
        BuildError: a source is older than its contract's error limit.
    """
    outcome = dbt.run(target, ["source", "freshness"], progress=say)
    for line in outcome.warnings:
        say(f"warning: {line}")
    if not outcome.success:
        raise BuildError("a source is too old or could not be read: " + "; ".join(outcome.failures))
    say(
        f"{outcome.passed + outcome.built + outcome.warned} tables looked at, "
        f"{outcome.warned} older than they should be"
    )
