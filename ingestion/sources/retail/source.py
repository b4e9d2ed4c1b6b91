"""The retail business's daily files as extracts: which are new, which are sound, what their lines say."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import dlt
import duckdb

from ingestion.load.extracts import Extract, Reader, first_line
from ingestion.sources.retail.folder import Delivered, copies_folder, copy_file, copy_name, list_files, open_folder
from ingestion.sources.retail.verification import BadFileError, Content, verify
from ingestion.sql import literal, quoted

# The columns that every file has, and raw's names of them. What else the contract has, a file may have (`_added`).
COLUMNS = {
    "InvoiceNo": "invoice_no",
    "StockCode": "stock_code",
    "Description": "description",
    "Quantity": "quantity",
    "InvoiceDate": "invoice_date",
    "UnitPrice": "unit_price",
    "CustomerID": "customer_id",
    "Country": "country",
}
_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
_NOTES_AT_MOST = 10


@dataclass(frozen=True)
class Version:
    """A file that is new or has changed, copied and read as a whole; `fault` says what is wrong with it."""

    file: Delivered
    path: Path
    trading_date: date | None
    checksum: str
    content: Content | None = None
    fault: str | None = None


@dataclass
class Known:
    """What completed loads know of the folder's files."""

    seen: set[tuple[str, int, int]] = field(default_factory=set)  # name, size, revision: not looked at again
    bad: set[tuple[str, str]] = field(default_factory=set)  # name, checksum
    versions: dict[date, dict[int, tuple[str, int]]] = field(default_factory=dict)  # revision → checksum, records


def is_configured(source: str) -> bool:
    """Whether SOURCES__RETAIL__BUCKET_URL (or its place in .dlt) is set."""
    return bool(dlt.config.get("sources.retail.bucket_url"))


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The files that are new or changed since the last load, and their lines.

    Raises:
        SourceError: the folder can't be read. A file that can't is a reject, and the others go on.
    """
    url = str(dlt.config.get("sources.retail.bucket_url"))
    pattern = str(dlt.config.get("sources.retail.file_glob") or "*.csv*")
    folder = open_folder(url)
    listed = list_files(folder, pattern)
    notes = [] if listed else [f"retail: no file in {url} matches {pattern}"]
    known = _known(reader)
    fresh: list[Version] = []
    touched: list[int] = []  # records of files that have a new time, but the content that is known already
    touched_bad = 0
    unseen = [file for file in listed if (file.name, file.size_bytes, file.revision) not in known.seen]
    copies = copies_folder(reader.target, unseen)
    reader.on_complete.append(lambda: shutil.rmtree(copies))
    for file in unseen:
        path = copies / copy_name(file)
        checksum = copy_file(folder, file, path)
        if checksum is None:
            notes.append(f"retail: {file.name} was written while it was read; the next load reads it")
            continue
        version = _version(file, path, checksum)
        versions = known.versions.setdefault(version.trading_date, {}) if version.trading_date else {}
        if (file.name, checksum) in known.bad:
            touched_bad += 1
            continue
        if version.content and versions and versions[max(versions)][0] == checksum:
            touched.append(versions[max(versions)][1])
            continue
        if version.content and file.revision in versions:
            version = _faulty(version, "written at the very time of another file of its day: give it a later time")
        if version.content:
            versions[file.revision] = (checksum, version.content.record_count)
        fresh.append(version)
    fresh = list(_parsed(reader, fresh))
    notes += _notes(fresh, _added(reader))
    yield _files(reader, fresh, len(touched), touched_bad, notes)
    yield _lines(reader, fresh, sum(touched))


def _added(reader: Reader) -> list[str]:
    """The columns that came into the contract later. Files from before have none of them: null, if that may be."""
    fixed = {*COLUMNS.values(), "trading_date", "line_number"}
    return [name for name in reader.contract.table("sales_lines").column_names if name not in fixed]


def _bare(name: str) -> str:
    """A name's letters and digits, by which `LoyaltyCard` and `Loyalty Card` are the contract's loyalty_card."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _known(reader: Reader) -> Known:
    known = Known()
    for row in reader.connection.execute(f"""
            select trading_date, file_name, size_bytes, checksum, record_count, _revision
            from {reader.complete("files")}""").fetchall():
        known.seen.add((row[1], row[2], row[5]))
        known.versions.setdefault(row[0], {})[row[5]] = (row[3], row[4])
    for row in reader.connection.execute(f"""
            select record ->> '$.file_name', cast(record ->> '$.size_bytes' as bigint), record ->> '$.checksum',
                _revision
            from {reader.complete("rejects")} where resource = 'files'""").fetchall():
        known.seen.add((row[0], row[1], row[3]))
        known.bad.add((row[0], row[2]))
    return known


