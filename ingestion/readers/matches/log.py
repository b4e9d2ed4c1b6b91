"""The log of matches and decisions: a file of JSON lines, each a version of what is said of two records.

It lies in `matches/<source>.jsonl` of the warehouse's folder, or where the source's setting `log` says. As the ledger
of tombstones it is no part of the database, so that a restore or a rebuild loses nothing of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ingestion.destination.target import Target
from ingestion.jsonl import append_lines, lines_of
from ingestion.readers.settings import setting

FOLDER = "matches"
MATCH, APART = "match", "apart"
Record = tuple[str, str]


@dataclass(frozen=True)
class Said:
    """What is said of two records, of which `left` is the lesser.

    verdict: a match, or that they are not one person.
    probability: of a match, by the model; written with 8 decimals.
    model: the checksum of the model; empty for a decision.
    said_by: the login of whoever decided; empty for a match.
    said_at: ISO 8601, UTC, without an offset.
    operation: U where it holds from then on, D where it is taken back.
    """

    left_source_id: str
    left_record_id: str
    right_source_id: str
    right_record_id: str
    verdict: str
    probability: str | None = None
    model: str | None = None
    said_by: str | None = None
    reason: str | None = None
    said_at: str = ""
    operation: str = "U"
    revision: int = 0

    @property
    def records(self) -> tuple[Record, Record]:
        """The two records, as source and id."""
        return (self.left_source_id, self.left_record_id), (self.right_source_id, self.right_record_id)

    @property
    def key(self) -> tuple[Record, Record, str]:
        """What a later version says anew."""
        return *self.records, self.verdict


def said_of(one: Record, other: Record, verdict: str) -> Said:
    """The beginning of what is said of two records, in whichever order they are given."""
    left, right = sorted((one, other))
    return Said(*left, *right, verdict)


def log_file(source: str, folder: Path) -> Path:
    """Where a source's log lies, in a warehouse's folder unless the setting `log` says otherwise."""
    given = setting(source, "log")
    return Path(str(given)).resolve() if given else folder / FOLDER / f"{source}.jsonl"


def everything_said(source: str, target: Target) -> list[Said]:
    """All versions, the oldest first."""
    return [Said(**each) for each in lines_of(log_file(source, target.folder))]


def holding(said: Iterable[Said]) -> list[Said]:
    """What holds now: the last version of each, unless it takes it back."""
    last = {each.key: each for each in sorted(said, key=lambda each: each.revision)}
    return [each for each in last.values() if each.operation == "U"]


def say_more(source: str, target: Target, said: Iterable[Said], now: datetime) -> None:
    """Append versions that hold from now on, each with the next revision."""
    known = everything_said(source, target)
    first = max((each.revision for each in known), default=0) + 1
    at = now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    numbered = (replace(each, said_at=at, revision=first + place) for place, each in enumerate(said))
    append_lines(log_file(source, target.folder), map(asdict, numbered))


def unsay_of(source: str, target: Target, forgotten: Collection[Record]) -> int:
    """Write the log anew without what is said of forgotten records. Returns how many versions went."""
    said = everything_said(source, target)
    kept = [each for each in said if not set(each.records) & set(forgotten)]
    if len(kept) < len(said):
        file = log_file(source, target.folder)
        partial = file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        append_lines(partial, map(asdict, kept))
        partial.replace(file)
    return len(said) - len(kept)
