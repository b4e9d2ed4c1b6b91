"""Which of a load's versions raw has already, and which are new."""

from __future__ import annotations

from datetime import datetime

from ingestion.contract.contracts import Table
from ingestion.contract.rules import GIVEN
from ingestion.duck import number
from ingestion.load.extracts import Reader, timestamp_literal
from ingestion.sql import quoted


def different(reader: Reader, table: Table) -> tuple[str, int]:
    """Leave out records that are as their latest version in raw, which is in `living`; says how many these were."""
    same = " and ".join(f"old.{quoted(c)} is not distinct from new.{quoted(c)}" for c in table.column_names)
    key = ", ".join(quoted(c) for c in table.key)
    kept = number(
        reader.connection,
        f"""
        create or replace temp table different as
        select new.* replace (
            coalesce(old._revision + 1, new._revision) as _revision,
            greatest(new._effective_at, old._effective_at) as _effective_at
        )
        from good as new left join living as old using ({key})
        where (old._operation = 'U' and {same}) is not true""",
    )
    return "different", number(reader.connection, "select count(*) from good") - kept


def unknown(reader: Reader, table: Table, since: datetime) -> tuple[str, int]:
    """Leave out versions that raw has to the letter, and repeats within the extract; says how many these were.

    What a source tells anew is new where another version of the same time and revision was observed since.
    """
    connection = reader.connection
    listed = ", ".join(quoted(c) for c in [*table.column_names, *GIVEN])
    key = ", ".join(quoted(c) for c in table.key)
    connection.execute(
        f"create or replace temp table distinct_good as select {listed}, count(*) as copies from good group by all"
    )
    same = " and ".join(f"old.{quoted(c)} is not distinct from new.{quoted(c)}" for c in [*table.column_names, *GIVEN])
    connection.execute(f"""
        create or replace temp table unknown as
        select {listed} from distinct_good as new
        where not exists (
            select 1 from (
                select * from {reader.complete(table.name)} as observed
                where observed._effective_at >= {timestamp_literal(since)}
                qualify rank() over (
                    partition by {key}, _effective_at, _revision order by _observed_at desc
                ) = 1
            ) as old
            where {same}
        )""")
    read = number(reader.connection, "select coalesce(sum(copies), 0) from distinct_good")
    return "unknown", read - number(reader.connection, "select count(*) from unknown")


def repeated(reader: Reader, table: Table) -> tuple[str, int]:
    """Leave out versions that say what the version before them says; says how many these were.

    Before them are those of raw and of the extract that hold from earlier; of one time, those of a lower revision.
    Two of one time and revision are one where they are alike, whichever comes first.
    """
    content = [*table.column_names, "_operation"]
    listed = ", ".join(quoted(c) for c in [*table.column_names, *GIVEN])
    key = ", ".join(quoted(c) for c in table.key)
    same = " and ".join(
        f"lag({quoted(c)}) over versions is not distinct from {quoted(c)}" for c in content if c not in table.key
    )
    order = ", ".join(["_effective_at", "_revision", *(f"{quoted(c)} nulls first" for c in content), "is_new"])
    kept = number(
        reader.connection,
        f"""
        create or replace temp table told_anew as
        with every as (
            select {listed}, false as is_new from {reader.complete(table.name)} semi join good using ({key})
            union all
            select {listed}, true from good
        ),
        judged_by_the_one_before as (
            select *, row_number() over versions > 1 and {same} as is_repeated from every
            window versions as (partition by {key} order by {order})
        )
        select {listed} from judged_by_the_one_before where is_new and not is_repeated""",
    )
    return "told_anew", number(reader.connection, "select count(*) from good") - kept
