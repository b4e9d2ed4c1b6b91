"""The site of a warehouse on Postgres, from its first generation on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from reports.site.build import build_site
from tests.warehouses import build_from, settings


@pytest.mark.slow
@pytest.mark.postgres
def test_the_first_generation_has_a_site(
    postgres_database: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no domain on: what a domain's own pages ask for, its tests ask on both engines."""
    monkeypatch.setenv("DOMAINS", "")
    warehouse, site = {**postgres_database, "TARGET": "prod"}, tmp_path / "site"
    build_from(tmp_path / "warehouse", warehouse)
    with settings({**warehouse, "WAREHOUSE_DIR": str(tmp_path / "warehouse")}):
        build_site(current_target(), site, lambda line: None)
    pages = {str(file.relative_to(site)): file.read_text(encoding="utf-8") for file in site.rglob("*.html")}
    assert {"index.html", "pipeline.html", "quality.html", "storage.html", "metrics.html", "tables/core.dim_dates.html",
            "docs/index.html", "lineage/index.html"} <= pages.keys()  # fmt: skip
    assert "core.dim_dates" in pages["index.html"]
    # There is no fact to open.
    assert 'history.replaceState(null, "", "?model=model.granary.dim_' in pages["lineage/index.html"]
    # The generation in the making is nobody's business.
    assert [name for name, text in pages.items() if "core__next" in text or "ops__next" in text] == []
