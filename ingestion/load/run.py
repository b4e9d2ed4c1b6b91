"""Load every source that has a contract, one after the other."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from ingestion.contract.contracts import ContractError, Source, contract_file
from ingestion.contract.reading import read_contract, source_names
from ingestion.destination.roles import acting_as_loader
from ingestion.destination.target import Target
from ingestion.environment import ConfigurationError
from ingestion.load.extracts import Loaded, LoadError, SourceError
from ingestion.load.loading import load
from ingestion.load.watching import Asked, Watch


def configured_sources(project: Path) -> list[str]:
    """The sources that have been told where to read."""
    return [
        name for name in source_names(project)
        if not _is_beside(name, project) and reader_of(read_contract(name, project)).is_configured(name)
    ]  # fmt: skip


def _is_beside(name: str, project: Path) -> bool:
    """Whether a source is no system: its reader says `BESIDE`.

    What commands of the warehouse write, or what is made of what the others have loaded: nobody points at it, and it
    comes after them.
    """
    return getattr(reader_of(read_contract(name, project)), "BESIDE", False)


def reader_of(contract: Source) -> ModuleType:
    """What reads a source: the reader that its contract names, else the source's own package.

    A reader is named by its place in ingestion/readers, such as `sql`; one that lies elsewhere by its module's
    full name.
    It has `extracts(reader)`, an ExtractFunction, and `is_configured(source)`; it may have `watch(contract)`,
    and say `BESIDE`.

    Raises:
        ContractError: there is neither.
    """
    if "." in contract.reader:
        name = contract.reader
    else:
        name = f"ingestion.readers.{contract.reader}" if contract.reader else f"ingestion.sources.{contract.name}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        raise ContractError(
            f"source {contract.name} has no reader: name one of ingestion/readers in config.meta.reader of "
            f"{contract_file(contract.name)}, or write the package {name}"
        ) from error


def watch_of(contract: Source) -> Watch:
    """What waits for a source until it may have something new, or for the next time to ask it.

    Raises:
        SourceError: the source's settings are none, or what it lies in is not there.
    """
    reader = reader_of(contract)
    find = getattr(reader, "watch", None)
    return (find(contract) if find and reader.is_configured(contract.name) else None) or Asked()


def kept_logs(project: Path) -> dict[str, int]:
    """How much of their logs the servers of sources that are followed keep for it, in bytes, by source.

    What follows a log says so with a function `kept_log(source)`.
    """
    asked = {
        name: getattr(reader_of(read_contract(name, project)), "kept_log", lambda source: None)(name)
        for name in configured_sources(project)
    }
    return {name: kept for name, kept in asked.items() if kept is not None}


def _require_decided(contract: Source) -> None:
    """Raise SourceError where nobody has said yet what a column tells of a person: it may be what raw must not have."""
    open_ones = contract.undecided
    if open_ones:
        more = f" and {len(open_ones) - 1} more" if len(open_ones) > 1 else ""
        raise SourceError(
            f"{contract.name}: what {open_ones[0]}{more} tells of a person is undecided; nothing was loaded: "
            f"make decide COLUMN={open_ones[0]} PRIVACY=none, or what it is (docs/privacy.md)"
        )


def observation_time() -> datetime:
    """When the sources are looked at: now, or what GRANARY_OBSERVED_AT says (ISO 8601, UTC), for tests and replays."""
    given = os.environ.get("GRANARY_OBSERVED_AT")
    if not given:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        message = f"GRANARY_OBSERVED_AT={given} is not an ISO 8601 time such as 2026-01-31T00:00:00"
        raise ConfigurationError(message) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# The sources of which this process has seen that their tables are there: one that follows another source asks once.
_made: set[tuple[Target, str]] = set()


def load_all(
    target: Target, say: Callable[[str], None], only: Sequence[str] = (), seconds: dict[str, float] | None = None
) -> tuple[list[Loaded], list[str]]:
    """Load the configured sources; make the tables of the others, empty, where they are missing.

    A source that can't be read doesn't keep the others from loading.

    Args:
        target: the warehouse.
        say: takes lines of progress.
        only: names of sources; all where empty. The tables of the others are made, too: models read them.
        seconds: takes how long each step of each source took, see `load`.

    Returns:
        What happened to the records, and one line for each source that failed.
    """
    observed_at = observation_time()
    loaded: list[Loaded] = []
    failures: list[str] = []
    for name in sorted(source_names(target.project), key=lambda each: _is_beside(each, target.project)):
        contract, wanted = read_contract(name, target.project), not only or name in only
        if not wanted and (target, name) in _made:
            continue
        package = reader_of(contract)
        reader = package.extracts if wanted and package.is_configured(name) else None
        if wanted:
            say(f"source {name}" if reader else f"source {name}: not configured, nothing to load")
        try:
            if reader:
                _require_decided(contract)
            with acting_as_loader():
                more = True
                while more:
                    now = load(contract, reader, target, observed_at, say, seconds)
                    loaded += now
                    more = any(each.more for each in now)
            _made.add((target, name))
        except (SourceError, LoadError, ContractError) as error:
            say(f"  {error}")
            failures.append(str(error))
    return loaded, failures
