"""What was delivered to whom: a file that every step of a delivery is written to, before it is taken.

A delivery is a subscription's report to one recipient, of one period and generation. Its id is the hash of these, and
the local part of its Message-ID, so that a repeat is the same message to whoever receives it.

    intended   what it says is made; nobody was told yet
    sending    the server accepted the recipient, and is about to get the message
    sent       the server has it
    failed     it hasn't, for now: tried again
    refused    it hasn't, for good: the next period is tried
    unknown    the process or the connection ended between `sending` and `sent`: not tried again by itself
    bounced    it came back
    withdrawn  it did not reach a recipient whom no subscription names any more
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TextIO

from ingestion.destination.target import Target
from ingestion.environment import ConfigurationError
from reports.delivery.periods import Period
from reports.delivery.subscriptions import Subscription

# What is over and done with: nothing more comes of it by itself.
FINAL = ("sent", "refused", "unknown", "bounced", "withdrawn")
REPORT, NOTE = "report", "note"
# What is sent once more, where somebody asks for it: what did not surely arrive, or all.
MISSING, ALL = "missing", "all"


@dataclass(frozen=True)
class Delivery:
    """A report, or a note that one is held back, to one recipient.

    recipient: a hash of the address, which is in the subscription alone. number: its place there, from 1.
    generation: the published one that is reported; 0 of a note. period: empty where the warehouse could not be read.
    """

    subscription: str
    login: str
    recipient: str
    number: int
    grain: str
    first: str
    last: str
    generation: int
    kind: str

    @property
    def id(self) -> str:
        """The same for the same delivery, whenever it is tried."""
        key = [self.subscription, self.login, self.recipient, self.first, self.last, self.generation, self.kind]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]


def delivery_of(
    subscription: Subscription, login: str, number: int, address: str, period: Period | None, generation: int, kind: str
) -> Delivery:
    """The delivery of a period to the address that stands at a place of a subscription."""
    recipient = recipient_of(address)
    days: tuple[date | str, date | str] = (period.first, period.last) if period else ("", "")
    grain = period.grain if period else ""
    return Delivery(
        subscription.name, login, recipient, number, grain, str(days[0]), str(days[1]), generation, kind
    )  # fmt: skip


def recipient_of(address: str) -> str:
    """What stands for an address in the file."""
    return hashlib.sha256(address.lower().encode()).hexdigest()[:16]


class Ledger:
    """The file, open and locked."""

    def __init__(self, file: TextIO):
        self.file = file
        self.entries: list[dict[str, Any]] = []
        self.states: dict[str, dict[str, Any]] = {}
        self.new: list[dict[str, Any]] = []
        self._read()

    def _read(self) -> None:
        self.file.seek(0)
        whole = 0
        for line in self.file.read().splitlines(keepends=True):
            if not line.endswith("\n"):  # a kill cut it, and what it says was not done yet
                break
            whole += len(line.encode())
            self._take(json.loads(line))
        self.file.truncate(whole)
        self.file.seek(0, os.SEEK_END)

    def _take(self, entry: dict[str, Any]) -> None:
        self.entries.append(entry)
        self.states[entry["id"]] = entry

    def add(self, delivery: Delivery, status: str, detail: str = "", size: int = 0) -> None:
        """Write a step down, on the disk before it returns."""
        self._add({**asdict(delivery), "id": delivery.id}, status, detail, size)

    def _add(self, of: dict[str, Any], status: str, detail: str, size: int) -> None:
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")
        entry = {**of, "status": status, "detail": detail, "size": size, "at": now}
        try:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise ConfigurationError(
                f"nothing more is sent, since it could not be written down: {self.file.name}: {error.strerror}"
            ) from error
        self._take(entry)
        if status not in ("intended", "sending"):
            self.new.append(entry)

    def bounced(self, delivery_id: str, detail: str) -> bool:
        """A delivery came back. Returns whether it is known, and was not known to have come back."""
        entry = self.states.get(delivery_id)
        if entry is None or entry["status"] == "bounced":
            return False
        self._add(entry, "bounced", detail, entry["size"])
        return True

    def end_broken_off(self) -> list[dict[str, Any]]:
        """Deliveries that a process was killed in the middle of become `unknown`. Returns them."""
        broken = [entry for entry in self.states.values() if entry["status"] == "sending"]
        for entry in broken:
            what = "the process ended while the message was handed over: the server may have it or not"
            self._add(entry, "unknown", what, entry["size"])
        return broken

    def withdraw(self, named: set[tuple[str, str, str]]) -> None:
        """What did not reach a recipient (subscription, login, hash) who is no longer named is nobody's trouble now."""
        newest = {(e["subscription"], e["login"], e["recipient"]): e for e in self.entries}
        for recipient, entry in newest.items():
            if recipient not in named and entry["status"] not in ("sent", "withdrawn"):
                self._add(entry, "withdrawn", "no subscription names this recipient any more", entry["size"])

    def status(self, delivery: Delivery) -> str:
        """Where a delivery is; empty where it was never begun."""
        return str(self.states.get(delivery.id, {}).get("status", ""))

    def of_recipient(self, delivery: Delivery) -> dict[str, Any] | None:
        """The last entry of the same recipient of a subscription."""
        asked = ("subscription", "login", "recipient")
        same = (e for e in reversed(self.entries) if all(e[name] == getattr(delivery, name) for name in asked))
        return next(same, None)

    def of_period(self, delivery: Delivery) -> dict[str, Any] | None:
        """The last of the same period to the same recipient that is over and done with, of any generation."""
        asked = ("subscription", "login", "recipient", "first", "last", "kind")
        same = [
            entry
            for entry in self.states.values()
            if entry["status"] in FINAL and all(entry[name] == getattr(delivery, name) for name in asked)
        ]
        return same[-1] if same else None

    def has_open(self) -> bool:
        """Whether a delivery was begun, or failed for now, since the last one to the same recipient ended."""
        newest = {(e["subscription"], e["login"], e["recipient"]): e["status"] for e in self.entries}
        return any(status not in FINAL for status in newest.values())

    def is_open(self, subscription: str, login: str, since: datetime) -> bool:
        """Whether a report to one of a login's recipients was begun or failed since a time, and is still to be sent."""
        return any(
            (entry["subscription"], entry["login"]) == (subscription, login)
            and entry["status"] not in FINAL
            and datetime.fromisoformat(entry["at"]).replace(tzinfo=UTC) >= since
            for entry in self.states.values()
        )

    def last_sent(self, subscription: str, login: str) -> datetime | None:
        """When a report of a subscription last went to a login's recipients, UTC."""
        times = [
            str(entry["at"])
            for entry in self.entries
            if (entry["subscription"], entry["login"], entry["kind"]) == (subscription, login, REPORT)
            and entry["status"] in FINAL
        ]
        return datetime.fromisoformat(max(times)).replace(tzinfo=UTC) if times else None


@contextmanager
def open_ledger(target: Target) -> Iterator[Ledger]:
    """Open a warehouse's ledger, which one process has at a time.

    Raises:
        ConfigurationError: another process delivers, or the file can't be written.
    """
    path = ledger_file(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"nothing is sent, since it could not be written down: {path}: {error.strerror}"
        ) from error
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError("reports are being delivered by another process: wait for it to end") from error
        yield Ledger(file)


def ledger_file(target: Target) -> Path:
    """Where a warehouse's deliveries are written down."""
    return target.folder / f"{target.prefix}reports.{target.name}.jsonl"
