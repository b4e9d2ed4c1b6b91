"""The tables of truth.sqlite, and writing the bookkeeping into them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from ingestion.demo.clock import DAY, OPEN_END, day_text, stamp

from .clinic import Clinic
from .truth import TABLES


def create_truth(connection: sqlite3.Connection) -> None:
    """Create the truth's tables."""
    for table, (columns, keys) in TABLES.items():
        key = ", ".join(columns.split(", ")[:keys])
        connection.execute(f"create table if not exists truth_{table} ({columns}, primary key ({key})) without rowid")


def write_truth(connection: sqlite3.Connection, clinic: Clinic) -> None:
    """Bring the attached database `truth` to the clinic's last day, inside the caller's transaction."""
    for table, rows in clinic.batch.truth.items():
        _insert(connection, table, rows.values())
    truth = clinic.truth
    totals: dict[str, Iterable[tuple[Any, ...]]] = {
        "counts": ((kind, *numbers) for kind, numbers in sorted(truth.counts.items())),
        "unknown_elements": ((*key, number) for key, number in sorted(truth.unknown_elements.items())),
        "readings_daily": ((*key, *numbers) for key, numbers in truth.readings_daily.items()),
        "waiting": ((*key, day_text(due)) for key, due in _waiting(clinic).items()),
        "lab_segments": sorted(truth.lab_segments.items()),
        "consents": (
            (person, stamp(start), OPEN_END if end is None else stamp(end))
            for person, intervals in sorted(truth.consents.items())
            for start, end in intervals
        ),
    }
    for table, total in totals.items():
        connection.execute(f"delete from truth.truth_{table}")
        _insert(connection, table, total)


def _waiting(clinic: Clinic) -> dict[tuple[str, str], int]:
    """What was held back, and the day of its delivery."""
    late = {(kind, json.loads(line)["id"]): day for day, kind, line, was_there in clinic.late if not was_there}
    return late | {("ORU", filler): t // DAY for t, _, filler, is_repeated in clinic.messages if not is_repeated}


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    width = len(TABLES[table][0].split(", "))
    connection.executemany(f"insert or replace into truth.truth_{table} values ({', '.join('?' * width)})", rows)
