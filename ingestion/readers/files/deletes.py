"""What vanished between two versions of a part."""

from __future__ import annotations

from ingestion.load.extracts import Reader
from ingestion.readers.files.layout import Layout
from ingestion.sql import folded, literal, quoted


def deletes(reader: Reader, layout: Layout, files: str) -> str | None:
    """What vanishes between two versions of a file that follow each other, where one of the two is new.

    A file is that of a period and series. To look at both sides of a new version, at the version before it and at the
    one after, makes the order of arrival irrelevant: a version that arrives after its successor still ends where the
    successor lacks a record. A record holds in a version where it keeps the contract; one that came back broken is
    gone, as the rejects say.

    Args:
        reader: what the load works with; it has the temporary tables `versions` and `good`.
        layout: the files, which hold parts.
        files: a select over the versions of this table's files in raw.

    Returns:
        A select of them; None where no new version follows another, or is followed: most files have one version.
    """
    table = layout.table
    columns = ", ".join(quoted(name) for name in table.column_names)
    # Staging folds the parts of a key that are text: a record that comes back in capitals is there.
    texts = {column.name for column in table.columns if column.data_type == "text"}
    parts = {name: folded(quoted(name)) if name in texts else quoted(name) for name in table.key}
    as_folded = ", ".join(f"{part} as {quoted('_folded_' + name)}" for name, part in parts.items())
    folded_key = ", ".join(quoted(f"_folded_{name}") for name in parts)
    file = ", ".join(quoted(name) for name in layout.identity)
    reader.connection.execute(f"""
        create or replace temp table pairs as
        with all_versions as (
            select {file}, _revision as revision, _effective_at as effective_at, false as is_new from {files}
            union all
            select {file}, revision, effective_at, true
            from versions where fault is null and table_name = {literal(table.name)}
        ),
        neighbours as (
            select {file}, revision as earlier, is_new,
                lead(revision) over successors as later,
                lead(effective_at) over successors as later_at,
                lead(is_new) over successors as later_is_new
            from all_versions
            window successors as (partition by {file} order by revision)
        )
        select * from neighbours where later is not null and (is_new or later_is_new)""")
    if not reader.connection.execute("from pairs limit 1").fetchall():
        return None
    return f"""
        with known_records as (
            select {columns}, _revision from {reader.complete(table.name)}
            where _operation = 'U' and ({file}) in (select {file} from pairs)
        ),
        all_records as (
            select *, {as_folded} from (select * from known_records union all select {columns}, _revision from good)
        ),
        before as (
            select all_records.*, later, later_at from all_records
            inner join pairs using ({file}) where earlier = _revision
        ),
        after as (
            select {folded_key}, later from all_records
            inner join pairs using ({file}) where later = _revision
        )
        select {columns}, 'D' as _operation, later as _revision, later_at as _effective_at
        from before anti join after using ({folded_key}, later)
        except all
        select {columns}, _operation, _revision, _effective_at from {reader.complete(table.name)}
        where _operation = 'D' and ({file}) in (select {file} from pairs)"""