def _version(file: Delivered, path: Path, checksum: str) -> Version:
    day = _trading_date(file.name)
    version = Version(file, path, day, checksum)
    if not file.name.endswith((".csv", ".csv.gz")):
        return _faulty(version, "its name ends in neither .csv nor .csv.gz")
    if day is None:
        return _faulty(version, "no trading date (YYYY-MM-DD) in its name")
    try:
        return Version(file, path, day, checksum, content=verify(path, COLUMNS))
    except BadFileError as error:
        return _faulty(version, str(error))


def _faulty(version: Version, fault: str) -> Version:
    return Version(version.file, version.path, version.trading_date, version.checksum, fault=fault)


def _trading_date(name: str) -> date | None:
    match = _DATE.search(Path(name).name)
    try:
        return date.fromisoformat(match[0]) if match else None
    except ValueError:
        return None


def _parsed(reader: Reader, versions: Sequence[Version]) -> Iterator[Version]:
    """Parse all sound files into the table `parsed` and their unreadable lines into `unreadable`.

    Yields:
        The versions; those whose records the parser doesn't find in full are faulty now, and have no rows there.
    """
    connection, added = reader.connection, _added(reader)
    columns = ", ".join(f"{quoted(name)} varchar" for name in [*COLUMNS, *added])
    connection.execute(f"create or replace temp table parsed ({columns}, path varchar)")
    sound = [version for version in versions if version.content]
    faults: dict[Path, str] = {}
    # One read for all files whose columns stand in the same order, which is nearly always all files.
    by_header: dict[tuple[str, ...], list[Version]] = {}
    for version in sound:
        assert version.content is not None
        by_header.setdefault(version.content.header, []).append(version)
    for header, group in by_header.items():
        try:
            _read_csv(connection, header, added, [version.path for version in group])
        except duckdb.Error:
            # One of them breaks the parser: read each on its own, so that it breaks for itself alone.
            for version in group:
                try:
                    _read_csv(connection, header, added, [version.path])
                except duckdb.Error as error:
                    faults[version.path] = f"the parser breaks off: {first_line(error)}"
    _unreadable(connection)
    found = dict(
        connection.execute("""
            select path, count(*) from (select path from parsed union all select path from unreadable) group by path
        """).fetchall()
    )
    for version in versions:
        count = version.content.record_count if version.content else 0
        fault = faults.get(version.path)
        if version.content and not fault and found.get(str(version.path), 0) != count:
            fault = f"{count:,} records were counted, but {found.get(str(version.path), 0):,} could be parsed"
        if fault:
            for table in ("parsed", "unreadable"):
                connection.execute(f"delete from {table} where path = {literal(str(version.path))}")
        yield _faulty(version, fault) if fault else version


def _read_csv(
    connection: duckdb.DuckDBPyConnection, header: Sequence[str], added: Sequence[str], paths: Sequence[Path]
) -> None:
    """Append the files' records to `parsed`, in their order. Nothing is sniffed: the header has been read already."""
    written = {_bare(name): quoted(name) for name in header}
    values = [*map(quoted, COLUMNS), *(written.get(_bare(name), "null") for name in added)]
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    files = ", ".join(literal(str(path)) for path in paths)
    connection.execute(f"""
        insert into parsed
        select {", ".join(values)}, filename
        from read_csv(
            [{files}], columns = {{{columns}}}, auto_detect = false, header = true, filename = true,
            delim = ',', quote = '"', escape = '"', nullstr = '',
            store_rejects = true, rejects_table = 'csv_errors', rejects_scan = 'csv_scans'
        )""")


def _unreadable(connection: duckdb.DuckDBPyConnection) -> None:
    """The lines that have too few or too many columns, or broken quotes: one row each, as `unreadable`."""
    connection.execute(
        "create or replace temp table unreadable (path varchar, line bigint, text varchar, fault varchar)"
    )
    if not connection.execute("select 1 from duckdb_tables() where table_name = 'csv_errors'").fetchall():
        return
    connection.execute("""
        insert into unreadable
        select s.file_path, e.line, trim(any_value(e.csv_line), chr(10) || chr(13)), case min(e.error_type)
            when 'MISSING COLUMNS' then 'too few' when 'TOO MANY COLUMNS' then 'too many'
            when 'UNQUOTED VALUE' then 'quotes' else lower(any_value(cast(e.error_type as varchar))) end
        from csv_errors as e inner join csv_scans as s using (scan_id, file_id)
        group by s.file_path, e.line, e.line_byte_position""")


def _notes(versions: Sequence[Version], added: Sequence[str]) -> list[str]:
    notes = []
    bad = [version for version in versions if version.fault]
    for version in bad[:_NOTES_AT_MOST]:
        notes.append(f"retail: {version.file.name} was not loaded: {version.fault}; a mended file is loaded by itself")
    if len(bad) > _NOTES_AT_MOST:
        notes.append(f"retail: {len(bad) - _NOTES_AT_MOST:,} more files were not loaded: see raw_retail.rejects")
    new: dict[str, str] = {}
    for version in versions:
        for name in version.content.header if version.content else ():
            if name not in COLUMNS and _bare(name) not in map(_bare, added):
                new.setdefault(name, version.file.name)
    notes += [f"retail: a new column {name}, which the contract doesn't know, in {file}" for name, file in new.items()]
    return notes


