"""Which of the files that lie in the folder are new versions, by name, size, time and content, and which are sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from ingestion.contract.contracts import Table
from ingestion.load.extracts import Reader
from ingestion.readers.files.folder import Delivered, Folder, copy_file, copy_name
from ingestion.readers.files.formats import prepared
from ingestion.readers.files.layout import SERIES, Layout
from ingestion.readers.files.verification import BadFileError, Content
from ingestion.sql import literal, quoted

# When a version takes its place among those of the same thing: the date that it is of, where that tells, and its time.
Order = tuple[date, int]
# Makes of a copied file what is parsed, and says what it holds. It raises BadFileError where the file is not sound.
Prepare = Callable[[Path, Delivered], tuple[Path, Content]]


@dataclass(frozen=True)
class Version:
    """A file that is new or has changed, copied and read as a whole; `fault` says what is wrong with it.

    path: what is parsed.
    """

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
    """What completed loads know of a layout's files."""

    layout: Layout
    seen: set[tuple[str, int, int]] = field(default_factory=set)  # name, size, revision: not looked at again
    bad: set[tuple[str, str]] = field(default_factory=set)  # name, checksum
    # Of what a file is a version of: when → checksum, records, name.
    versions: dict[tuple[object, ...], dict[Order, tuple[str, int, str]]] = field(default_factory=dict)
    names: dict[date | None, dict[str, list[str]]] = field(default_factory=dict)  # of a date, by series
    together: set[str] = field(default_factory=set)  # series that shared a date with another
    rejected: set[int] = field(default_factory=set)  # revisions of files of which records were rejected

    def add(self, period: date | None, series: str, name: str) -> None:
        """Take a file's name in."""
        day = self.names.setdefault(period, {})
        day.setdefault(series, []).append(name)
        if len(day) > 1:
            self.together |= day.keys()

    def of(self, period: date | None, series: str, name: str) -> dict[Order, tuple[str, int, str]]:
        """The versions of the thing that such a file is a version of: a part, the table, or the file itself."""
        thing: dict[str, tuple[object, ...]] = {"part": (period, series), "table": (), "changes": (name,)}
        return self.versions.setdefault(thing[self.layout.holds], {})

    def order(self, period: date | None, revision: int) -> Order:
        """A version's place: tables of several days follow each other by their days."""
        return (period if self.layout.holds == "table" and period else date.min, revision)


@dataclass
class Found:
    """What the folder has that no completed load has seen.

    touched: the records of files that have a new time, but the content that is known already.
    touched_bad: how many such files are known as bad.
    more: there are files that only the next load can read.
    notes: what a person should know of it.
    """

    fresh: list[Version] = field(default_factory=list)
    touched: list[int] = field(default_factory=list)
    touched_bad: int = 0
    more: bool = False
    notes: list[str] = field(default_factory=list)


def unseen(known: Known, listed: Iterable[Delivered]) -> list[Delivered]:
    """The files that completed loads haven't seen, in the order in which they take their place."""
    files = [file for file in listed if (file.name, file.size_bytes, file.revision) not in known.seen]
    return sorted(files, key=lambda each: known.order(known.layout.period_of(each.name), each.revision))


def find(
    reader: Reader,
    known: Known,
    folder: Folder,
    files: Sequence[Delivered],
    copies: Path,
    prepare: Prepare | None = None,
) -> Found:
    """Copy and verify files that completed loads haven't seen.

    Of files that each hold the whole table, a load takes the first that is new: each is compared with the one before.

    Args:
        reader: what the load works with.
        known: what completed loads know.
        folder: where the files lie.
        files: those of `unseen`.
        copies: where the copies go.
        prepare: makes of a copy what is parsed; by the layout's format where none is given.

    Raises:
        SourceError: a file can't be read. One that can be read and is not sound is faulty, and the others go on.
    """
    found = Found()
    for file in files:
        if known.layout.holds == "table" and any(version.content for version in found.fresh):
            found.more = True
            break
        version = taken(known.layout, folder, file, copies, prepare or _by_format(known.layout, reader.workspace))
        if version is None:
            found.notes.append(f"{folder.source}: {file.name} was written while it was read; the next load reads it")
        else:
            _sort_in(version, known, found)
            if known.layout.holds == "part":
                found.notes += _named_otherwise(folder.source, version, known)
    return found


