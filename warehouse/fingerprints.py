"""What a relation was made by, as one fingerprint: its code, what that uses and reads, and everything above it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ingestion import domains

# A variable that SQL or a macro reads.
_VARIABLE = re.compile(r"\bvar\(\s*['\"](\w+)['\"]")
# And one of the environment.
ENVIRONMENT = re.compile(r"\benv_var\(\s*['\"](\w+)['\"]")


def fingerprints(manifest: Any, project_folder: Path) -> dict[str, str]:
    """A fingerprint of the code of every model, snapshot and seed, by name.

    It covers the node's own code and settings, the macros it uses, the variables that these read, and everything
    above it: seeds, other models, the columns of sources. Where any of these changes, the relation is built in full.

    Args:
        manifest: dbt's parsed project (`dbt.contracts.graph.manifest.Manifest`).
        project_folder: where the project lies.
    """
    project = manifest.metadata.project_name
    variables = domains.variables(project_folder)
    # What is read of the list of domains: another domain, or a label, changes nothing for who reads neither.
    listed = {
        "source_ids": domains.source_ids(project_folder),
        "named_sources": [asdict(each) for each in domains.named_sources(project_folder)],
    }
    macros: dict[str, str] = {}
    found: dict[str, str] = {}

    def macro_text(unique_id: str, seen: frozenset[str] = frozenset()) -> str:
        if unique_id not in macros and unique_id not in seen and unique_id in manifest.macros:
            macro = manifest.macros[unique_id]
            if macro.package_name != project:
                return unique_id
            below = sorted(macro_text(each, seen | {unique_id}) for each in macro.depends_on.macros)
            read = json.dumps(listed.get(macro.name, ""), sort_keys=True)
            macros[unique_id] = _digest([macro.macro_sql, *_variables_read(macro.macro_sql, variables), read, *below])
        return macros.get(unique_id, unique_id)

    def fingerprint(unique_id: str) -> str:
        if unique_id in found:
            return found[unique_id]
        if unique_id in manifest.sources:
            source = manifest.sources[unique_id]
            columns = (f"{column.name} {column.data_type}" for column in source.columns.values())
            parts = [source.source_name, source.name, *columns]
        else:
            node = manifest.nodes[unique_id]
            settings = {
                key: value for key, value in node.config.to_dict().items() if key not in ("docs", "description")
            }
            parts = [
                node.checksum.checksum if node.resource_type == "seed" else node.raw_code,
                json.dumps(settings, sort_keys=True, default=str),
                *_variables_read(node.raw_code, variables),
                *(f"{column.name} {column.data_type}" for column in node.columns.values()),
                *sorted(macro_text(each) for each in node.depends_on.macros),
                *sorted(fingerprint(each) for each in getattr(node.depends_on, "nodes", [])),
            ]
        found[unique_id] = _digest(parts)
        return found[unique_id]

    return {
        node.name: fingerprint(unique_id)
        for unique_id, node in manifest.nodes.items()
        if node.resource_type in ("model", "snapshot", "seed")
    }


def _variables_read(code: str, variables: dict[str, Any]) -> list[str]:
    """The variables that some code reads, the environment's too, with their values.

    Those by which domains are on are no code's own: what it reads of the list of domains counts instead.
    """
    return [
        f"{name} {json.dumps(values.get(name), sort_keys=True, default=str)}"
        for asked, values, others in ((_VARIABLE, variables, {"domains"}), (ENVIRONMENT, os.environ, {"DOMAINS"}))
        for name in sorted(set(asked.findall(code)) - others)
    ]


def _digest(parts: list[str]) -> str:
    return hashlib.md5("\n".join(parts).encode(), usedforsecurity=False).hexdigest()


def versions() -> list[str]:
    """dbt's, and those of what it works with."""
    return [f"{package} {version(package)}" for package in ("dbt-core", "dbt-duckdb", "dbt-postgres", "duckdb")]


def unit_tested_code(manifest: Any, code: dict[str, str]) -> str:
    """A fingerprint of all that unit tests depend on: the relations' code, they themselves, dbt and its adapters."""
    given = [f"{each.unique_id} {each.checksum}" for each in manifest.unit_tests.values()]
    return _digest([*sorted(code.values()), *sorted(given), *versions()])