def _files(reader: Reader, versions: Sequence[Version], touched: int, touched_bad: int, notes: list[str]) -> Extract:
    rows = [
        (
            str(version.path),
            version.trading_date,
            version.file.name,
            version.file.modified_at.replace(tzinfo=None),
            version.file.size_bytes,
            version.checksum,
            version.content.record_count if version.content else None,
            version.fault,
            version.file.revision,
        )
        for version in versions
    ]
    reader.connection.execute("""
        create or replace temp table versions (
            path varchar, trading_date date, file_name varchar, modified_at timestamp, size_bytes bigint,
            checksum varchar, record_count bigint, fault varchar, revision bigint
        )""")
    if rows:
        reader.connection.executemany("insert into versions values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    table = reader.contract.table("files")
    relation = f"""(
        select {", ".join(table.column_names)}, 'U' as _operation, revision as _revision, modified_at as _effective_at
        from versions where fault is null)"""
    rejects = """
        select to_json([cast(trading_date as varchar)]) as record_key,
            json_object('file_name', file_name, 'size_bytes', size_bytes, 'checksum', checksum) as record,
            to_json(['file: ' || fault]) as reasons, revision as _revision, modified_at as _effective_at
        from versions where fault is not null"""
    return Extract(
        table=table,
        relation=relation,
        source_count=len(versions) + touched + touched_bad,
        known=touched + touched_bad,
        rejects=rejects,
        notes=tuple(notes),
    )


def _lines(reader: Reader, versions: Sequence[Version], touched_records: int) -> Extract:
    """The lines of the new versions, and the deletes that follow from them.

    A line is named by its place within its invoice, as the file has it: `parsed` keeps the files' order, and rowid
    is the place in it.
    """
    table = reader.contract.table("sales_lines")
    names = COLUMNS | {name: name for name in _added(reader)}
    renamed = ", ".join(f"p.{quoted(name)} as {quoted(raw)}" for name, raw in names.items())
    relation = f"""(
        select v.trading_date, {renamed},
            row_number() over (partition by p.path, p."InvoiceNo" order by p.rowid) as line_number,
            'U' as _operation, v.revision as _revision, v.modified_at as _effective_at
        from parsed as p inner join versions as v on v.path = p.path)"""
    rejects = """
        select to_json([cast(v.trading_date as varchar)]) as record_key,
            json_object(
                'trading_date', v.trading_date, 'file_name', v.file_name, 'line', u.line, 'text', u.text
            ) as record,
            to_json(['columns:' || u.fault]) as reasons, v.revision as _revision, v.modified_at as _effective_at
        from unreadable as u inner join versions as v on v.path = u.path"""
    counted = sum(version.content.record_count for version in versions if version.content)
    return Extract(
        table=table,
        relation=relation,
        source_count=counted + touched_records,
        known=touched_records,
        rejects=rejects,
        deletes=_deletes(reader) if counted else None,
    )


def _deletes(reader: Reader) -> str:
    """What vanishes between two versions of a day's file that follow each other, where one of the two is new.

    To look at both sides of a new version, at the version before it and at the one after, makes the order of arrival
    irrelevant: a version that arrives after its successor still ends where the successor lacks a line. A line holds
    in a version where it keeps the contract; one that came back broken is gone, as the rejects say.
    """
    table = reader.contract.table("sales_lines")
    columns = ", ".join(quoted(name) for name in table.column_names)
    key = ", ".join(quoted(name) for name in table.key)
    return f"""
        with all_versions as (
            select trading_date, _revision as revision, _effective_at as effective_at, false as is_new
            from {reader.complete("files")}
            union all
            select trading_date, revision, modified_at, true from versions where fault is null
        ),
        neighbours as (
            select trading_date, revision as earlier, is_new,
                lead(revision) over successors as later,
                lead(effective_at) over successors as later_at,
                lead(is_new) over successors as later_is_new
            from all_versions
            window successors as (partition by trading_date order by revision)
        ),
        pairs as (select * from neighbours where later is not null and (is_new or later_is_new)),
        known_lines as (
            select {columns}, _revision from {reader.complete("sales_lines")}
            where _operation = 'U' and trading_date in (select trading_date from pairs)
        ),
        all_lines as (select * from known_lines union all select {columns}, _revision from good),
        before as (
            select all_lines.*, later, later_at from all_lines
            inner join pairs on pairs.trading_date = all_lines.trading_date and earlier = _revision
        ),
        after as (
            select {key}, later from all_lines
            inner join pairs using (trading_date) where later = _revision
        )
        select {columns}, 'D' as _operation, later as _revision, later_at as _effective_at
        from before anti join after using ({key}, later)
        except all
        select {columns}, _operation, _revision, _effective_at from {reader.complete("sales_lines")}
        where _operation = 'D' and trading_date in (select trading_date from pairs)"""
