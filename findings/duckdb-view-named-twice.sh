#!/usr/bin/env bash
# DuckDB finds four rows of three million through a view a hundred times slower where the statement names the view
# twice, as "the other rows of a group of which one is touched" does. The view has a semi-join (rows of known loads),
# which makes it worth sharing to the optimizer `common_subplan`: all its rows are stored first, no key is pushed down
# to the scan any more, and no blocks are skipped. A view without the semi-join is not shared; with that optimizer off
# none is.
#
# Seen: duckdb 1.5.5. Guessed before: views are expanded where they stand, and each scan has its own filters. Fails if
# that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==1.5.5
"$work/venv/bin/python" - <<'PYTHON'
import time

import duckdb

connection = duckdb.connect()
connection.execute("set threads = 1")
connection.execute("""
    create table log as
    select i as id, i // 4 as parent, 'load ' || (i // 1000000) as load_id, repeat('x', 40) || i as note
    from range(3000000) as numbers(i)""")
connection.execute("create table loads as select distinct load_id from log")
connection.execute("create table touched as select 700000 as parent")
QUERY = """
    select * from {view} as every_row
    where every_row.id in (
        select one.id from {view} as one where one.parent in (select touched.parent from touched)
    )"""


def asked(view: str, off: str) -> tuple[bool, float]:
    """Whether the plan shares something, and the seconds of the quickest of three."""
    connection.execute(f"set disabled_optimizers = '{off}'")
    query, seconds = QUERY.format(view=view), []
    for _ in range(3):
        started = time.perf_counter()
        assert len(connection.execute(query).fetchall()) == 4
        seconds.append(time.perf_counter() - started)
    return "CTE" in connection.execute(f"explain {query}").fetchall()[0][1], min(seconds)


connection.execute("create view every_load as select id, parent, upper(note) as note from log")
connection.execute("""
    create view known_loads as
    select id, parent, upper(note) as note from log where load_id in (select loads.load_id from loads)""")
found = {(view, off): asked(view, off) for view in ("every_load", "known_loads") for off in ("", "common_subplan")}
for (view, off), (shares, seconds) in found.items():
    print(f"{view:12} {off and f'without {off}':24} {'stored' if shares else 'not stored':10} {seconds:.4f} s")
shares, slow = found["known_loads", ""]
others = [each for key, each in found.items() if key != ("known_loads", "")]
assert shares and not any(each[0] for each in others), "the behaviour has changed"
assert slow > 10 * max(each[1] for each in others), "the behaviour has changed"
PYTHON
