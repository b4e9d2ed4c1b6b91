"""How a source's files are laid out, as its contract says: which table they fill, in which format, what one holds."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import cached_property
from pathlib import Path

from ingestion.contract.contracts import Column, ContractError, Source, Table, contract_file
from ingestion.readers.settings import require_choice, said

SERIES = "file_series"
# The formats, and the endings of such files' names.
FORMATS = {
    "csv": (".csv", ".csv.gz"),
    "json": (".json", ".json.gz"),
    "ndjson": (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz"),
    "parquet": (".parquet",),
    "excel": (".xlsx", ".xlsm"),
}
# A part replaces its version before, a table is compared with the table before, changes are added.
HOLDS = ("part", "table", "changes")


@dataclass(frozen=True)
class Layout:
    """The files of one table of a contract: `config.meta.files` of the table, over that of the source.

    table: the table of their records. Its column `file_series` is filled with the series, if it has one.
    glob: which files of the folder; where empty, by the format.
    format: one of FORMATS, or what another reader makes of the files; that has a glob.
    holds: what a file holds, one of HOLDS.
    period: the column for the date that a file is of, which stands in its name as `period_format` says.
    delimiter, encoding: of text.
    records: of a JSON document, where its list of records stands (see `documents.parsed`).
    sheet: of a workbook; its first where empty.
    """

    table: Table
    glob: str = ""
    format: str = "csv"
    holds: str = "part"
    period: str = ""
    period_format: str = "%Y-%m-%d"
    delimiter: str = ","
    encoding: str = "utf-8"
    records: str = ""
    sheet: str = ""
    numbered: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def kind(self) -> tuple[str, str, str]:
        """The format, and which part of a file it reads: tables of one kind need files of their own."""
        return self.format, self.records, self.sheet

    @property
    def identity(self) -> list[str]:
        """The columns that say which part a file is."""
        return [*([self.period] if self.period else []), SERIES]

    @cached_property
    def columns(self) -> list[Column]:
        """The columns that the files have."""
        own = {self.period, SERIES, *self.numbered}
        return [column for column in self.table.columns if column.name not in own]

    @property
    def always(self) -> list[Column]:
        """Those that every file has. Others may lack, and are null then: they are `optional` in the contract."""
        return [column for column in self.columns if not column.meta.get("optional")]

    def period_of(self, name: str) -> date | None:
        """The date in a file's name (its path below the folder); None where there is none, or none is looked for."""
        match = self._date.search(Path(name).name) if self.period else None
        try:
            return datetime.strptime(match[0], self.period_format).date() if match else None  # noqa: DTZ007 (a date)
        except ValueError:
            return None

    def series_of(self, name: str) -> str:
        """What the name says before its date, with its folder but for the dates in that; `-` where it says nothing.

        `leeds_2024-05-01.csv` is of the series `leeds`. Where files have no date, it is the name without its endings.
        """
        path = Path(name)
        stem = self._date.split(path.name)[0] if self.period else path.name.split(".")[0]
        before = str(path.parent / stem)
        return re.sub(r"^[\W_]+|[\W_]+$", "", self._date.sub("", before).lower()) or "-"

    @cached_property
    def _date(self) -> re.Pattern[str]:
        parts = re.split(r"(%[Ymd])", self.period_format)
        digits = {"%Y": r"\d{4}", "%m": r"\d{2}", "%d": r"\d{2}"}
        return re.compile(rf"(?<!\d){''.join(digits.get(part) or re.escape(part) for part in parts)}(?!\d)")

    @property
    def patterns(self) -> list[str]:
        """The globs that the table's files match: the contract's, else any name with an ending of the format."""
        if self.glob:
            return [self.glob]
        endings = [each[1:] for each in FORMATS[self.format] if not each.endswith(".gz")]
        both = ["".join(f"[{letter}{letter.upper()}]" for letter in ending) for ending in endings]
        return [f"*.{ending}*" for ending in both]

    def wrong_ending(self, name: str) -> str | None:
        """What is wrong with a file's name for its format, if anything. A contract's own glob says what it takes."""
        if self.glob or name.lower().endswith(FORMATS[self.format]):
            return None
        endings = FORMATS[self.format]
        return f"its name ends in neither {' nor '.join(endings)}" if endings[1:] else f"its name is no *{endings[0]}"

    @property
    def no_period(self) -> str:
        """What is wrong with a file whose name has no date."""
        shown = self.period_format.replace("%Y", "YYYY").replace("%m", "MM").replace("%d", "DD")
        return f"no {self.period.replace('_', ' ')} ({shown}) in its name"


