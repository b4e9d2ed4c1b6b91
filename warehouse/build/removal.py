"""Rows leave raw: with what the books say of them, and all that was said of a forgotten person's records."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from ingestion.contract.contracts import ContractError, Source, Table, contract_file
from ingestion.contract.reading import contracts_of
from ingestion.destination.roles import has_roles
from ingestion.readers.matches.log import Record, unsay_of
from ingestion.sql import literal
from warehouse.database import Database

# The kind of source that says of records of other sources whether they are one person's.
MATCHES = "matches"


def said_of_matches(source: Source, name: str) -> Any:
    """What the contract's `config.meta.matches` says."""
    try:
        return source.meta[MATCHES][name]
    except KeyError as error:
        raise ContractError(f"{contract_file(source.name)}: config.meta.{MATCHES} says no {error}") from error


def place_of(database: Database) -> str:
    """What a row can be found by, for as long as nobody else writes."""
    return "rowid" if database.target.engine == "duckdb" else "ctid"


def delete_doomed(database: Database, table: Table, file: str) -> None:
    """Delete the rows of raw whose places are in the temporary table `doomed`, and enter them in the books.

    Both in one transaction, so that a load's counts go on to add up.

    Args:
        database: the warehouse, acting as the transformer.
        table: the contract.
        file: where they are archived; empty where they are not.
    """
    raw, place = database.raw(table.source, table.name), place_of(database)
    as_loader = as_transformer = ""
    if database.target.name == "prod" and has_roles(database.connection):
        as_loader, as_transformer = "set local role granary_loader", "set local role granary_transformer"
        database.run("grant select on doomed to granary_loader")
    now = datetime.now(UTC).replace(tzinfo=None)
    statements = [
        "begin",
        f"insert into {database.granary('archived')} (source_name, resource_name, load_id, archived_count, file_name, "
        f"archived_at) select '{table.source}', '{table.name}', r._load_id, count(*), {literal(file)}, "
        f"cast('{now.isoformat(sep=' ')}' as timestamp) from {raw} as r inner join doomed as d on r.{place} = d.place "
        "group by r._load_id",
        as_loader,
        f"delete from {raw} where {place} in (select place from doomed)",
        as_transformer,
        "commit",
    ]
    try:
        for statement in filter(None, statements):
            database.run(statement)
    except Exception:
        database.run("rollback")
        raise


def unsay(database: Database, forgotten: Collection[Record], keep: Callable[[set[str]], None]) -> int:
    """Take out of logs of matches, and out of raw, what is said of these records.

    Args:
        database: the warehouse, acting as the transformer; it has the temporary table `forgotten`.
        forgotten: the same persons, as a source and its id.
        keep: gets the tokens that versions had, before these leave raw.

    Returns:
        How many versions left raw.
    """
    count = 0
    for contract in contracts_of(MATCHES, database.target.project):
        unsay_of(contract.name, database.target, forgotten)
        for table in contract.tables:
            raw = database.raw(table.source, table.name)
            if not database.exists(raw):
                continue
            listed = "".join(f", r.{column.name}" for column in table.identifiers)
            database.run("drop table if exists doomed")
            database.run(
                f"create temporary table doomed as select r.{place_of(database)} as place{listed} from {raw} as r "
                "where exists (select 1 from forgotten as f where (f.source = r.left_source_id "
                "and f.person = r.left_record_id) or (f.source = r.right_source_id and f.person = r.right_record_id))"
            )
            rows = database.run("select * from doomed")
            if rows:
                keep({str(token) for row in rows for token in row[1:] if token})
                delete_doomed(database, table, "")
            count += len(rows)
    return count
