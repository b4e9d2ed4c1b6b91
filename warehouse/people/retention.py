"""Old versions leave raw: to Parquet files first, then out of the table, as each table's contract says.

`config.meta.retention: {days: 1095}` of a source's table says how long its versions are kept. What goes are versions
that were replaced before the horizon; the last version of each record before it stays, so every record has its state at
the horizon, and history can be computed from raw as ever. What went is entered in `granary.archived`, so that a load's
counts still add up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingestion.contract.contracts import ContractError, Table
from ingestion.contract.reading import read_contract, read_contracts
from ingestion.destination.lock import build_lock
from ingestion.destination.target import Target
from ingestion.duck import connect, copied_csv
from ingestion.encryption import parquet, parquet_options
from ingestion.load.extracts import all_columns
from ingestion.load.run import observation_time
from ingestion.sql import literal, quoted
from warehouse import ledger
from warehouse.build.build import build_both_generations
from warehouse.build.redaction import archive_of
from warehouse.build.removal import delete_doomed, place_of
from warehouse.database import Database, open_database
from warehouse.errors import BuildError
from warehouse.publish.access import audited
from warehouse.publish.publish import prepare_next

Say = Callable[[str], None]


def retain(target: Target, dry: bool, say: Say) -> int:
    """Archive and delete the versions that no contract keeps any longer, and build from what is left.

    Args:
        target: the warehouse.
        dry: only say what would go.
        say: takes lines of progress.

    Returns:
        How many versions went.

    Raises:
        BuildError: a file doesn't have what was to go; nothing of that table was deleted.
    """
    now = observation_time().astimezone(UTC).replace(tzinfo=None)
    with build_lock(target):
        prepare_next(target)
        gone = _archived(target, now, dry, say)
    if gone and not dry:
        build_both_generations(target, say)
    return gone


def _archived(target: Target, now: datetime, dry: bool, say: Say) -> int:
    gone = 0
    with open_database(target) as database:
        ledger.ensure_tables(database)
        for table in _limited(target.project):
            horizon = now - timedelta(days=kept_days(table) or 0)
            count = _doomed(database, table, horizon)
            if count and not dry:
                # Before: marts follow what raw loses wherever this is cut short.
                ledger.outdate_everything(database)
                _archive(database, table, count)
            verb = "would go" if dry else "archived"
            say(f"{table.source}.{table.name}: {count:,} versions from before {horizon:%Y-%m-%d} {verb}")
            gone += count
        if gone and not dry:
            audited(database, "retention", json.dumps({"versions": gone}))
    return gone


def kept_days(table: Table) -> int | None:
    """For how many days a table's versions are kept; None for ever.

    Raises:
        ContractError: the contract says something else than a number of days above zero.
    """
    limit = table.meta.get("retention")
    if limit is None:
        return None
    days = limit.get("days") if isinstance(limit, dict) else None
    if not isinstance(days, int) or days <= 0:
        raise ContractError(f"{table.source}.{table.name}: config.meta.retention is {limit}: say {{days: 1095}}")
    return days


def _limited(project: Path) -> list[Table]:
    return [table for contract in read_contracts(project) for table in contract.tables if kept_days(table)]


def _doomed(database: Database, table: Table, horizon: datetime) -> int:
    """Note the rows that are to go, in the temporary table `doomed`. Returns their number."""
    raw, place = database.raw(table.source, table.name), place_of(database)
    database.run("drop table if exists doomed")
    if not database.exists(raw):
        return 0
    keys = ", ".join(quoted(key) for key in table.key)
    # Of several versions at the last time and revision, all stay: which of them holds is for history to say.
    database.run(
        f"""
        create temporary table doomed as
        select place from (
            select
                {place} as place,
                rank() over (partition by {keys} order by _effective_at desc, _revision desc) as age
            from {raw}
            where _effective_at < cast('{horizon.isoformat(sep=" ")}' as timestamp)
                and _load_id in (select load_id from {database.raw(table.source, "_dlt_loads")} where status = 0)
        ) as ranked
        where age > 1"""
    )
    return int(database.run("select count(*) from doomed")[0][0])


def _archive(database: Database, table: Table, count: int) -> None:
    raw, place = database.raw(table.source, table.name), place_of(database)
    file = archive_of(database.target, table) / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    columns = all_columns(read_contract(table.source, database.target.project))[table.name]
    listed = ", ".join(f"r.{quoted(name)}" for name in columns)
    going = f"select {listed} from {raw} as r inner join doomed as d on r.{place} = d.place"
    if database.target.engine == "duckdb":
        database.run(f"copy ({going}) to {literal(str(partial))} ({parquet_options(database.connection)})")
    else:
        csv = partial.with_suffix(".csv")
        with database.connection.cursor() as cursor, csv.open("wb") as handle:
            cursor.copy_expert(f"copy ({going}) to stdout (format csv, header)", handle)
        with closing(connect()) as connection:
            copied, options = copied_csv(csv, columns), parquet_options(connection)
            connection.execute(f"copy (from {copied}) to {literal(str(partial))} ({options})")
        csv.unlink()
    with closing(connect()) as connection:
        row = connection.execute(f"select count(*) from {parquet(connection, [partial])}").fetchone()
    if row is None or row[0] != count:
        raise BuildError(f"{partial} has {row and row[0]:,} of {count:,} versions: nothing of {raw} was deleted")
    partial.replace(file)
    delete_doomed(database, table, str(file))
