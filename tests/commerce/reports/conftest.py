"""The site of a simulated company's warehouse, and a browser to read it with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from ingestion.destination.target import current_target
from reports.site.build import build_site
from tests.absent import absent
from tests.warehouses import settings


@pytest.fixture(scope="session")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make site` writes."""
    folder = tmp_path_factory.mktemp("reports") / "site"
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(built)}):
        build_site(current_target(), folder, lambda line: None)
    return folder


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A headless Chromium of this machine."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        absent(request, "CHROMIUM IS NOT HERE: THE SITE NOT TESTED IN A BROWSER (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
