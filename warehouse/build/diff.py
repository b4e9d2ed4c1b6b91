"""What publishing would change: the next generation compared with the published one, table by table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ingestion.destination.target import Target
from ingestion.sql import quoted
from warehouse import dbt, ledger
from warehouse.build.parsed import published_models
from warehouse.database import Database, open_database
from warehouse.errors import BuildError
from warehouse.publish.publish import published_number


@dataclass(frozen=True)
class Difference:
    """One table's difference, in rows. `columns`: for each column that differs, the rows in which it does.

    A table without a tested key is compared by whole rows: a row that changed is then one removed and one added.
    """

    table: str
    added: int
    removed: int
    changed: int
    columns: dict[str, int]
    note: str = ""


def show_difference(target: Target, say: Callable[[str], None]) -> list[Difference]:
    """Compare the next generation with the published one and print what differs. Returns the tables that do.

    Raises:
        BuildError: one of the two isn't there.
    """
    manifest = dbt.parse(target)
    with open_database(target) as database:
        present = published_number(database)
        if present is None:
            raise BuildError("nothing is published yet, so there is nothing to compare with: run `make build` first")
        held = ledger.held_up_to(database) is not None
        what = "the generation that is held back" if held else "the generation that lies ready for the next build"
        say(f"{what}, compared with generation {present}, which readers see")
        found = list(_differences(database, manifest, target))
    if not found:
        say("no published table differs")
    for each in found:
        say(f"{each.table}: {each.added:,} rows added, {each.removed:,} removed, {each.changed:,} changed{each.note}")
        for column, rows in sorted(each.columns.items(), key=lambda item: (-item[1], item[0])):
            say(f"    {column}: {rows:,}")
    if held:
        say("next: make publish, or mend and make build")
    return found


def _differences(database: Database, manifest: Any, target: Target) -> Iterable[Difference]:
    keys = _keys(manifest)
    for name, (schema, _) in sorted(published_models(manifest, target).items(), key=lambda each: (each[1][0], each[0])):
        old, new = database.published(schema, name), database.next(schema, name)
        table = f"{schema}.{name}"
        if not database.exists(new):
            yield Difference(table, 0, _count(database, old) if database.exists(old) else 0, 0, {}, "; it goes away")
        elif not database.exists(old):
            yield Difference(table, _count(database, new), 0, 0, {}, "; it is new")
        else:
            difference = _compare(database, table, old, new, keys.get(name, []))
            if difference.added or difference.removed or difference.changed or difference.note:
                yield difference


def _keys(manifest: Any) -> dict[str, list[str]]:
    """The tested key of each model: the columns of its first test of uniqueness."""
    found: dict[str, list[str]] = {}
    for node in sorted(manifest.nodes.values(), key=lambda each: str(each.unique_id)):
        metadata = getattr(node, "test_metadata", None)
        if node.resource_type != "test" or metadata is None or not getattr(node, "attached_node", None):
            continue
        model = str(node.attached_node).rsplit(".", 1)[-1]
        if metadata.name == "unique" and (getattr(node, "column_name", None) or "").isidentifier():
            found.setdefault(model, [str(node.column_name)])
        elif metadata.name == "unique_combination":
            found.setdefault(model, [str(column) for column in metadata.kwargs["columns"]])
    return found


def _compare(database: Database, table: str, old: str, new: str, key: list[str]) -> Difference:
    columns_old, columns_new = _columns(database, old), _columns(database, new)
    shared = [column for column in columns_new if column in columns_old]
    changed_columns = [f"+{c}" for c in columns_new if c not in columns_old]
    changed_columns += [f"-{c}" for c in columns_old if c not in columns_new]
    note = f"; columns {', '.join(changed_columns)}" if changed_columns else ""
    if not key:
        listed = ", ".join(quoted(column) for column in shared)
        added, removed = (
            int(
                database.run(
                    f"select count(*) from (select {listed} from {a} except all select {listed} from {b}) as d"
                )[0][0]
            )
            for a, b in ((new, old), (old, new))
        )
        return Difference(table, added, removed, 0, {}, f" (compared by whole rows, for want of a tested key){note}")
    rest = [column for column in shared if column not in key]
    on = " and ".join(f"old_rows.{quoted(c)} = new_rows.{quoted(c)}" for c in key)
    # A key is never null, so the first of its columns tells on which side a row is missing.
    first = quoted(key[0])
    both = f"old_rows.{first} is not null and new_rows.{first} is not null"
    differs = {c: f"old_rows.{quoted(c)} is distinct from new_rows.{quoted(c)}" for c in rest}
    any_column = " or ".join(differs.values()) or "false"
    counted = [
        f"sum(case when old_rows.{first} is null then 1 else 0 end)",
        f"sum(case when new_rows.{first} is null then 1 else 0 end)",
        f"sum(case when {both} and ({any_column}) then 1 else 0 end)",
        *(f"sum(case when {both} and {condition} then 1 else 0 end)" for condition in differs.values()),
    ]
    row = database.run(f"select {', '.join(counted)} from {old} as old_rows full join {new} as new_rows on {on}")[0]
    numbers = [int(value or 0) for value in row]
    columns = {column: rows for column, rows in zip(rest, numbers[3:], strict=True) if rows}
    return Difference(table, numbers[0], numbers[1], numbers[2], columns, note)


def _columns(database: Database, qualified: str) -> list[str]:
    parts = qualified.split(".")
    catalog = " and table_catalog = %s" if len(parts) == 3 else ""
    rows = database.run(
        "select column_name from information_schema.columns "
        f"where table_schema = %s and table_name = %s{catalog} order by ordinal_position",
        [*parts[-2:], *parts[:-2]],
    )
    return [str(row[0]) for row in rows]


def _count(database: Database, qualified: str) -> int:
    return int(database.run(f"select count(*) from {qualified}")[0][0])
