"""What lies above a node of dbt's graph, and which tables of raw it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ingestion.contract.contracts import AUDIT_TABLES, OWN_SOURCE

RawTable = tuple[str, str]


class Lineage:
    """The ancestors of every node of a manifest, by unique id."""

    def __init__(self, manifest: Any):
        # A seed depends on macros only.
        self._parents = {
            unique_id: list(getattr(node.depends_on, "nodes", [])) for unique_id, node in manifest.nodes.items()
        }
        self._found: dict[str, frozenset[str]] = {}
        # They lie in a folder that is called as the runs' own source.
        self._of_runs = {unique_id for unique_id, node in manifest.nodes.items() if node.fqn[-2] == OWN_SOURCE}
        # A source's id is source.<project>.<source>.<table>, and a table may be called otherwise where it lies.
        self._raw = {
            unique_id: (str(source.source_name), str(source.name)) for unique_id, source in manifest.sources.items()
        }

    def parents(self, unique_id: str) -> list[str]:
        """What a node names itself, in dbt's order."""
        return self._parents.get(unique_id, [])

    def above(self, unique_id: str) -> frozenset[str]:
        """All that a node is made of, the tables of raw among it."""
        if unique_id not in self._found:
            parents = self.parents(unique_id)
            self._found[unique_id] = frozenset(parents).union(*(self.above(parent) for parent in parents))
        return self._found[unique_id]

    def below(self, changed: Iterable[str]) -> set[str]:
        """The nodes that at least one of these is above of."""
        of = frozenset(changed)
        return {unique_id for unique_id in self._parents if not of.isdisjoint(self.above(unique_id))}

    def raw_above(self, unique_id: str) -> set[RawTable]:
        """The tables of raw that the rows of a node, or of such a table itself, come from, as source and table."""
        return {self._raw[each] for each in (unique_id, *self.above(unique_id)) if each in self._raw}

    def reads_runs(self, unique_id: str) -> bool:
        """Whether a node is made of what runs were like, such as their steps, or how usual their loads were."""
        return not self._of_runs.isdisjoint(self.above(unique_id))


def is_booked(table: RawTable) -> bool:
    """Whether loads write to this table that the ledger doesn't list: what each load did, and the runs' own record."""
    source, name = table
    return source == OWN_SOURCE or name in AUDIT_TABLES


def is_written(written: Mapping[RawTable, int], table: RawTable, since: int) -> bool:
    """Whether a load after this one wrote to a table of raw, given what `ledger.last_written` found."""
    return written.get((table[0], "" if is_booked(table) else table[1]), 0) > since