def bare(name: str) -> str:
    """A name's letters and digits, by which `LoyaltyCard` and `Loyalty Card` are the contract's loyalty_card."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def written_as(column: Column, header: Sequence[str]) -> str | None:
    """What a file calls a column: its name at the source to the letter, else one of the same letters and digits."""
    if column.at_source in header:
        return column.at_source
    alike = [name for name in header if bare(name) in (bare(column.at_source), bare(column.name))]
    return alike[0] if alike else None


def file_table(contract: Source) -> Table:
    """The table of a contract that has a row for each version of a file.

    Raises:
        ContractError: there is none, or several.
    """
    found = [table for table in contract.tables if table.meta.get("written_by") == "ingestion"]
    if len(found) != 1:
        raise ContractError(
            f"{contract_file(contract.name)}: a source of files has one table with config.meta.written_by: ingestion, "
            f"which has a row for each version of a file, and this one has {len(found)}: see "
            "ingestion/readers/files/README.md"
        )
    return found[0]


def layouts(contract: Source) -> list[Layout]:
    """The layouts of a source's tables of records, in the contract's order.

    Raises:
        ContractError: the contract says something of its files that can't be followed.
    """
    files = file_table(contract)
    found = [_layout(contract, table) for table in contract.tables if table is not files]
    for one in found:
        others = [each for each in found if each is not one and each.kind == one.kind]
        if others and not one.glob:
            raise ContractError(
                f"{contract_file(contract.name)}: {one.table.name} takes every file of its format, and "
                f"{others[0].table.name} has some: give it a glob of its own in config.meta.files"
            )
    lacking = {"file_name", "modified_at", "size_bytes", "checksum", "record_count", SERIES} - set(files.column_names)
    lacking |= {layout.period for layout in found if layout.period} - set(files.column_names)
    lacking |= {"table_name"} - set(files.column_names) if len(found) > 1 else set()
    if lacking:
        raise ContractError(
            f"{contract_file(contract.name)}: {files.name} lacks {', '.join(sorted(lacking))}: "
            "see ingestion/readers/files/README.md"
        )
    return found


def _layout(contract: Source, table: Table) -> Layout:
    where = f"{contract_file(contract.name)}: {table.name}"
    options = said(contract, table, "files", {each.name for each in fields(Layout)} - {"table", "numbered"})
    layout = Layout(
        table,
        numbered={
            column.name: tuple(column.meta["numbered_within"])
            for column in table.columns
            if "numbered_within" in column.meta
        },
        **{name: str(value) for name, value in options.items()},
    )
    require_choice(where, "format", layout.format, FORMATS)
    require_choice(where, "holds", layout.holds, HOLDS)
    if layout.period and layout.period not in table.column_names and layout.holds != "table":
        raise ContractError(f"{where}: period names {layout.period}, which is none of its columns")
    if layout.holds == "part" and not set(layout.identity) <= set(table.key):
        raise ContractError(
            f"{where}: a file holds a part, which a later one replaces: the key needs {' and '.join(layout.identity)}. "
            "Or say holds: table where a file is the whole table, holds: changes where it has what is new or changed"
        )
    if len(layout.delimiter) != 1 or not layout.delimiter.isascii():
        raise ContractError(f"{where}: delimiter is '{layout.delimiter}': say one ASCII character, such as \"\\t\"")
    try:
        codecs.lookup(layout.encoding)
    except LookupError:
        raise ContractError(f"{where}: encoding is '{layout.encoding}', which Python doesn't know") from None
    return layout
