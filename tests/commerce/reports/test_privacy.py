"""What a contract says of a column's privacy holds of every published column that is made from it, by lineage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingestion.contract.contracts import PRIVACY
from ingestion.contract.reading import read_contract
from ingestion.destination.target import current_target
from tests.warehouses import settings
from warehouse.reading.docs import make_artifacts

# What is read out of a document's kept part is no identifier, though the document is one.
KEPT = {
    ("dim_customers", "prefers_newsletter"): "preferences",
    ("dim_customers", "preferred_language"): "preferences",
}
Lineage = dict[str, dict[str, list[dict[str, str]]]]


@pytest.fixture(scope="module")
def project(built: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Lineage]:
    """The manifest's nodes, and the columns that each column is made from, as colibri reads them off the SQL."""
    folder = tmp_path_factory.mktemp("lineage")
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(built)}):
        artifacts = make_artifacts(current_target())
    subprocess.run(
        [sys.executable, "-c", "from dbt_colibri.cli.cli import cli; cli()", "generate",
         "--manifest", str(artifacts / "manifest.json"), "--catalog", str(artifacts / "catalog.json"),
         "--output-dir", str(folder), "--light", "--disable-telemetry"],
        check=True, capture_output=True,
    )  # fmt: skip
    manifest = json.loads((artifacts / "manifest.json").read_text(encoding="utf-8"))
    lineage = json.loads((folder / "colibri-manifest.json").read_text(encoding="utf-8"))["lineage"]["parents"]
    return {**manifest["nodes"], **manifest["sources"]}, lineage


def privacy(nodes: dict[str, Any], node: str, column: str) -> str:
    """What is declared of a column; `none` where nothing is."""
    found = nodes[node]["columns"].get(column, {})
    return str((found.get("config", {}).get("meta") or found.get("meta") or {}).get("privacy", "none"))


def origins(lineage: Lineage, node: str, column: str, path: tuple[tuple[str, str], ...] = ()) -> set[tuple[str, str]]:
    """The columns of sources whose values go into a column."""
    if node.startswith("source."):
        return {(node, column)}
    if (node, column) in path:
        return set()
    found: set[tuple[str, str]] = set()
    for parent in lineage.get(node, {}).get(column, []):
        if parent["lineage_type"] not in ("filter", "join"):
            found |= origins(lineage, parent["dbt_node"], parent["column"].lower(), (*path, (node, column)))
    return found


def test_privacy_is_carried_by_lineage(project: tuple[dict[str, Any], Lineage]) -> None:
    nodes, lineage = project
    rank = {name: number for number, name in enumerate(PRIVACY)}
    wrong, followed = [], 0
    for node, each in nodes.items():
        if each["resource_type"] != "model" or not each["config"]["meta"].get("published"):
            continue
        for column in each["columns"]:
            declared = privacy(nodes, node, column)
            # A token is no identifier any more, but it is a person's.
            carried = {
                "quasi_identifier" if found == "direct_identifier" else found
                for origin in origins(lineage, node, column.lower())
                if (found := privacy(nodes, *origin)) != "none"
            }
            followed += bool(carried)
            if (each["name"], column) in KEPT:
                continue
            if declared == "direct_identifier" or any(rank[declared] < rank[found] for found in carried):
                wrong.append(f"{each['name']}.{column} is declared {declared}, and is made from {sorted(carried)}")
    assert wrong == []
    assert followed >= 12, "lineage finds what is known to be there"


def test_what_is_kept_of_a_document_is_kept_by_its_contract() -> None:
    assert set(KEPT.values()) <= set(read_contract("accounts").table("users").identifiers[-1].keeps)
