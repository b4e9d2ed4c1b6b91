"""The site of a warehouse on Postgres, from its first generation on."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from reports.site.build import build_site
from tests.commerce.world import Company
from tests.warehouses import as_environment

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_the_first_generation_has_a_site(postgres: dict[str, str], tmp_path: Path) -> None:
    world = Company(tmp_path / "world", {**as_environment(postgres), "TARGET": "prod"}, days=6)
    world.deliver(world.withheld())
    world.build(tested=True)
    site = tmp_path / "site"
    with world.entered():
        build_site(current_target(), site, lambda line: None)
    pages = {str(file.relative_to(site)) for file in site.rglob("*.html")}
    assert {"index.html", "business.html", "pipeline.html", "quality.html", "storage.html", "metrics.html",
            "tables/commerce.fct_sales.html", "docs/index.html", "lineage/index.html"} <= pages  # fmt: skip
    assert "commerce.fct_sales" in (site / "index.html").read_text(encoding="utf-8")
    # The generation in the making is nobody's business.
    assert [page for page in sorted(pages) if "commerce__next" in (site / page).read_text(encoding="utf-8")] == []