def _named_otherwise(source: str, version: Version, known: Known) -> list[str]:
    """Notes where a sound file is the first of its series beside those of others, or takes another's place."""
    if version.content is None or not known.layout.period:
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
    name = version.file.name
    if (name, version.checksum) in known.bad:
        found.touched_bad += 1
        return
    versions = known.of(version.period, version.series, name)
    order = known.order(version.period, version.file.revision)
    if version.content and versions:
        latest = versions[max(versions)]
        same = [each for each in versions.values() if (each[0], each[2]) == (version.checksum, name)]
        repeated = [latest] if latest[0] == version.checksum else same if known.layout.holds == "table" else []
        # Touched, a file of which something was rejected is judged again: the contract may have been mended since.
        is_judged_again = repeated == [latest] and max(versions)[1] in known.rejected
        if repeated and not is_judged_again:
            found.touched.append(repeated[0][1])
            return
        if order in versions:
            version = version.faulty(
                "written at the very time of another file of its day and series: give it a later time"
            )
        elif known.layout.holds == "table" and order < max(versions):
            version = version.faulty(f"it is of before {latest[2]}, which is loaded: what it tells is past")
    if version.content:
        versions[order] = (version.checksum, version.content.record_count, name)
    found.fresh.append(version)


def known_of(reader: Reader, layout: Layout, files: Table) -> Known:
    """What completed loads know of a layout's files, by the source's table of files."""
    known = Known(layout)
    period = quoted(layout.period) if layout.period else "null"
    mine, mine_of_rejects = "true", "true"
    if "table_name" in files.column_names:
        mine = f"table_name = {literal(layout.table.name)}"
        mine_of_rejects = f"(record ->> '$.table_name') = {literal(layout.table.name)}"
    for row in reader.connection.execute(f"""
            select {period}, {SERIES}, file_name, size_bytes, checksum, record_count, _revision
            from {reader.complete(files.name)} where {mine} order by _revision""").fetchall():
        day, series, name, size, checksum, records, revision = row
        known.seen.add((name, size, revision))
        known.of(day, series, name)[known.order(day, revision)] = (checksum, records, name)
        known.add(day, series, name)
    known.rejected = {
        revision
        for (revision,) in reader.connection.execute(f"""
            select distinct _revision from {reader.complete("rejects")} where resource = {literal(layout.table.name)}
            """).fetchall()
    }
    for row in reader.connection.execute(f"""
            select record ->> '$.file_name', cast(record ->> '$.size_bytes' as bigint), record ->> '$.checksum',
                _revision
            from {reader.complete("rejects")} where resource = {literal(files.name)} and {mine_of_rejects}
            """).fetchall():
        known.seen.add((row[0], row[1], row[3]))
        known.bad.add((row[0], row[2]))
    return known


def _by_format(layout: Layout, workspace: Path) -> Prepare:
    return lambda copy, file: prepared(copy, layout, workspace)


def taken(layout: Layout, folder: Folder, file: Delivered, copies: Path, prepare: Prepare) -> Version | None:
    """A file, copied and verified; None where it is written meanwhile.

    Raises:
        SourceError: it can't be read.
    """
    path = copies / copy_name(file)
    checksum = copy_file(folder, file, path)
    if checksum is None:
        return None
    version = Version(file, path, layout.period_of(file.name), layout.series_of(file.name), checksum)
    ending = layout.wrong_ending(file.name)
    if ending:
        return version.faulty(ending)
    if layout.period and version.period is None:
        return version.faulty(layout.no_period)
    try:
        text, content = prepare(path, file)
    except BadFileError as error:
        return version.faulty(str(error))
    return replace(version, path=text, content=content)
