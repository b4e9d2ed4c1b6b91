"""What came of dbt's nodes: counted, told, and as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FAILED = ("error", "fail", "runtime error")
FOUND_ROWS = ("fail", "warn")
PASSED = ("pass", "success")


@dataclass
class Outcome:
    """What a dbt command did: nodes by status, and the failures one by one.

    unasked: tests that passed before, of which nothing that they read has changed.
    unchanged: what the build had to make or ask until it saw that nothing it reads has changed, by unique id.
    partly: tests that passed on changed rows alone, by unique id.
    statements: what dbt sent for relations, by unique id, where the next build may send it again.
    """

    success: bool
    passed: int = 0
    unasked: int = 0
    warned: int = 0
    failed: int = 0
    built: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[tuple[Any, str]] = field(default_factory=list)
    unchanged: set[str] = field(default_factory=set)
    partly: set[str] = field(default_factory=set)
    statements: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Count in what another command did."""
        self.success = self.success and other.success
        for name in ("passed", "unasked", "warned", "failed", "built", "skipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("failures", "warnings", "results", "nodes"):
            getattr(self, name).extend(getattr(other, name))
        self.seconds |= other.seconds
        self.statements |= other.statements

    def take(self, result: Any, manifest: Any = None) -> None:
        """Count in one node's result; with a manifest its record is kept too."""
        _count(self, result)
        self.nodes.append((result.node, str(result.status)))
        if manifest is not None:
            self.results.append(_as_record(result, manifest))


def _count(outcome: Outcome, result: Any) -> None:
    node, status = result.node, str(result.status)
    is_test = node.resource_type in ("test", "unit_test")
    outcome.seconds[node.name] = result.execution_time
    if status in FAILED:
        outcome.failed += 1
        outcome.failures.append(_describe(node, result))
    elif status == "warn":
        outcome.warned += 1
        outcome.warnings.append(_describe(node, result))
    elif status == "skipped":
        outcome.skipped += 1
    elif is_test:
        outcome.passed += 1
    else:
        outcome.built += 1


def _as_record(result: Any, manifest: Any) -> dict[str, Any]:
    """A result as the contract of the source `runs` has it."""
    node = result.node
    is_test = node.resource_type in ("test", "unit_test")
    tested = getattr(node, "attached_node", None) or next(iter(node.depends_on.nodes), None) if is_test else None
    return {
        "node_name": node.name,
        "resource_type": str(node.resource_type),
        "status": str(result.status),
        "seconds": round(result.execution_time, 3),
        "failure_count": result.failures if is_test else None,
        "tested_name": tested.split(".")[-1] if tested else None,
        "column_name": getattr(node, "column_name", None),
        "quality_dimension": (node.config.meta or {}).get("quality_dimension") if is_test else None,
        "severity": str(getattr(node.config, "severity", "error")).lower() if is_test else None,
        "source_ids": ",".join(sorted(sources_above(node.unique_id, manifest.parent_map))) or None if is_test else None,
    }


def sources_above(unique_id: str, parents: Mapping[str, list[str]]) -> set[str]:
    """The names of the sources that a node's records come from; `parents` is the manifest's `parent_map`."""
    seen: set[str] = set()
    waiting = [unique_id]
    while waiting:
        for parent in parents.get(waiting.pop(), []):
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    # A source's id is source.<project>.<source>.<table>.
    return {each.split(".")[2] for each in seen if each.startswith("source.")}


def _describe(node: Any, result: Any) -> str:
    message = " ".join((result.message or "").split())[:400]
    if "lock timeout" in message:
        message += "; somebody has been reading the table for that long: see pg_stat_activity, then build again"
    if node.resource_type == "test":
        # Where it found rows, the build has them kept (warehouse/build/work.py).
        kept = f'"{node.database}"."{node.schema}"."{node.alias}"'
        look = f"; look: select * from {kept}" if str(result.status) in FOUND_ROWS else ""
        return f"test {node.name}: {message}{look}"
    if node.resource_type == "source":
        # dbt gives an empty table the age of the calendar.
        days = getattr(result, "age", 0) / 86400
        age = "it has no records" if days > 365_000 else f"its newest record was seen {days:.1f} days ago"
        return f"{node.source_name}.{node.name}: {message or age}"
    return f"{node.resource_type} {node.name} ({node.original_file_path}): {message}"
