"""What a build has changed so far: which relations, and which rows of them.

Selection (warehouse/build/selection.py) knows before a build what something new may reach. What it did reach is seen
while relations are made: a batch of one order names no new product, so no table of products is made anew, and what
tests of the stock read is what they passed with. `make follow` goes further: where rows of one relation changed, and a
test says of each row or of each group of rows whether it fails, it is asked of those alone (docs/decisions/batches.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from warehouse import ledger
from warehouse.build import selection
from warehouse.build.lineage import Lineage, is_written
from warehouse.database import Database

# Tests that say of each row by itself whether it fails,
OF_ROWS = ("not_null", "accepted_values", "relationships", "follows_contract", "version_holds_at")
# and those that say it of all rows with one value in a column: the argument that names it, or several, it first.
OF_GROUPS = {"unique": "column_name", "unique_combination": "columns", "history_is_sound": "key"}


@dataclass(frozen=True)
class Change:
    """Which rows of a relation may have changed: those whose `columns` are in `keys`, a table; any where that is ''."""

    columns: tuple[str, ...] = ()
    keys: str = ""


ANY = Change()


def among(columns: Sequence[str], keys: str) -> str:
    """A condition: these columns are those of a row of `keys`. Engines skip blocks for one looked for by itself."""
    listed = ", ".join(columns)
    return f"{listed if len(columns) == 1 else f'({listed})'} in (select {listed} from {keys})"


@dataclass
class Changes:
    """What changed, for those who depend on it. Sessions that are at work at the same time share it.

    manifest, lineage: the project that is built, with the code that everything is built with.
    built: the unique ids of the relations that this build may make.
    since: the last load that tests saw when they passed in this generation, by unique id.
    partly: the tests that passed on changed rows alone then.
    by_rows: tests may be asked of changed rows alone.
    loads: the ledger's table of loads.
    written: the last load that wrote to each table of raw.
    entries: the ledger of the generation as the build began, by relation.
    """

    manifest: Any
    lineage: Lineage
    built: Collection[str]
    since: Mapping[str, int]
    partly: Collection[str]
    by_rows: bool
    loads: str
    written: Mapping[tuple[str, str], int]
    entries: Mapping[str, ledger.Entry]
    _made: dict[str, Change | None] = field(default_factory=dict)

    def needs_making(self, unique_id: str) -> bool:
        """Whether anything changed of what a relation is made of. All but tables find that out by themselves."""
        node = self.manifest.nodes[unique_id]
        entry = self.entries.get(node.name)
        if node.config.materialized != "table" or selection.is_list(node) or entry is None:
            return True
        return any(
            self._change(each, entry.load_number) or self._is_ahead(each, entry)
            for each in self._stored_above(unique_id)
        )

    def _is_ahead(self, unique_id: str, entry: ledger.Entry) -> bool:
        """Whether a relation was made for a load after this entry, by a build that was killed soon after."""
        node = self._node(unique_id)
        if node.resource_type != "model":
            return False
        made = self.entries.get(node.name)
        return made is None or made.load_number > entry.load_number

    def note_unchanged(self, database: Database, unique_id: str) -> None:
        """A relation is as it would be if it were made now: it has seen every load."""
        name = self.manifest.nodes[unique_id].name
        selection.enter(database, database.next("ops", "seen"), [name], ledger.newest_load(database))
        self._made[unique_id] = None

    def note_made(self, database: Database, unique_id: str) -> None:
        """A relation was made by this session: find out what changed of it."""
        node = self.manifest.nodes[unique_id]
        self._made[unique_id] = ANY
        if selection.is_list(node):
            self._made[unique_id] = self._of_list(database, unique_id)
        elif node.config.get("incremental_strategy") == "touched_keys":
            # macros/history/touched_keys.sql
            touched, keys = f"touched__{node.name}", database.granary(f"touched__{node.name}")
            if not database.run(f"select 1 from {touched} limit 1"):
                self._made[unique_id] = None
            elif self.by_rows:
                database.run(f"drop table if exists {keys}")
                database.run(f"create table {keys} as select * from {touched}")
                named = node.config.unique_key
                self._made[unique_id] = Change((named,) if isinstance(named, str) else tuple(named), keys)

    def _of_list(self, database: Database, unique_id: str) -> Change | None:
        """What changed of a list since it was last made for this generation: another one's may lie there since."""
        node, noted = self.manifest.nodes[unique_id], database.next("ops", "tested")
        digest = "hash(listed)" if database.target.engine == "duckdb" else "hashtextextended(listed::text, 0)"
        [(count, total)] = database.run(f"select count(*), sum({digest}) from {node.relation_name} as listed")
        before = database.run(f"select fingerprint from {noted} where test_id = %s", [unique_id])
        number = entry.number if (entry := self.entries.get(node.name)) else 0
        database.run(f"delete from {noted} where test_id = %s", [unique_id])
        # Where dbt makes it, it is entered in the ledger once more, and nothing is noted here.
        values = [unique_id, f"{number + 1} {count} {total}"]
        database.run(f"insert into {noted} (test_id, fingerprint) values (%s, %s)", values)
        return None if before == [(f"{number} {count} {total}",)] else ANY

    def question(self, database: Database, unique_id: str, select: str) -> str | None:
        """What to ask instead of a test's whole select, or just that; None where it would find what it found before."""
        since = self.since.get(unique_id)
        if since is None:
            return select
        parents = self.lineage.parents(unique_id)
        changed = {each: change for each in parents if (change := self._change(each, since))}
        if not changed:
            return None
        conditions = self._conditions(database, unique_id, changed) if self.by_rows else {}
        names = {each: str(self._node(each).relation_name) for each in conditions}
        if not conditions or not all(name in select for name in names.values()):
            return select
        parts = []
        for each, condition in conditions.items():
            alias = names[each].rpartition(".")[2]
            select = select.replace(names[each], alias)
            parts.append(f"{alias} as (select * from {names[each]} where {condition})")
        return f"with {', '.join(parts)}\nselect * from (\n{select}\n) as asked"

    def _conditions(self, database: Database, unique_id: str, changed: Mapping[str, Change]) -> dict[str, str]:
        """Of which rows of which relations a test is asked, so that it fails where it would of all; none: of all."""
        node, parents = self.manifest.nodes[unique_id], self.lineage.parents(unique_id)
        if by := (node.config.meta or {}).get("touched_by"):
            return self._of_keys(
                database, next(each for each in parents if self._node(each).name == by), parents, changed
            )
        kind = getattr(node, "test_metadata", None)
        if not kind or kind.name not in (*OF_ROWS, *OF_GROUPS):
            return {}
        tested = getattr(node, "attached_node", None) or parents[0]
        found = []
        for each, change in changed.items():
            if each == tested and change.keys:
                found.append(among(change.columns, change.keys))
            elif kind.name == "relationships" and change.columns == (kind.kwargs["field"],):
                # What a row names may be gone.
                found.append(f"{kind.kwargs['column_name']} in (select {change.columns[0]} from {change.keys})")
            else:
                return {}
        condition = " or ".join(found)
        if kind.name in OF_GROUPS:
            named = kind.kwargs[OF_GROUPS[kind.name]]
            column = named if isinstance(named, str) else named[0]
            condition = f"{column} in (select {column} from {self._node(tested).relation_name} where {condition})"
        return {tested: condition}

    def _of_keys(
        self, database: Database, fact: str, parents: Sequence[str], changed: Mapping[str, Change]
    ) -> dict[str, str]:
        """The rows of every relation that has columns of the fact's touched keys: all that changed has to have some."""
        keys = changed.get(fact, ANY).keys
        if not keys:
            return {}
        bound = (self._node(fact).config.meta or {}).get("touched_from")
        known = [name for name in database.columns(keys) if name != bound]
        found = {}
        for each in parents:
            columns = [name for name in database.columns(str(self._node(each).relation_name)) if name in known]
            if columns:
                found[each] = among(columns, keys)
        return found if changed.keys() <= found.keys() else {}

    def _change(self, unique_id: str, since: int) -> Change | None:
        """What changed of a relation, or of a table of raw, since this load; None where nothing did."""
        node = self._node(unique_id)
        if node.resource_type == "model" and selection.lies_in_generation(node):
            return self._made.get(unique_id, ANY) if unique_id in self.built else None
        if not any(is_written(self.written, table, since) for table in self.lineage.raw_above(unique_id)):
            return None
        column = "load_id"
        if node.resource_type == "source":
            column = "_load_id"
        elif "load_id" not in node.columns or not self._is_of_one_table(unique_id):
            return ANY
        return Change(
            (column,), f"(select load_id as {column} from {self.loads} where load_number > {since}) as new_loads"
        )

    def _is_of_one_table(self, unique_id: str) -> bool:
        """Whether a relation is a view of one table of raw, as staging is: each of its rows came by one load."""
        parents = self.lineage.parents(unique_id)
        return len(parents) == 1 and parents[0] in self.manifest.sources

    def _node(self, unique_id: str) -> Any:
        return self.manifest.nodes.get(unique_id) or self.manifest.sources[unique_id]

    def _stored_above(self, unique_id: str) -> Iterator[str]:
        """What a relation is made of and that is stored: what lies behind views, not these."""
        for each in self.lineage.parents(unique_id):
            node = self._node(each)
            if node.resource_type == "model" and node.config.materialized == "view":
                yield from self._stored_above(each)
            else:
                yield each
