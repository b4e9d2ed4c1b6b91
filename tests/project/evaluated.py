"""dbt's manifest as a graph: who reads whom, what a model is of, which tests it has; no database."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

# What dbt_project_evaluator takes for granted where the project's variables say nothing else, as its page
# docs/customization/overriding-variables.md has it.
DEFAULTS: dict[str, Any] = {
    "model_types": ["staging", "intermediate", "marts", "other"],
    "staging_folder_name": "staging",
    "intermediate_folder_name": "intermediate",
    "marts_folder_name": "marts",
    "staging_prefixes": ["stg_"],
    "intermediate_prefixes": ["int_"],
    "marts_prefixes": ["fct_", "dim_"],
    "other_prefixes": ["rpt_"],
    "models_fanout_threshold": 3,
    "too_many_joins_threshold": 7,
    "chained_views_threshold": 4,
    "test_coverage_target": 100,
    "primary_key_test_macros": [
        ["dbt.test_unique", "dbt.test_not_null"],
        ["dbt_utils.test_unique_combination_of_columns"],
    ],
}


class Graph:
    """A manifest's resources by unique id, and who reads whom; tests read nothing here, but are kept by what they test.

    Args:
        manifest: what dbt writes into manifest.json.
        variables: the package's, as the project sets them.
    """

    def __init__(self, manifest: dict[str, Any], variables: dict[str, Any]):
        kinds = ("nodes", "sources", "exposures", "metrics")
        self.nodes: dict[str, dict[str, Any]] = {key: node for kind in kinds for key, node in manifest[kind].items()}
        self.variables = DEFAULTS | variables
        self.parents: dict[str, list[str]] = {}
        self.children: dict[str, list[str]] = defaultdict(list)
        self.tests: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for key, node in self.nodes.items():
            read = [
                each for each in dict.fromkeys((node.get("depends_on") or {}).get("nodes", [])) if each in self.nodes
            ]
            if node["resource_type"] != "test":
                self.parents[key] = read
                for parent in read:
                    self.children[parent].append(key)
            elif read:  # of several, what is tested comes last
                self.tests[read[-1]].append(node)

    def kind(self, key: str) -> str:
        """What a resource is: model, source, exposure and so on."""
        return str(self.nodes[key]["resource_type"])

    def name(self, key: str) -> str:
        """What the package calls a resource: a table of a source with the source's name before it."""
        node = self.nodes[key]
        return f"{node['source_name']}.{node['name']}" if self.kind(key) == "source" else str(node["name"])

    def of(self, kind: str) -> list[str]:
        """All resources of a kind."""
        return [key for key in self.nodes if self.kind(key) == kind]

    def parents_of(self, key: str, kind: str) -> list[str]:
        """What a resource reads of a kind."""
        return [each for each in self.parents[key] if self.kind(each) == kind]

    def models_from(self, key: str) -> list[str]:
        """The models that read a resource."""
        return [each for each in self.children[key] if self.kind(each) == "model"]

    def is_view(self, key: str) -> bool:
        """Whether a model is computed anew for whoever reads it."""
        return self.kind(key) == "model" and self.nodes[key]["config"]["materialized"] in ("view", "ephemeral")

    def folder(self, key: str) -> str:
        """Where a resource's file lies, with slashes around it."""
        return f"/{Path(self.nodes[key]['original_file_path']).parent.as_posix()}/"

    def type_by_prefix(self, key: str) -> str | None:
        """The layer that a model's prefix stands for."""
        prefix = f"{self.nodes[key]['name'].split('_')[0]}_"
        types = self.variables["model_types"]
        return next((each for each in types if prefix in self.variables.get(f"{each}_prefixes", [])), None)

    def type_by_folder(self, key: str) -> str | None:
        """The layer whose folder is nearest to a model's file."""
        folders = {each: self.variables.get(f"{each}_folder_name") for each in self.variables["model_types"]}
        found = {each: self.folder(key).find(f"/{name}/") for each, name in folders.items() if name}
        nearest = max(found, key=found.__getitem__)
        return nearest if found[nearest] >= 0 else None
