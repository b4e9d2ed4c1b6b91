"""A record's number among those of its file, or among those of it that are alike in some columns."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ingestion.readers.files.layout import Layout
from ingestion.readers.files.parsing import parsed_table
from ingestion.sql import folded, quoted


def numbered(
    connection: duckdb.DuckDBPyConnection, layout: Layout, within: Sequence[str], name: str
) -> tuple[str, str]:
    """How records are numbered, from 1, by their places.

    Records that are alike nearly always stand together, such as the lines of an invoice: each one's number is then its
    distance from their first, and takes no window over all records.

    Args:
        connection: it has the table of the layout's records, `parsed_table`.
        layout: the files.
        within: the columns in which records are alike; those that are text as staging folds them. All of a file where
            there are none.
        name: a name for the temporary table that this takes.

    Returns:
        What to join to the records `p`, which have `path` and `_place`, and an expression of the number.
    """
    texts = {column.name for column in layout.table.columns if column.data_type == "text"}
    parts = ["p.path", *(f"p.{quoted(each)}" for each in within)]
    alike = ", ".join(
        folded(part) if each in texts else part for each, part in zip(["path", *within], parts, strict=True)
    )
    connection.execute(f"""
        create or replace temp table {quoted(name)} as
        with as_written as (
            select {", ".join(parts)}, min(rowid) as first_place, max(rowid) as last_place, count(*) as records
            from {parsed_table(layout)} as p group by all
        )
        select {", ".join(parts)}, min(first_place) over those_alike as first_place,
            max(last_place) over those_alike - min(first_place) over those_alike + 1 <> sum(records) over those_alike
                as is_scattered
        from as_written as p window those_alike as (partition by {alike})""")
    if connection.execute(f"select 1 from {quoted(name)} where is_scattered limit 1").fetchall():
        return "", f"row_number() over (partition by {alike} order by p._place)"
    same = " and ".join(f"{part} is not distinct from {quoted(name)}.{part[2:]}" for part in parts)
    return f"inner join {quoted(name)} on {same}", f"p._place - {quoted(name)}.first_place + 1"
