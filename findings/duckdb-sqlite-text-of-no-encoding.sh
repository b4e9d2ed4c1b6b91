#!/usr/bin/env bash
# SQLite keeps any bytes as text. DuckDB's sqlite extension hands them over as VARCHAR unchecked when it runs a query at
# the source: they pass through a projection into a Parquet file, which other readers then find unreadable. Only what
# makes a Python value of them complains.
#
# Seen: duckdb 1.5.5, its extension duckdb-extension-sqlite-scanner 1.5.5, pyarrow 22.0.0. Guessed before: an error where
# the row is read, or a replacement character. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    duckdb==1.5.5 duckdb-extension-sqlite-scanner==1.5.5 pyarrow==22.0.0
cd "$work"
venv/bin/python - <<'PYTHON'
import sqlite3
from pathlib import Path

import duckdb
import duckdb_extension_sqlite_scanner as extension
import pyarrow.parquet

source = sqlite3.connect("source.sqlite")
source.execute("create table names (id integer, name text)")
source.execute("insert into names values (1, 'Zoe'), (2, cast(x'5a6fe9' as text))")  # Zoé, as Latin-1 has it
source.commit()

connection = duckdb.connect()
(file,) = Path(extension.__file__).parent.glob("extensions/*/sqlite_scanner.duckdb_extension")
connection.execute(f"load '{file}'")
connection.execute("attach 'source.sqlite' as source (type sqlite, read_only)")
asked = "sqlite_query('source', 'select id, cast(name as text) as name from names')"
lengths = connection.execute(f"select id, length(name), encode(name) from {asked} order by 1").fetchall()
connection.execute(f"copy (select * from {asked}) to 'names.parquet' (format parquet)")
print("read by DuckDB:", lengths)
try:
    pyarrow.parquet.read_table("names.parquet").to_pylist()
    read = "yes"
except UnicodeDecodeError as error:
    read = f"no: {error}"
print("the Parquet file read by pyarrow:", read)
assert [row[1:] for row in lengths] == [(3, b"Zoe"), (3, b"Zo\xe9")] and read.startswith("no: "), "the behaviour has changed"
PYTHON
