"""The log of matches and decisions as a source: every version is a row of the contract's one table."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import fields

from ingestion.contract.contracts import ContractError, Source, contract_file
from ingestion.destination.target import current_target
from ingestion.load.extracts import Extract, Reader
from ingestion.load.watching import Looked, Watch, glance
from ingestion.readers.matches.log import Said, log_file
from ingestion.sql import literal, quoted

# No system that somebody pointed at: where there is nothing else, no source is configured.
BESIDE = True
_GIVEN = ("said_at", "operation", "revision")


def is_configured(source: str) -> bool:
    """Whether anything was said yet."""
    return log_file(source, current_target().folder).exists()


def watch(contract: Source) -> Watch | None:
    """Waits for more to be said."""
    file = log_file(contract.name, current_target().folder)
    return Looked(lambda: glance([file]))


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """All that was said; what raw has of it is known.

    Raises:
        ContractError: the contract has other tables or columns than the log.
    """
    contract = reader.contract
    columns = [field.name for field in fields(Said) if field.name not in _GIVEN]
    if len(contract.tables) != 1 or sorted(contract.tables[0].column_names) != sorted(columns):
        raise ContractError(
            f"{contract_file(contract.name)}: a log of matches is one table with the columns {', '.join(columns)}"
        )
    file = log_file(contract.name, reader.target.folder)
    types = ", ".join(f"{literal(each.name)}: 'VARCHAR'" for each in fields(Said))
    relation = f"""(
        select {", ".join(quoted(name) for name in columns)}, operation as _operation,
            cast(revision as bigint) as _revision, cast(said_at as timestamp) as _effective_at
        from read_json({literal(str(file))}, format = 'newline_delimited', columns = {{{types}}}))"""
    (first,) = reader.connection.execute(f"select min(_effective_at) from {relation}").fetchone() or (None,)
    with file.open("rb") as lines:
        count = sum(1 for line in lines if line.strip())
    yield Extract(table=contract.tables[0], relation=relation, source_count=count, compare_since=first)
