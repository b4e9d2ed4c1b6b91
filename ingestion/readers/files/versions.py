"""Which of the files that lie in the folder are new versions, by name, size, time and content, and which are sound."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from ingestion.load.extracts import Reader
from ingestion.readers.files.folder import Delivered, Folder, copies_folder, copy_file, copy_name
from ingestion.readers.files.layout import SERIES, Layout
from ingestion.readers.files.verification import BadFileError, Content, verify
from ingestion.sql import literal, quoted


@dataclass(frozen=True)
class Version:
    """A file that is new or has changed, copied and read as a whole; `fault` says what is wrong with it."""

    file: Delivered
    path: Path
    period: date | None
    series: str
    checksum: str
    content: Content | None = None
    fault: str | None = None

    @property
    def record_count(self) -> int:
        """The records of a sound file; a faulty one has none."""
        return self.content.record_count if self.content else 0

    def faulty(self, fault: str) -> Version:
        """The same file, of which nothing is loaded."""
        return replace(self, content=None, fault=fault)


@dataclass
class Known:
    """What completed loads know of the folder's files."""

    seen: set[tuple[str, int, int]] = field(default_factory=set)  # name, size, revision: not looked at again
    bad: set[tuple[str, str]] = field(default_factory=set)  # name, checksum
    # Of a date and series: revision → checksum, records.
    versions: dict[tuple[date, str], dict[int, tuple[str, int]]] = field(default_factory=dict)
    names: dict[date, dict[str, list[str]]] = field(default_factory=dict)  # of a date, by series
    together: set[str] = field(default_factory=set)  # series that shared a date with another

    def add(self, period: date, series: str, name: str) -> None:
        """Take a file's name in."""
        day = self.names.setdefault(period, {})
        day.setdefault(series, []).append(name)
        if len(day) > 1:
            self.together |= day.keys()


@dataclass
class Found:
    """What the folder has that no completed load has seen.

    touched: the records of files that have a new time, but the content that is known already.
    touched_bad: how many such files are known as bad.
    notes: what a person should know of it.
    """

    fresh: list[Version] = field(default_factory=list)
    touched: list[int] = field(default_factory=list)
    touched_bad: int = 0
    notes: list[str] = field(default_factory=list)


def find(reader: Reader, layout: Layout, folder: Folder, listed: Sequence[Delivered]) -> Found:
    """Copy and verify the files that completed loads haven't seen.

    Raises:
        SourceError: a file can't be read. One that can be read and is not sound is faulty, and the others go on.
    """
    known, found = _known(reader, layout), Found()
    unseen = [file for file in listed if (file.name, file.size_bytes, file.revision) not in known.seen]
    copies = copies_folder(reader.target, folder.source, unseen)
    reader.on_complete.append(lambda: shutil.rmtree(copies))
    for file in unseen:
        path = copies / copy_name(file)
        checksum = copy_file(folder, file, path)
        if checksum is None:
            found.notes.append(f"{folder.source}: {file.name} was written while it was read; the next load reads it")
        else:
            version = _version(layout, file, path, checksum)
            _sort_in(version, known, found)
            found.notes += _named_otherwise(folder.source, version, known)
    return found


def _named_otherwise(source: str, version: Version, known: Known) -> list[str]:
    """Notes where a sound file is the first of its series beside those of others, or takes another's place."""
    if version.period is None or version.content is None:
        return []
    name, day, notes = version.file.name, known.names.get(version.period, {}), []
    others = [names[-1] for series, names in day.items() if series != version.series]
    if others and version.series not in known.together:
        notes.append(
            f"{source}: {name} is of the day of {others[0]}, and named otherwise: both count, now and in future. "
            "If one corrects the other, deliver it under the other's name"
        )
    names = day.get(version.series, [])
    if names and name not in names:
        notes.append(
            f"{source}: {name} takes the place of {names[-1]}: their names begin alike, and the later one holds"
        )
    known.add(version.period, version.series, name)
    return notes


def _sort_in(version: Version, known: Known, found: Found) -> None:
    """Tell a new version from a file that was only touched."""
    versions = known.versions.setdefault((version.period, version.series), {}) if version.period else {}
    revision = version.file.revision
    if (version.file.name, version.checksum) in known.bad:
        found.touched_bad += 1
        return
    if version.content and versions and versions[max(versions)][0] == version.checksum:
        found.touched.append(versions[max(versions)][1])
        return
    if version.content and revision in versions:
        version = version.faulty("written at the very time of another file of its day and series: give it a later time")
    if version.content:
        versions[revision] = (version.checksum, version.content.record_count)
    found.fresh.append(version)


def _known(reader: Reader, layout: Layout) -> Known:
    known = Known()
    for row in reader.connection.execute(f"""
            select {quoted(layout.period)}, {SERIES}, file_name, size_bytes, checksum, record_count, _revision
            from {reader.complete(layout.files)} order by _revision""").fetchall():
        period, series, name, size, checksum, records, revision = row
        known.seen.add((name, size, revision))
        known.versions.setdefault((period, series), {})[revision] = (checksum, records)
        known.add(period, series, name)
    for row in reader.connection.execute(f"""
            select record ->> '$.file_name', cast(record ->> '$.size_bytes' as bigint), record ->> '$.checksum',
                _revision
            from {reader.complete("rejects")} where resource = {literal(layout.files)}""").fetchall():
        known.seen.add((row[0], row[1], row[3]))
        known.bad.add((row[0], row[2]))
    return known


def _version(layout: Layout, file: Delivered, path: Path, checksum: str) -> Version:
    version = Version(file, path, layout.period_of(file.name), layout.series_of(file.name), checksum)
    if not file.name.lower().endswith((".csv", ".csv.gz")):
        return version.faulty("its name ends in neither .csv nor .csv.gz")
    if version.period is None:
        return version.faulty(layout.no_period)
    try:
        return replace(version, content=verify(path, layout.columns))
    except BadFileError as error:
        return version.faulty(str(error))
