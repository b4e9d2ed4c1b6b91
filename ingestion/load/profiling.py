"""How complete the versions are that a load brings, a column at a time."""

from __future__ import annotations

from ingestion.load.extracts import Extract, Reader
from ingestion.sql import literal, quoted


def profile(reader: Reader, extract: Extract, versions: str, stamp: str) -> None:
    """Count the values that each column lacks among the versions of this load, and note the latest time.

    What the records have beside the contract's columns is counted as a column is.

    Args:
        reader: what a load works with; it has the table `profiles`.
        extract: what the source had to say.
        versions: a select of the versions.
        stamp: when and by which load they came, as a select has it.
    """
    columns = extract.table.column_names
    counts = [f"count({quoted(c)}) filter (where _operation <> 'D')" for c in columns]
    beyond = ", ".join(f"({literal(name)}, {count})" for name, count in extract.beyond)
    others = f"""
        union all select {literal(extract.table.name)}, name, {extract.source_count},
            {extract.source_count} - records, null, {stamp}
        from (values {beyond}) as others(name, records)"""
    reader.connection.execute(f"""
        insert into profiles by name
        with counted as (
            select count(*) filter (where _operation <> 'D') as row_count, max(_effective_at) as newest,
                [{", ".join([*counts, "count(*) filter (where _operation <> 'D')"])}] as value_counts
            from ({versions})
        )
        select {literal(extract.table.name)} as resource,
            unnest([{", ".join(literal(c) for c in [*columns, "_effective_at"])}]) as column_name,
            row_count, row_count - unnest(value_counts) as null_count,
            case when column_name = '_effective_at' then newest end as newest_at, {stamp}
        from counted {others if beyond else ""}""")
