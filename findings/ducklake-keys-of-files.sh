#!/usr/bin/env bash
# DuckLake encrypts each file with a key of 16 bytes, which stands in its catalog in base64: 24 characters. Whoever gives
# that text to `pragma add_parquet_key`, which takes base64 as well as plain keys, gets no error there and then can't read the
# file: a text of 24 characters is taken for a plain key of 24 bytes (AES-192) before it is tried as base64. A recovery
# that reads a lake's files without DuckLake has to decode the key itself and give it as a blob, by `footer_key_value`.
#
# Seen: DuckDB 1.5.5, its extensions ducklake and httpfs 1.5.5, Python 3.11. Guessed before: that the catalog's text is
# taken as it stands. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==1.5.5 duckdb-extension-ducklake==1.5.5 \
    duckdb-extension-httpfs==1.5.5
"$work/venv/bin/python" - "$work" <<'PYTHON'
import importlib
import sys
from pathlib import Path

import duckdb

folder = Path(sys.argv[1])
connection = duckdb.connect()
for name in ("httpfs", "ducklake"):
    package = Path(importlib.import_module(f"duckdb_extension_{name}").__file__).parent
    connection.execute(f"load '{package}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")
connection.execute(
    f"attach 'ducklake:{folder}/lake.ducklake' as lake (data_path '{folder}/files/', encrypted, data_inlining_row_limit 0)"
)
connection.execute("create table lake.readings as select 20.5 as celsius")
[(name, key)] = connection.execute(
    "select path, encryption_key from __ducklake_metadata_lake.ducklake_data_file"
).fetchall()
file = folder / "files" / "main" / "readings" / name
connection.execute(f"pragma add_parquet_key('of_the_file', '{key}')")
try:
    connection.execute(f"from read_parquet('{file}', encryption_config = {{footer_key: 'of_the_file'}})")
    by_name = "read"
except duckdb.Error as error:
    by_name = str(error).splitlines()[0]
by_value = connection.execute(
    f"from read_parquet('{file}', encryption_config = {{footer_key_value: from_base64('{key}')}})"
).fetchall()
print("characters of the key: ", len(key))
print("by add_parquet_key:    ", by_name)
print("by footer_key_value:   ", by_value)
assert len(key) == 24, "the behaviour has changed"
assert "AES tag differs" in by_name, "the behaviour has changed"
assert float(by_value[0][0]) == 20.5, "the behaviour has changed"
PYTHON
