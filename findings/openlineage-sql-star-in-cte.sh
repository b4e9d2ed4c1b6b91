#!/usr/bin/env bash
# OpenLineage's SQL parser names a CTE or a subquery as the table that a column comes from, where that passes its
# columns on with a star: `items`, which is no dataset, for `shop.order_items`. The list of input tables beside it is
# right. With the columns written out the origin is right, too. Projects in dbt's style begin with such CTEs for each
# input. The dialect `duckdb` refuses `as materialized`, which DuckDB takes; `postgres` takes it.
#
# Seen: openlineage-sql 1.54.0. Guessed before: the one table below the star is the origin. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openlineage-sql==1.54.0
"$work/venv/bin/python" - <<'PYTHON'
from openlineage_sql import parse

QUERIES = {
    "with items as (select quantity from shop.order_items) select items.quantity from items": "shop.order_items",
    "with items as (select * from shop.order_items) select items.quantity from items": "items",
    "select items.quantity from (select * from shop.order_items) as items": "items",
}
for query, origin in QUERIES.items():
    for dialect in ("postgres", "duckdb"):
        found = parse([query], dialect=dialect)
        [column] = found.column_lineage
        [of] = column.lineage
        print(f"{dialect:8} from {of.origin}, tables {[str(table) for table in found.in_tables]}: {query}")
        assert str(of.origin) == origin, "the behaviour has changed"
        assert [str(table) for table in found.in_tables] == ["shop.order_items"], "the behaviour has changed"
query = "with items as materialized (select quantity from shop.order_items) select items.quantity from items"
refused = {each: [error.message for error in parse([query], dialect=each).errors] for each in ("postgres", "duckdb")}
print(refused)
assert not refused["postgres"] and refused["duckdb"], "the behaviour has changed"
PYTHON
