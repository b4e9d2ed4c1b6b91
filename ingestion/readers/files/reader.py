"""A source's files as extracts: its settings, the versions that are new, and what their records say."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from ingestion.contract.contracts import Source, Table
from ingestion.contract.rules import cast
from ingestion.domains import variables
from ingestion.duck import fill
from ingestion.load.extracts import Extract, Reader, timestamp_literal
from ingestion.load.watching import Looked, Watch, glance
from ingestion.readers.documents import field_of
from ingestion.readers.files.deletes import deletes
from ingestion.readers.files.folder import copies_folder, list_files, open_folder
from ingestion.readers.files.layout import Layout, bare, file_table, layouts, written_as
from ingestion.readers.files.numbering import numbered
from ingestion.readers.files.parsing import parsed, parsed_table, unreadable_table
from ingestion.readers.files.versions import Found, Prepare, Version, find, known_of, unseen
from ingestion.readers.gone import compared
from ingestion.readers.settings import setting
from ingestion.sql import literal, quoted

_NOTES_AT_MOST = 10
_COLUMNS = (
    "path varchar, period date, file_series varchar, file_name varchar, modified_at timestamp, size_bytes bigint, "
    "checksum varchar, record_count bigint, fault varchar, revision bigint, effective_at timestamp, table_name varchar"
)


@dataclass(frozen=True)
class Files:
    """A table's files: how they are laid out, and what is new."""

    layout: Layout
    found: Found


def is_configured(source: str) -> bool:
    """Whether SOURCES__<SOURCE>__BUCKET_URL (or its place in .dlt) is set."""
    return bool(setting(source, "bucket_url"))


def watch(contract: Source) -> Watch | None:
    """What waits for files in a folder of this machine; None for an object store, which has to be asked.

    Raises:
        SourceError: there is no such folder.
    """
    path = open_folder(contract.name, str(setting(contract.name, "bucket_url"))).path
    if path is None:
        return None
    return Looked(lambda: glance(Path(path).rglob("*")), settles=True)


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The files that are new or changed since the last load, and their records.

    Raises:
        ContractError: the contract says something of its files that can't be followed.
        SourceError: the folder can't be read, or an implausible share of a table is gone. A file that can't be read
            is a reject, and the others go on.
    """
    source = reader.contract.name
    notes, every = found_files(reader, layouts(reader.contract))
    for each in every:
        each.found.fresh = parsed(reader.connection, each.layout, each.found.fresh)
        notes += [*each.found.notes, *_notes(source, each.layout, each.found.fresh)]
    yield file_versions(reader, every, notes)
    for each in every:
        yield _records(reader, each)


def found_files(
    reader: Reader, described: Sequence[Layout], prepare: Prepare | None = None
) -> tuple[list[str], list[Files]]:
    """What lies in the folder and is new, by table, and what a person should know of the folder.

    Args:
        reader: what the load works with.
        described: the layouts of the files.
        prepare: what makes a copied file ready (see `versions.find`); by the layout's format where none is given.
    """
    source = reader.contract.name
    url = str(setting(source, "bucket_url"))
    folder = open_folder(source, url)
    notes, wanted = [], []
    for layout in described:
        chosen = setting(source, "file_glob") if len(described) == 1 else None
        patterns = [str(chosen)] if chosen else layout.patterns
        listed, dangling = list_files(folder, patterns)
        notes += [] if listed else [f"{source}: no file in {url} matches {' or '.join(patterns)}"]
        notes += [f"{source}: {name} is a link that leads nowhere" for name in dangling[:_NOTES_AT_MOST]]
        known = known_of(reader, layout, file_table(reader.contract))
        wanted.append((known, unseen(known, listed)))
    copies = copies_folder(reader.target, source, [file for _, files in wanted for file in files])
    reader.on_complete.append(lambda: shutil.rmtree(copies))
    return notes, [Files(known.layout, find(reader, known, folder, files, copies, prepare)) for known, files in wanted]


def _notes(source: str, layout: Layout, versions: Sequence[Version]) -> list[str]:
    """The columns that files have and the contract doesn't know."""
    new: dict[str, str] = {}
    for version in versions:
        header = version.content.header if version.content else ()
        known = {written_as(column, header) for column in layout.columns}
        known |= {field_of(column) for column in layout.columns}
        for name in header:
            if name not in known and bare(name) not in {bare(column.name) for column in layout.columns}:
                new.setdefault(name, version.file.name)
    return [f"{source}: a new column {name}, which the contract doesn't know, in {file}" for name, file in new.items()]


def _effective_at(reader: Reader, layout: Layout, version: Version) -> datetime:
    """When a version holds from, UTC: from when it was written; the table as of a day, from that day's beginning.

    A day begins as the business's clock has it, which is the project's `business_timezone`.
    """
    if layout.holds != "table" or version.period is None:
        return version.file.modified_at.replace(tzinfo=None)
    zone = ZoneInfo(str(variables(reader.target.project).get("business_timezone", "UTC")))
    return datetime.combine(version.period, time(), zone).astimezone(UTC).replace(tzinfo=None)


def _bad(reader: Reader, every: Sequence[Files]) -> list[str]:
    """Notes of the files that were not loaded."""
    source, bad = reader.contract.name, [version for each in every for version in each.found.fresh if version.fault]
    notes = [
        f"{source}: {version.file.name} was not loaded: {version.fault}; a mended file is loaded by itself"
        for version in bad[:_NOTES_AT_MOST]
    ]
    if len(bad) > _NOTES_AT_MOST:
        more = len(bad) - _NOTES_AT_MOST
        notes.append(f"{source}: {more:,} more files were not loaded: see {reader.contract.schema}.rejects")
    return notes


