"""The club's reader: files of versions, each with its operation, its revision and the time from which it holds.

A file `<anything>.<table>.csv` is read once, as its name says. What it says of a record is what raw gets, so a test
may bring any version at any time and in any order.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Generator
from pathlib import Path

from ingestion.contract.contracts import Source
from ingestion.load.extracts import Extract, Reader, SourceError, no_rows
from ingestion.load.watching import Looked, Watch, glance
from ingestion.readers.settings import setting, variable
from ingestion.sql import literal, quoted

GIVEN = {"op": "_operation", "revision": "_revision", "at": "_effective_at"}


def is_configured(source: str) -> bool:
    """Whether SOURCES__CLUB__BUCKET_URL is set."""
    return bool(setting(source, "bucket_url"))


def watch(contract: Source) -> Watch | None:
    """Waits for files."""
    folder = Path(str(setting(contract.name, "bucket_url")))
    return Looked(lambda: glance(folder.glob("*.csv")))


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The versions of the files that no completed load has read. Raises SourceError where the folder is gone."""
    source = reader.contract.name
    folder = Path(str(setting(source, "bucket_url")))
    if not folder.is_dir():
        raise SourceError(f"{source}: there is no folder {folder}: check {variable(source, 'bucket_url')}")
    for table in reader.contract.tables:
        there = {file.name: file for file in folder.glob(f"*.{table.name}.csv")}
        # A file that is gone needn't be known any more.
        read = set(json.loads(reader.cursors.get(table.name) or "[]")) & there.keys()
        files = [there[name] for name in sorted(there.keys() - read)]
        if not files:
            kinds = {column.name: column.data_type for column in table.columns}
            nothing = no_rows(kinds | {"_operation": "text", "_revision": "bigint", "_effective_at": "timestamp"})
            yield Extract(table=table, relation=f"({nothing})", source_count=0)
            continue
        columns = [*GIVEN, *table.column_names]
        count = sum(_records(file) for file in files)
        types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
        listed = ", ".join(literal(str(file)) for file in files)
        relation = f"""(
            select {", ".join(quoted(name) for name in table.column_names)}, op as _operation,
                cast(revision as bigint) as _revision, try_cast("at" as timestamp) as _effective_at
            from read_csv([{listed}], columns = {{{types}}}, auto_detect = false, header = true, nullstr = ''))"""
        first = reader.connection.execute(f"select min(_effective_at) from {relation}").fetchone()
        yield Extract(
            table=table,
            relation=relation,
            source_count=count,
            cursor=json.dumps(sorted(read | {file.name for file in files})),
            compare_since=first[0] if first else None,
        )


def _records(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1
