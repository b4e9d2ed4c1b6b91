"""The straight way into raw on DuckDB: read, judged and inserted by one statement, with no file between.

A statement of DuckDB writes to one place, and what breaks the contract has to go to another. The one thing that it can
write beside is its log: there each bad row is set aside as it passes, as the source wrote it. It never is in raw.

The rows are in raw before dlt completes the load, and count for nothing until then: no completed load has their id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ingestion.contract.contracts import META_COLUMNS
from ingestion.contract.rules import GIVEN, judged, kept
from ingestion.duck import number
from ingestion.load.extracts import Extract, Reader, all_columns
from ingestion.sql import literal, quoted

# What DuckDB writes as text and reads from it again to the letter.
_EXACT = re.compile(
    r"VARCHAR|BOOLEAN|DATE|U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|DECIMAL\(.+\)|FLOAT|DOUBLE|"
    r"TIMESTAMP( WITH TIME ZONE)?"
)
_LOG = "granary"


def goes_straight(reader: Reader, extract: Extract, types: Mapping[str, str]) -> bool:
    """Whether all good rows of an extract are new, and are as they are read.

    Not where they are compared with raw, or versions are concluded from them; and not where they have identifiers: raw
    has tokens in their place, which a file of all of them is exchanged for first.
    """
    table = extract.table
    there = reader.existing.get(table.name)
    return (
        reader.target.engine == "duckdb"
        and not (extract.compared or extract.compare_since or extract.repeats or extract.deletes)
        and not table.identifiers
        and (there is None or set(all_columns(reader.contract)[table.name]) <= set(there))
        and all(_EXACT.fullmatch(types[name]) for name in [*table.column_names, *GIVEN])
    )


def insert(reader: Reader, extract: Extract, types: Mapping[str, str], stamp: str, load_id: str) -> tuple[int, int]:
    """Read an extract, its good rows into raw; they are then `good`, and with others `judged`, where there are any.

    Returns:
        How many rows there are, and how many of them are bad.
    """
    connection, table = reader.connection, extract.table
    columns = all_columns(reader.contract)[table.name]
    raw = reader.raw(table.name)
    if table.name not in reader.existing:
        # dlt will find it there.
        connection.execute(f"create schema if not exists {raw.rsplit('.', 1)[0]}")
        listed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        connection.execute(f"create table {raw} ({listed})")
    # In memory, and nothing else: among the statements that DuckDB would log are those with a source's secrets.
    connection.execute(f"""
        set enabled_log_types = {literal(_LOG)};
        set logging_mode = 'ENABLE_SELECTED';
        set logging_level = 'info';
        set logging_storage = 'memory';
        set enable_logging = true""")
    listed = ", ".join(quoted(name) for name in [*table.column_names, *META_COLUMNS])
    inserted = number(
        connection,
        f"""
        insert into {raw} ({listed})
        select {listed} from (select *, {stamp} from ({kept(table, extract.relation, types, _LOG)}))""",
    )
    given = [*table.column_names, *GIVEN]
    texts = ", ".join(
        f"cast(texts[{place}] as {types[name]}) as {quoted(name)}" for place, name in enumerate(given, start=1)
    )
    connection.execute(f"""
        create or replace temp table aside as
        select {texts} from (
            select from_json(message, '["VARCHAR"]') as texts from duckdb_logs where type = {literal(_LOG)}
        )""")
    connection.execute("set enable_logging = false")
    connection.execute("call truncate_duckdb_logs()")
    names = ", ".join(quoted(name) for name in given)
    connection.execute(
        f"create or replace temp view good as select {names} from {raw} where _load_id = {literal(load_id)}"
    )
    bad = number(connection, "select count(*) from aside")
    if bad or extract.conclude or extract.rejects:
        connection.execute(f"""
            create or replace temp view judged as
            select *, true as _is_good, null as _source from good union all {judged(table, "aside", types)}""")
    return inserted + bad, bad
