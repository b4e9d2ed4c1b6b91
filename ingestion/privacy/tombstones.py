"""Who was forgotten: the ledger of tombstones.

It is a file of JSON lines, `forgotten.jsonl` in the warehouse's folder or what PRIVACY__FORGOTTEN
names. It is no part of the database, so that it outlives a restore. It names a person by the source's own id, which is
what a later load, or a restored raw, is known by; names and addresses are not in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ingestion.contract.contracts import Table
from ingestion.destination.target import Target
from ingestion.jsonl import append_lines, lines_of
from ingestion.privacy.identifiers import person_column
from ingestion.sql import literal


@dataclass(frozen=True)
class Tombstone:
    """A person whom a source knows by an id, and what the tokens in its place are made of. `forgotten_at` is in UTC."""

    source: str
    person: str
    replacement: str
    forgotten_at: str


def tombstones_file(target: Target) -> Path:
    """Where the ledger of tombstones lies."""
    given = os.environ.get("PRIVACY__FORGOTTEN")
    return Path(given).resolve() if given else target.folder / "forgotten.jsonl"


def read_tombstones(target: Target) -> list[Tombstone]:
    """All tombstones, the oldest first."""
    return [Tombstone(**each) for each in lines_of(tombstones_file(target))]


def write_tombstones(target: Target, tombstones: Iterable[Tombstone]) -> None:
    """Append to the ledger, and see that it is on the disk."""
    append_lines(tombstones_file(target), map(asdict, tombstones))


def forgotten_of(target: Target, table: Table) -> str | None:
    """Who of a table's source is forgotten, as a DuckDB relation; None where there is nobody to look for."""
    file = tombstones_file(target)
    if person_column(table) is None or not file.exists():
        return None
    fields = "{'source': 'varchar', 'person': 'varchar', 'replacement': 'varchar'}"
    return (
        f"(select person, replacement from read_json({literal(str(file))}, format = 'newline_delimited', "
        f"columns = {fields}) where source = {literal(table.source)})"
    )
