"""A source's files as extracts: its settings, the versions that are new, and what their records say."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ingestion.load.extracts import Extract, Reader
from ingestion.readers.files.deletes import deletes
from ingestion.readers.files.folder import list_files, open_folder
from ingestion.readers.files.layout import SERIES, Layout, bare
from ingestion.readers.files.parsing import parsed
from ingestion.readers.files.versions import Found, Version, find
from ingestion.readers.settings import setting
from ingestion.sql import literal, quoted

_NOTES_AT_MOST = 10


def is_configured(source: str) -> bool:
    """Whether SOURCES__<SOURCE>__BUCKET_URL (or its place in .dlt) is set."""
    return bool(setting(source, "bucket_url"))


def extracts(reader: Reader, layout: Layout) -> Generator[Extract, None, None]:
    """The files that are new or changed since the last load, and their records.

    Raises:
        SourceError: the folder can't be read. A file that can't is a reject, and the others go on.
    """
    source = reader.contract.name
    url, pattern = str(setting(source, "bucket_url")), str(setting(source, "file_glob") or "*.[cC][sS][vV]*")
    folder = open_folder(source, url)
    listed, dangling = list_files(folder, pattern)
    notes = [] if listed else [f"{source}: no file in {url} matches {pattern}"]
    notes += [f"{source}: {name} is a link that leads nowhere" for name in dangling[:_NOTES_AT_MOST]]
    found = find(reader, layout, folder, listed)
    added = layout.added(reader.contract)
    found.fresh = list(parsed(reader.connection, list(layout.columns), added, found.fresh))
    notes += [*found.notes, *_notes(reader, layout, added, found.fresh)]
    yield _files(reader, layout, found, notes)
    yield _records(reader, layout, added, found)


def _notes(reader: Reader, layout: Layout, added: Sequence[str], versions: Sequence[Version]) -> list[str]:
    notes, source = [], reader.contract.name
    bad = [version for version in versions if version.fault]
    for version in bad[:_NOTES_AT_MOST]:
        notes.append(
            f"{source}: {version.file.name} was not loaded: {version.fault}; a mended file is loaded by itself"
        )
    if len(bad) > _NOTES_AT_MOST:
        more = len(bad) - _NOTES_AT_MOST
        notes.append(f"{source}: {more:,} more files were not loaded: see {reader.contract.schema}.rejects")
    new: dict[str, str] = {}
    for version in versions:
        for name in version.content.header if version.content else ():
            if name not in layout.columns and bare(name) not in map(bare, added):
                new.setdefault(name, version.file.name)
    notes += [
        f"{source}: a new column {name}, which the contract doesn't know, in {file}" for name, file in new.items()
    ]
    return notes


def _files(reader: Reader, layout: Layout, found: Found, notes: Sequence[str]) -> Extract:
    """The new versions, which stay as the temporary table `versions`."""
    rows = [
        (
            str(version.path),
            version.period,
            version.series,
            version.file.name,
            version.file.modified_at.replace(tzinfo=None),
            version.file.size_bytes,
            version.checksum,
            version.content.record_count if version.content else None,
            version.fault,
            version.file.revision,
        )
        for version in found.fresh
    ]
    period = quoted(layout.period)
    reader.connection.execute(f"""
        create or replace temp table versions (
            path varchar, {period} date, {SERIES} varchar, file_name varchar, modified_at timestamp, size_bytes bigint,
            checksum varchar, record_count bigint, fault varchar, revision bigint
        )""")
    if rows:
        reader.connection.executemany("insert into versions values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    table = reader.contract.table(layout.files)
    columns = ", ".join(quoted(name) for name in table.column_names)
    relation = f"""(
        select {columns}, 'U' as _operation, revision as _revision, modified_at as _effective_at
        from versions where fault is null)"""
    rejects = f"""
        select to_json([cast({period} as varchar), {SERIES}]) as record_key,
            json_object('file_name', file_name, 'size_bytes', size_bytes, 'checksum', checksum) as record,
            to_json(['file: ' || fault]) as reasons, revision as _revision, modified_at as _effective_at
        from versions where fault is not null"""
    known = len(found.touched) + found.touched_bad
    return Extract(
        table=table,
        relation=relation,
        source_count=len(found.fresh) + known,
        known=known,
        rejects=rejects,
        notes=tuple(notes),
    )


def _records(reader: Reader, layout: Layout, added: Sequence[str], found: Found) -> Extract:
    """The records of the new versions, and the deletes that follow from them.

    `parsed` keeps the files' order: rowid is a record's place in its file.
    """
    period = quoted(layout.period)
    names = {**layout.columns, **{name: name for name in added}}
    renamed = [f"p.{quoted(name)} as {quoted(raw)}" for name, raw in names.items()]
    computed = [f"{expression} as {quoted(name)}" for name, expression in layout.computed.items()]
    relation = f"""(
        select v.{period}, v.{SERIES}, {", ".join([*renamed, *computed])},
            'U' as _operation, v.revision as _revision, v.modified_at as _effective_at
        from parsed as p inner join versions as v on v.path = p.path)"""
    rejects = f"""
        select to_json([cast(v.{period} as varchar), v.{SERIES}]) as record_key,
            json_object(
                {literal(layout.period)}, v.{period}, 'file_name', v.file_name, 'line', u.line, 'text', u.text
            ) as record,
            to_json(['columns:' || u.fault]) as reasons, v.revision as _revision, v.modified_at as _effective_at
        from unreadable as u inner join versions as v on v.path = u.path"""
    counted, touched = sum(version.record_count for version in found.fresh), sum(found.touched)
    return Extract(
        table=reader.contract.table(layout.records),
        relation=relation,
        source_count=counted + touched,
        known=touched,
        rejects=rejects,
        deletes=deletes(reader, layout) if counted else None,
    )
