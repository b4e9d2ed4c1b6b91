"""The files of a folder that are new, each copied and read once."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ingestion.contract.contracts import Table
from ingestion.duck import fill
from ingestion.load.extracts import Extract, Reader
from ingestion.readers.fhir.contents import ENDINGS, Delivery, delivered
from ingestion.readers.fhir.elements import Resources, resources_of
from ingestion.readers.fhir.names import known_names
from ingestion.readers.fhir.resources import Lines, counts_by_file, extracts_of, read
from ingestion.readers.files.folder import Delivered, copies_folder, list_files, open_folder
from ingestion.readers.files.layout import SERIES, Layout, file_table
from ingestion.readers.files.verification import BadFileError, Content
from ingestion.readers.files.versions import Known, Version, find, known_of, taken, unseen
from ingestion.readers.settings import setting
from ingestion.sql import literal, quoted

_NOTES_AT_MOST = 10
# What raw has of a file beside the columns that every source of files has.
_OWN = {"kind": "varchar", "timeless_count": "bigint"}


@dataclass(frozen=True)
class _Found:
    """What the folder has: new versions of files, files that are read again, how many are as they were."""

    fresh: list[Version]
    again: list[Version]
    known: int
    notes: list[str]


def from_folder(reader: Reader) -> Generator[Extract, None, None]:
    """The files that are new or changed since the last load, and their resources.

    Raises:
        ContractError: the contract says something of them that can't be followed.
        SourceError: the folder can't be read.
    """
    typed, others = resources_of(reader.contract)
    found = _found(reader, typed, others)
    read(reader.connection, [_lines(version) for version in (*found.fresh, *found.again) if version.record_count])
    counts = counts_by_file(reader.connection)
    fresh = [_checked(reader, version, counts) for version in found.fresh]
    yield _versions(reader, fresh, counts, found)
    yield from extracts_of(reader, typed, others)


def _delivery(version: Version) -> Delivery:
    assert isinstance(version.content, Delivery)
    return version.content


def _lines(version: Version) -> Lines:
    file, marked = version.file, _delivery(version).kind == "bundle"
    return Lines(version.path, file.name, file.modified_at, file.revision, marked)


def _found(reader: Reader, typed: Sequence[Resources], others: Table) -> _Found:
    """What lies in the folder and is new, and what a person should know of it."""
    source, url = reader.contract.name, str(setting(reader.contract.name, "bucket_url"))
    folder = open_folder(source, url)
    patterns = ["**/*." + "".join(f"[{letter}{letter.upper()}]" for letter in each[1:]) + "*" for each in ENDINGS]
    listed, dangling = list_files(folder, patterns)
    notes = [] if listed else [f"{source}: no file in {url} ends in {', '.join(ENDINGS)}"]
    notes += [f"{source}: {len(dangling)} links lead nowhere"] if dangling else []
    listed = known_names(reader, listed, [each.type for each in typed])
    # Every file tells what is new or changed, and its records are judged again with it where any was a reject.
    layout = Layout(others, glob="*", format="ndjson", holds="changes")
    known = known_of(reader, layout, file_table(reader.contract))
    if known.rejected or _has_rejects(reader):
        known.rejected = {revision for _, _, revision in known.seen}
    new = unseen(known, listed)
    told = _told_before(reader, known, listed, new)
    copies = copies_folder(reader.target, source, [*new, *told])
    reader.on_complete.append(lambda: shutil.rmtree(copies))

    def prepare(copy: Path, file: Delivered) -> tuple[Path, Content]:
        if not file.name.lower().removesuffix(".gz").endswith(ENDINGS):
            raise BadFileError(f"its name ends in none of {', '.join(ENDINGS)}")
        return delivered(copy, file.name, reader.workspace / f"{copy.name}.lines")

    found = find(reader, known, folder, new, copies, prepare)
    again = [version for file in told if (version := taken(layout, folder, file, copies, prepare))]
    fresh = _counted_by_manifests(found.fresh, again)
    sound = [version for version in fresh if version.content]
    logs = [version for version in sound if _delivery(version).kind == "log"]
    if logs:
        others_too = f" and {len(logs) - 1:,} more files are exporters' logs" if logs[1:] else " is an exporter's log"
        notes.append(f"{source}: {logs[0].file.name}{others_too}, without resources")
    skipped = [version for version in sound if _delivery(version).skipped]
    for version in skipped[:_NOTES_AT_MOST]:
        count = _delivery(version).skipped
        notes.append(f"{source}: {version.file.name} has {count:,} entries that are no resources")
    if len(skipped) > _NOTES_AT_MOST:
        notes.append(f"{source}: so have {len(skipped) - _NOTES_AT_MOST:,} more files")
    known_count = len(found.touched) + found.touched_bad + len(again)
    return _Found(fresh, [each for each in again if each.content], known_count, [*notes, *found.notes])


def _has_rejects(reader: Reader) -> bool:
    files = literal(file_table(reader.contract).name)
    return bool(
        reader.connection.execute(
            f"select 1 from {reader.complete('rejects')} where resource <> {files} limit 1"
        ).fetchall()
    )


def _told_before(
    reader: Reader, known: Known, listed: Sequence[Delivered], new: Sequence[Delivered]
) -> list[Delivered]:
    """The files that are read again beside new ones: manifests, and what may have been told again after these.

    A resource that says nothing of its time holds from its file's. Where it said what the file before said, it was
    known, and has no version in raw; where a new file comes between the two, it is news.
    """
    if not new:
        return []
    first = min(file.revision for file in new)
    table = file_table(reader.contract)
    rows = reader.connection.execute(f"""
        select file_name, size_bytes, _revision from {reader.complete(table.name)}
        where kind = 'manifest' or (timeless_count > 0 and _revision > {first})""").fetchall()
    told = {(str(name), int(size), int(revision)) for name, size, revision in rows}
    return [file for file in listed if (file.name, file.size_bytes, file.revision) in told]


def _counted_by_manifests(fresh: Sequence[Version], again: Sequence[Version]) -> list[Version]:
    """The new versions; those that have other numbers of resources than a manifest beside them says are faulty."""
    said = {
        (str(Path(version.file.url).parent), unquote(name)): count
        for version in (*again, *fresh)
        if version.content
        for name, count in _delivery(version).counts.items()
    }

    def checked(version: Version) -> Version:
        count = said.get((str(Path(version.file.url).parent), Path(version.file.url).name))
        if not version.content or not _delivery(version).is_miscounted(count):
            return version
        return version.faulty(f"the manifest counts {count:,} resources, and it has {version.record_count:,}")

    return [checked(version) for version in fresh]


def _checked(reader: Reader, version: Version, counts: dict[str, tuple[int, int]]) -> Version:
    """A version of which all lines were read; else it is faulty, and has none."""
    was_read, _ = counts.get(str(version.path), (0, 0))
    if not version.content or was_read == version.record_count:
        return version
    reader.connection.execute(f"delete from resource_lines where path = {literal(str(version.path))}")
    return version.faulty(f"{version.record_count:,} records were counted, but {was_read:,} could be parsed")


def _versions(
    reader: Reader, versions: Sequence[Version], counts: dict[str, tuple[int, int]], found: _Found
) -> Extract:
    """The new versions of files."""
    table, source = file_table(reader.contract), reader.contract.name
    columns = {
        "file_name": "varchar", SERIES: "varchar", "modified_at": "timestamp", "size_bytes": "bigint",
        "checksum": "varchar", "record_count": "bigint", **_OWN, "fault": "varchar", "revision": "bigint",
    }  # fmt: skip
    listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    reader.connection.execute(f"create or replace temp table versions ({listed})")
    rows = [
        (
            version.file.name, version.series, version.file.modified_at.replace(tzinfo=None), version.file.size_bytes,
            version.checksum, version.record_count if version.content else None,
            _delivery(version).kind if version.content else None,
            counts.get(str(version.path), (0, 0))[1] if version.content else None, version.fault,
            version.file.revision,
        )
        for version in versions
    ]  # fmt: skip
    fill(reader.connection, "versions", columns, rows)
    bad = [version for version in versions if version.fault]
    notes = [
        f"{source}: {version.file.name} ({version.file.size_bytes:,} bytes, of "
        f"{version.file.modified_at:%Y-%m-%d %H:%M:%S}) was not loaded: {version.fault}; "
        "a mended file is loaded by itself"
        for version in bad[:_NOTES_AT_MOST]
    ]
    if len(bad) > _NOTES_AT_MOST:
        notes.append(
            f"{source}: {len(bad) - _NOTES_AT_MOST:,} more files were not loaded: see {reader.contract.schema}.rejects"
        )
    values = ", ".join(quoted(name) for name in table.column_names)
    key = ", ".join(f"cast({quoted(name)} as varchar)" for name in table.reject_key)
    return Extract(
        table=table,
        relation=f"""(
            select {values}, 'U' as _operation, revision as _revision, modified_at as _effective_at
            from versions where fault is null)""",
        source_count=len(versions) + found.known,
        known=found.known,
        rejects=f"""
            select to_json([{key}]) as record_key,
                json_object('file_name', file_name, 'size_bytes', size_bytes, 'checksum', checksum) as record,
                to_json(['file: ' || fault]) as reasons, revision as _revision, modified_at as _effective_at
            from versions where fault is not null""",
        notes=(*found.notes, *notes),
    )
