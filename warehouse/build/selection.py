"""Which relations a build has anything to do for. docs/decisions/selection.md says why, and why nothing is left out.

A relation is stale where a load that it has not seen wrote to a table that it comes from, where its code is not the
code that it was built with, where a fact left keys for it, or where it isn't there. What is stale is built, and what
lies below it. The others stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from warehouse.build.lineage import Lineage, RawTable, is_booked
from warehouse.database import Database

# What has no ledger of its own notes its code in `granary.seen_code` when dbt has made it.
LISTED_BY_BUILD = ("view", "seed")


@dataclass(frozen=True)
class Seen:
    """What the ledger says: unseen loads by relation, the code of each that is not the present one, pending keys."""

    unseen: dict[str, set[str]]
    of_other_code: set[str]
    pending: set[str]
    there: set[tuple[str, str]]


def relations(manifest: Any) -> dict[str, Any]:
    """The nodes that are relations, by unique id."""
    kinds = ("model", "snapshot", "seed")
    return {unique_id: node for unique_id, node in manifest.nodes.items() if node.resource_type in kinds}


def is_listed_by_build(node: Any) -> bool:
    """Whether the build notes this relation's code, since the relation itself doesn't: it holds nothing of loads."""
    return node.config.materialized in LISTED_BY_BUILD


def _lies_in_generation(node: Any) -> bool:
    """Whether a relation's ledger is the generation's: what is published, and the lists of touched keys."""
    return node.resource_type == "model" and not is_listed_by_build(node)


def to_build(database: Database, manifest: Any, lineage: Lineage) -> set[str]:
    """The unique ids of the relations that this build makes, and a note in the ledger for those that it needn't."""
    nodes = relations(manifest)
    seen = _seen(database, nodes)
    touched = _tables_of_loads(database, set().union(*seen.unseen.values()))
    concerned = {
        unique_id: _loads_that_concern(lineage.raw_above(unique_id), seen.unseen.get(node.name, set()), touched)
        for unique_id, node in nodes.items()
    }
    stale = {
        unique_id
        for unique_id, node in nodes.items()
        if node.name in seen.of_other_code
        or node.name in seen.pending
        or (str(node.schema), str(node.alias)) not in seen.there
        or concerned[unique_id]
    }
    built = _with_what_follows(nodes, lineage, stale, database.target.engine)
    passed_by = {
        unique_id: seen.unseen[node.name] - concerned[unique_id]
        for unique_id, node in nodes.items()
        if unique_id not in built and seen.unseen.get(node.name)
    }
    _note_seen(database, nodes, passed_by)
    return built


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
        found |= {each for each in above & nodes.keys() if _is_list(nodes[each])}
    return built


def _is_list(node: Any) -> bool:
    return _lies_in_generation(node) and not (node.config.meta or {}).get("published")


def _seen(database: Database, nodes: dict[str, Any]) -> Seen:
    """Ask the ledger, of snapshots and of the generation that is being built."""
    unseen: dict[str, set[str]] = {}
    same: set[str] = set()
    for in_generation in (False, True):
        counted = [node for node in nodes.values() if _lies_in_generation(node) == in_generation]
        loads, code = _ledger(database, in_generation)
        for name, load_id in database.run(f"""
            select r.relation_name, l.load_id
            from {database.granary("loads")} as l
            cross join (
                select relation_name from {database.granary("code")}
                where relation_name in ({_listed(node.name for node in counted if not is_listed_by_build(node))})
            ) as r
            where not exists (
                select 1 from {loads} as s where s.relation_name = r.relation_name and s.load_id = l.load_id
            )"""):
            unseen.setdefault(str(name), set()).add(str(load_id))
        rows = database.run(f"""
            select c.relation_name
            from {database.granary("code")} as c
            join {code} as s on s.relation_name = c.relation_name and s.fingerprint = c.fingerprint""")
        same |= {str(row[0]) for row in rows} & {str(node.name) for node in counted}
    other = {str(node.name) for node in nodes.values()} - same
    pending = {str(row[0]) for row in database.run(f"select relation_name from {database.next('ops', 'pending')}")}
    return Seen(unseen, other, pending, _there(database))


def _ledger(database: Database, in_generation: bool) -> tuple[str, str]:
    """The tables of seen loads and of seen code: the generation's, or those that all generations share."""
    if in_generation:
        return database.next("ops", "seen_loads"), database.next("ops", "seen_code")
    return database.granary("seen_loads"), database.granary("seen_code")


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


def _tables_of_loads(database: Database, loads: set[str]) -> dict[str, set[RawTable]]:
    """The tables of raw that each of these loads wrote to, as its own books have it."""
    found: dict[str, set[RawTable]] = {load_id: set() for load_id in loads}
    for load_id, source in database.run(f"select load_id, source_name from {database.granary('loads')}"):
        if load_id in found:
            found[load_id].add((str(source), ""))  # what loads write to their books, whatever they brought
    for source in {source for tables in found.values() for source, _ in tables}:
        for load_id, name in database.run(f"""
            select _load_id, resource from {database.raw(source, "loads")}
            where loaded_count + coalesce(deleted_count, 0) > 0"""):
            if load_id in found:
                found[load_id].add((source, str(name)))
    return found


def _loads_that_concern(tables: set[RawTable], loads: set[str], touched: dict[str, set[RawTable]]) -> set[str]:
    booked = {(source, "") for source, name in tables if is_booked((source, name))}
    return {load_id for load_id in loads if not touched[load_id].isdisjoint(tables | booked)}


def _note_seen(database: Database, nodes: dict[str, Any], loads: dict[str, set[str]]) -> None:
    """What brought nothing to a relation's tables counts as seen by it, or it would be up to date no more."""
    for in_generation in (False, True):
        rows = ", ".join(
            f"('{nodes[unique_id].name}', '{load_id}')"
            for unique_id, seen in sorted(loads.items())
            if _lies_in_generation(nodes[unique_id]) == in_generation
            for load_id in sorted(seen)
        )
        if rows:
            seen_loads, _ = _ledger(database, in_generation)
            database.run(f"insert into {seen_loads} (relation_name, load_id) values {rows}")


def forget_listed(database: Database, manifest: Any, built: Collection[str] | None = None) -> None:
    """Before dbt makes these views and seeds, all where none are given: what was noted of their code holds no more."""
    names = _listed_names(manifest, built)
    database.run(f"delete from {database.granary('seen_code')} where relation_name in ({_listed(names)})")


def note_listed(database: Database, manifest: Any, built: Collection[str]) -> None:
    """These relations are made; of those that are views and seeds the present code is noted."""
    forget_listed(database, manifest, built)
    database.run(
        f"insert into {database.granary('seen_code')} (relation_name, fingerprint) "
        f"select relation_name, fingerprint from {database.granary('code')} "
        f"where relation_name in ({_listed(_listed_names(manifest, built))})"
    )


def _listed_names(manifest: Any, built: Collection[str] | None) -> set[str]:
    return {
        str(node.name)
        for unique_id, node in relations(manifest).items()
        if is_listed_by_build(node) and (built is None or unique_id in built)
    }
