"""What a source's package declares of its files: their columns, what a file is of, and where its records go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from ingestion.contract.contracts import Source

SERIES = "file_series"


@dataclass(frozen=True)
class Layout:
    """The files of a source, all of one layout, and the two tables of its contract that they fill.

    files: the table of the files' versions, with the columns file_series, file_name, modified_at, size_bytes,
        checksum and record_count.
    records: the table of their records.
    columns: the columns that every file has, and raw's names of them. What else the contract has, a file may have.
    period: the column of both tables for the date that a file is of. A later file of the same date and series replaces
        the one before: they are versions of one thing.
    period_of: the date in a file's name (its path below the folder), None where there is none.
    series_of: which of a date's files it is, by its name, such as the branch that it is of; the column file_series of
        both tables.
    no_period: what is wrong with a file whose name has no date, in a few words.
    computed: columns of the records that no file has, and what they are: DuckDB expressions over `p`, the records with
        the files' own column names, `path`, and `rowid` as their place in the file.
    """

    files: str
    records: str
    columns: Mapping[str, str]
    period: str
    period_of: Callable[[str], date | None]
    series_of: Callable[[str], str]
    no_period: str
    computed: Mapping[str, str]

    def added(self, contract: Source) -> list[str]:
        """The columns that came into the contract later. Files from before have none of them: null, if that may be."""
        fixed = {*self.columns.values(), self.period, SERIES, *self.computed}
        return [name for name in contract.table(self.records).column_names if name not in fixed]


def bare(name: str) -> str:
    """A name's letters and digits, by which `LoyaltyCard` and `Loyalty Card` are the contract's loyalty_card."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
