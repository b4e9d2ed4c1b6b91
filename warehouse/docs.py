"""dbt's own reports: the docs site as one static page, and the freshness of sources."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ingestion.contracts import PROJECT_ROOT
from ingestion.destination import Target
from warehouse import dbt
from warehouse.errors import BuildError

SITE = PROJECT_ROOT / "site"


def write_docs(target: Target, say: Callable[[str], None]) -> None:
    """Write the docs site, one page that needs no server, to `site/index.html`.

    It speaks of the tables by the names that readers know.

    Raises:
        BuildError: nothing has been built yet, or dbt fails.
    """
    if target.engine == "duckdb" and not target.build_file.exists():
        raise BuildError(f"there is no warehouse in {target.folder} yet: run `make build` first")
    outcome = dbt.run(target, ["docs", "generate", "--static", "--vars", "{published_names: true}"])
    page = Path(dbt.target_path(target)) / "static_index.html"
    if not outcome.success or not page.exists():
        raise BuildError("dbt could not write the docs; look in logs/dbt.log")
    SITE.mkdir(exist_ok=True)
    shutil.copyfile(page, SITE / "index.html")
    say(f"the docs are in {SITE / 'index.html'}: open it in a browser")


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
