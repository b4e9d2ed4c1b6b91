"""Superset shows the dashboards of the domains that are on."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.superset.__main__ import bundles

LIST = "vars: {domains: {plants: {label: Plants}, rocks: {label: Rocks}, skies: {label: Skies, published: false}}}"


def test_a_domain_that_is_off_has_no_dashboards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dbt_project.yml").write_text(LIST, encoding="utf-8")
    plants, skies = (tmp_path / "reports" / name / "superset" for name in ("plants", "skies"))
    plants.mkdir(parents=True)
    skies.mkdir(parents=True)
    assert bundles(tmp_path / "reports", tmp_path) == ({"plants": plants}, [skies])
    monkeypatch.setenv("DOMAINS", "")
    assert bundles(tmp_path / "reports", tmp_path) == ({}, [plants, skies])
