"""Which relations a build has anything to do for. docs/decisions/selection.md says why, and why nothing is left out.

A relation is stale where a load that it has not seen wrote to a table that it comes from, where its code is not the
code that it was built with, where a fact left keys for it, or where it isn't there. What is stale is built, and what
lies below it. The others stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from warehouse import ledger
from warehouse.build.lineage import Lineage, RawTable, is_written
from warehouse.database import Database

# What has no ledger of its own is entered in `granary.seen` when dbt has made it.
LISTED_BY_BUILD = ("view", "seed")


def relations(manifest: Any) -> dict[str, Any]:
    """The nodes that are relations, by unique id."""
    kinds = ("model", "snapshot", "seed")
    return {unique_id: node for unique_id, node in manifest.nodes.items() if node.resource_type in kinds}


def is_listed_by_build(node: Any) -> bool:
    """Whether the build notes this relation's code, since the relation itself doesn't: it holds nothing of loads."""
    return node.config.materialized in LISTED_BY_BUILD


def lies_in_generation(node: Any) -> bool:
    """Whether a relation's ledger is the generation's: what is published, and the lists of touched keys."""
    return node.resource_type == "model" and not is_listed_by_build(node)


def to_build(
    database: Database, manifest: Any, lineage: Lineage, written: Mapping[RawTable, int],
    of_generation: Mapping[str, ledger.Entry],
) -> tuple[set[str], bool]:  # fmt: skip
    """The unique ids of the relations that this build makes, and whether it does so for what is new alone.

    It doesn't where the code of one is not the code that it was built with, or one is not there.

    Args:
        database: the warehouse.
        manifest: the project that is built.
        lineage: of its nodes.
        written: the last load that wrote to each table of raw.
        of_generation: the ledger of the generation.
    """
    nodes = relations(manifest)
    entries = {True: of_generation, False: ledger.last_entries(database, database.granary("seen"))}
    code = dict(database.run(f"select relation_name, fingerprint from {database.granary('code')}"))
    there = _there(database)
    waiting = set(database.run(f"select distinct relation_name, entry_number from {database.next('ops', 'pending')}"))

    other_code, stale = set(), set()
    for unique_id, node in nodes.items():
        entry = entries[lies_in_generation(node)].get(node.name)
        if entry is None or entry.fingerprint != code[node.name] or (str(node.schema), str(node.alias)) not in there:
            other_code.add(unique_id)
        elif not is_listed_by_build(node) and (
            (node.name, entry.number) in waiting
            or any(is_written(written, table, entry.load_number) for table in lineage.raw_above(unique_id))
        ):
            stale.add(unique_id)
    return _with_what_follows(nodes, lineage, stale | other_code, database.target.engine), not other_code


def _with_what_follows(nodes: dict[str, Any], lineage: Lineage, stale: set[str], engine: str) -> set[str]:
    """What is stale, what lies below, and the lists of touched keys that those read: theirs may be another build's."""
    built: set[str] = set()
    found = set(stale)
    while found != built:
        built = set(found)
        below = lineage.below(built) & nodes.keys()
        # A view over what is built anew is as it was on DuckDB; on Postgres it may have been dropped with that.
        found |= {each for each in below if engine == "postgres" or not is_listed_by_build(nodes[each])}
        above = set().union(*(lineage.above(each) for each in found if not is_listed_by_build(nodes[each])))
        found |= {each for each in above & nodes.keys() if is_list(nodes[each])}
    return built


def is_list(node: Any) -> bool:
    """Whether a relation is a list of keys: entered in a generation's ledger, but lying beside all generations."""
    return lies_in_generation(node) and not (node.config.meta or {}).get("published")


def _listed(names: Iterable[str]) -> str:
    """Names for SQL's `in`; one that nothing has where there are none."""
    return ", ".join(f"'{name}'" for name in sorted(names)) or "''"


def _there(database: Database) -> set[tuple[str, str]]:
    """The tables and views of the warehouse, by schema and name."""
    if database.target.engine == "duckdb":
        rows = database.run(
            "select schema_name, table_name from duckdb_tables() where database_name <> 'published' "
            "union all select schema_name, view_name from duckdb_views() where not internal"
        )
    else:
        rows = database.run(
            "select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace "
            "where c.relkind in ('r', 'p', 'v', 'm')"
        )
    return {(str(schema), str(name)) for schema, name in rows}


def forget_listed(database: Database, manifest: Any, built: Collection[str] | None = None) -> None:
    """Before dbt makes these views and seeds, all where none are given: what was noted of their code holds no more."""
    enter(database, database.granary("seen"), _listed_names(manifest, built), fingerprint="'being made'")


def note_listed(database: Database, manifest: Any, built: Collection[str]) -> None:
    """These relations are made; of those that are views and seeds the present code is noted."""
    enter(database, database.granary("seen"), _listed_names(manifest, built))


def enter(
    database: Database, seen: str, names: Collection[str], load_number: int = 0, fingerprint: str = "code.fingerprint"
) -> None:
    """Enter relations in a ledger, `seen`: up to this load they are made by this code."""
    if not names:
        return
    database.run(f"""
        insert into {seen} (relation_name, entry_number, load_number, fingerprint)
        select
            code.relation_name,
            (
                select coalesce(max(seen.entry_number), 0) + 1 from {seen} as seen
                where seen.relation_name = code.relation_name
            ),
            {load_number},
            {fingerprint}
        from {database.granary("code")} as code
        where code.relation_name in ({_listed(names)})""")


def _listed_names(manifest: Any, built: Collection[str] | None) -> set[str]:
    return {
        str(node.name)
        for unique_id, node in relations(manifest).items()
        if is_listed_by_build(node) and (built is None or unique_id in built)
    }
