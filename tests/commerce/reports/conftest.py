"""The site of a simulated company's warehouse."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from reports.site.build import build_site
from tests.warehouses import settings


@pytest.fixture(scope="session")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make site` writes."""
    folder = tmp_path_factory.mktemp("reports") / "site"
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(built)}):
        build_site(current_target(), folder, lambda line: None)
    return folder