def file_versions(reader: Reader, every: Sequence[Files], notes: Sequence[str]) -> Extract:
    """The new versions, which stay as the temporary table `versions`, with notes of those that are bad and others."""
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
            _effective_at(reader, each.layout, version),
            each.layout.table.name,
        )
        for each in every
        for version in each.found.fresh
    ]
    table = file_table(reader.contract)
    reader.connection.execute(f"create or replace temp table file_versions ({_COLUMNS})")
    own = [part.split()[0] for part in _COLUMNS.split(", ")]
    fill(reader.connection, "file_versions", own, rows)
    # By the names that the tables give the date; null where none does.
    named = ""
    for name in dict.fromkeys([*table.column_names, *(each.layout.period for each in every if each.layout.period)]):
        tables = [literal(each.layout.table.name) for each in every if each.layout.period == name] or ["null"]
        if name not in own:
            named += f", case when table_name in ({', '.join(tables)}) then period end as {quoted(name)}"
    reader.connection.execute(f"create or replace temp view versions as select *{named} from file_versions")
    columns = ", ".join(quoted(name) for name in table.column_names)
    relation = f"""(
        select {columns}, 'U' as _operation, revision as _revision, modified_at as _effective_at
        from versions where fault is null)"""
    which = "'table_name', table_name, " if _has_table_name(reader) else ""
    rejects = f"""
        select {_reject_key(table, table.column_names)} as record_key,
            json_object({which}'file_name', file_name, 'size_bytes', size_bytes, 'checksum', checksum) as record,
            to_json(['file: ' || fault]) as reasons, revision as _revision, modified_at as _effective_at
        from versions where fault is not null"""
    known = sum(len(each.found.touched) + each.found.touched_bad for each in every)
    return Extract(
        table=table,
        relation=relation,
        source_count=len(rows) + known,
        known=known,
        rejects=rejects,
        notes=(*notes, *_bad(reader, every)),
        more=any(each.found.more for each in every),
    )


def _reject_key(table: Table, known: Sequence[str]) -> str:
    """What mends a reject of which a file's version alone is known: the columns of its key that the version tells."""
    parts = [f"cast({quoted(name)} as varchar)" if name in known else "null" for name in table.reject_key]
    return f"to_json([{', '.join(parts)}])"


def _records(reader: Reader, files: Files) -> Extract:
    """The records of the new versions, and the deletes that follow from them."""
    layout, found, table = files.layout, files.found, files.layout.table
    mine = f"v.table_name = {literal(table.name)}"
    rejects = f"""
        select {_reject_key(table, layout.identity)} as record_key,
            json_object(
                {f"{literal(layout.period)}, v.period, " if layout.period else ""}
                'file_name', v.file_name, 'line', u.line, 'text', u.text
            ) as record,
            to_json([u.fault]) as reasons, v.revision as _revision, v.modified_at as _effective_at
        from {unreadable_table(layout)} as u inner join versions as v on v.path = u.path and {mine}"""
    sound = [version for version in found.fresh if version.content]
    counted, touched = sum(version.record_count for version in sound), sum(found.touched)
    relation = _relation(reader, layout, mine)
    extract = Extract(table, relation, counted + touched, known=touched, rejects=rejects)
    if not sound:
        return extract
    if layout.holds == "table":
        return compared(reader, extract, timestamp_literal(_effective_at(reader, layout, sound[0])))
    if layout.holds == "changes":
        oldest = reader.connection.execute(f"select min(_effective_at) from {relation}").fetchone()
        return replace(extract, compare_since=oldest[0] if oldest and table.modified_at else None)
    completed = reader.complete(file_table(reader.contract).name)
    this = f" where table_name = {literal(table.name)}" if _has_table_name(reader) else ""
    return replace(extract, deletes=deletes(reader, layout, f"(from {completed}{this})"))


def _relation(reader: Reader, layout: Layout, mine: str) -> str:
    """The records as rows. `parsed` keeps the files' order: rowid is a record's place in its file."""
    table = layout.table
    types = {
        str(row[0]): str(row[1]) for row in reader.connection.execute(f"describe {parsed_table(layout)}").fetchall()
    }
    columns = [f"v.{quoted(name)}" for name in layout.identity if name in table.column_names]
    columns += [f"p.{quoted(column.name)}" for column in layout.columns]
    joins = []
    for name, within in layout.numbered.items():
        join, number = numbered(reader.connection, layout, within, f"numbered_{name}")
        joins.append(join)
        columns.append(f"{number} as {quoted(name)}")
    revision, effective_at, modified_at = "v.revision", "v.effective_at", "null"
    if layout.holds == "changes":
        # A file may hold several versions of a record: the later line is the later one.
        join, number = numbered(reader.connection, layout, (), "numbered")
        joins.append(join)
        revision = f"v.revision + {number}"
    if table.modified_at and layout.holds != "part":
        modified = next(column for column in table.columns if column.name == table.modified_at)
        modified_at = f"cast({cast(modified, types[modified.name])} as timestamp)"
        # What is said to be of later than its file says nothing of when it holds.
        effective_at = f"least(coalesce(p._modified_at, {effective_at}), {effective_at})"
        revision = f"coalesce(epoch_us(p._modified_at), {revision})"
    return f"""(
        select {", ".join(columns)}, 'U' as _operation, {revision} as _revision, {effective_at} as _effective_at
        from (select *, rowid as _place, {modified_at} as _modified_at from {parsed_table(layout)}) as p
        inner join versions as v on v.path = p.path and {mine} {" ".join(joins)})"""


def _has_table_name(reader: Reader) -> bool:
    return "table_name" in file_table(reader.contract).column_names
