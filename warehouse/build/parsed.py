"""The project as dbt understands it, and what a build asks of that: found once while the project stays the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ingestion.destination.target import Target
from warehouse import dbt
from warehouse.build.lineage import Lineage
from warehouse.fingerprints import fingerprints, unit_tested_code
from warehouse.publish.access import Declared, declared_access
from warehouse.publish.withdrawals import Withdrawable, declared_withdrawable


@dataclass(frozen=True)
class Parsed:
    """What follows from the project's files alone.

    fingerprint: theirs, see `inputs.project_fingerprint`.
    models: every model that is published, by name: its schema as readers know it, the first line of its description.
    declared: who reads what of them.
    withdrawable: which of them are of persons who can withdraw.
    code: the fingerprint of each relation's code.
    unit_tested: a fingerprint of all that unit tests depend on.
    """

    fingerprint: str
    manifest: Any
    models: dict[str, tuple[str, str]]
    declared: list[Declared]
    withdrawable: list[Withdrawable]
    code: dict[str, str]
    unit_tested: str
    lineage: Lineage

    @property
    def schemas(self) -> list[str]:
        """The schemas that are published, as readers know them."""
        return sorted({schema for schema, _ in self.models.values()})


_last: Parsed | None = None


def is_parsed(fingerprint: str) -> bool:
    """Whether the project that has this fingerprint is at hand, without dbt."""
    return _last is not None and _last.fingerprint == fingerprint


def parsed(target: Target, fingerprint: str) -> Parsed:
    """The project that has this fingerprint.

    Raises:
        BuildError: it doesn't parse.
    """
    global _last
    if _last is None or not is_parsed(fingerprint):
        manifest = dbt.parse(target)
        code = fingerprints(manifest, target.project)
        _last = Parsed(
            fingerprint,
            manifest,
            published_models(manifest, target),
            declared_access(manifest, target),
            declared_withdrawable(manifest, target),
            code,
            unit_tested_code(manifest, code),
            Lineage(manifest),
        )
    return _last


def published_models(manifest: Any, target: Target) -> dict[str, tuple[str, str]]:
    """Every model that is published: name → (schema as readers know it, the first line of its description)."""
    found = {}
    for node in manifest.nodes.values():
        if node.resource_type == "model" and (node.config.meta or {}).get("published"):
            schema = str(node.schema).removeprefix(target.prefix).removesuffix("__next")
            lines = node.description.strip().splitlines()
            found[node.name] = (schema, lines[0] if lines else "")
    return found
