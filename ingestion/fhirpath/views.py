"""A ViewDefinition compiled to CTEs and selects that name no engine.

Each list that a view walks is a CTE on top of the one before: its columns, and the item and its position. Selections
that are joined stand one on the other, those of unionAll are selects of their own over what they share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

from ingestion.fhirpath.compiling import Scope, compiled
from ingestion.fhirpath.definitions import Column, Select, View
from ingestion.fhirpath.elements import NUMBERS
from ingestion.fhirpath.emitted import Sql, call, sql
from ingestion.fhirpath.nodes import FhirPathError
from ingestion.fhirpath.values import Columns, Items, Place, Scalar, Value, boolean, exists, items, text, type_of

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Output:
    """A column of the result: what it is in SQL, its type, and the type that its element has where it comes from.

    is_written: whether it is a decimal's text.
    """

    column: Column
    sql: Sql
    type: str | None
    source_type: str | None
    is_written: bool = False


@dataclass(frozen=True)
class Stage:
    """A CTE."""

    name: str
    sql: Sql
    is_recursive: bool = False
    is_materialized: bool = False


@dataclass(frozen=True)
class Branch:
    """One select of the result: the relation that it reads, and its columns."""

    relation: str
    outputs: tuple[Output, ...]
    positions: tuple[str, ...]


@dataclass(frozen=True)
class Compiled:
    """A view: its CTEs, in order, and the selects that are put together."""

    stages: tuple[Stage, ...]
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class _State:
    """How far a branch is: what it reads, where in the resource it is, what it has."""

    relation: str
    focus: Value
    row_index: Sql
    outputs: tuple[Output, ...] = ()
    positions: tuple[str, ...] = ()


@dataclass
class _Compiler:
    scope: Scope
    keeps_text: bool
    stages: list[Stage] = field(default_factory=list)
    number: int = 0

    def within(self, state: _State, hint: str | None = None) -> Scope:
        return replace(self.scope, focus=state.focus, row_index=state.row_index, hint=hint)

    def expanded(self, select: Select, state: _State) -> list[_State]:
        """The branches that a selection makes of one."""
        if select.for_each:
            state = self.walked(select, state)
        elif select.repeat:
            state = self.repeated(select, state)
        here, row_index = state.focus, state.row_index
        outputs = tuple(_at(column.at, self.output, column, state) for column in select.columns)
        states = [replace(state, outputs=(*state.outputs, *outputs))]
        for inner in select.selects:
            states = [made for each in states for made in self.expanded(inner, each)]
            states = [replace(made, focus=here, row_index=row_index) for made in states]
        if select.unions:
            states = [made for each in states for union in select.unions for made in self.expanded(union, each)]
        return states

    def output(self, column: Column, state: _State) -> Output:
        value = compiled(column.path, self.within(state, column.type))
        is_decimal = self.keeps_text and column.type == "decimal" and not column.collection
        is_written = is_decimal and not (isinstance(value, Scalar) and type_of(value) == "number")
        made = text(value, column.path) if is_written else typed(value, column)
        return Output(column, made, column.type or value.type, value.type, is_written)

    def walked(self, select: Select, state: _State) -> _State:
        """What a selection walks: a CTE with a row for each item, or also for none.

        Where there is one item at most, no row is added, so that no join is needed.
        """
        path = str(select.for_each)
        found = _at(select.at, compiled, path, self.within(state))
        if isinstance(found, Place) and found.many is False:
            return self.kept(state, found, exists(found), select)
        self.number += 1
        name = f"each_{self.number}"
        if isinstance(found, Items) and found.only:
            item = "select *, " + found.only + f" as {name}\n    from {state.relation}"
            self.stages.append(Stage(name, item))
            focus = Place(sql(name), (), found.type, False, True, found.keeps)
            return self.kept(replace(state, relation=name), focus, sql(f"{name} is not null"), select)
        # In a join, columns say whose they are.
        qualified = replace(state, focus=_qualified(state.focus, state.relation))
        found = items(_at(select.at, compiled, path, self.within(qualified)))
        join = "left join lateral" if select.or_null else "cross join lateral"
        self.stages.append(Stage(name, Sql((
            f"select {state.relation}.*, {name}_rows.{name}, {name}_rows.{name}_position\n"
            f"    from {state.relation}\n    {join} ",
            *call("json_rows", found.sql, name).parts,
            " on true" if select.or_null else "",
        ))))  # fmt: skip
        position = f"coalesce({name}_position, 1)" if select.or_null else f"{name}_position"
        return self.moved(state, Place(sql(name), (), found.type, False, True, found.keeps), name, position)

    def kept(self, state: _State, focus: Value, there: Sql, select: Select) -> _State:
        """A branch at an item of which there is one at most; where rows without one aren't asked for, without these."""
        if not select.or_null:
            self.number += 1
            name = f"each_{self.number}"
            self.stages.append(Stage(name, f"select * from {state.relation}\n    where " + there))
            state = replace(state, relation=name)
        return replace(state, focus=focus, row_index=sql("0"))

    def moved(self, state: _State, focus: Place, name: str, position: str) -> _State:
        return replace(
            state, relation=name, focus=focus, row_index=sql(f"({position} - 1)"), positions=(*state.positions, name)
        )

    def repeated(self, select: Select, state: _State) -> _State:
        """CTEs that walk a tree from above to below: the rows numbered, the items and the ways to them, both."""
        self.number += 1
        name = f"each_{self.number}"
        rows, walk = f"{name}_numbered", f"{name}_walk"
        self.stages.append(
            Stage(
                rows,
                sql(f"select {state.relation}.*, row_number() over () as {name}_row\n    from {state.relation}"),
                is_materialized=True,
            )
        )
        top, kind = self.children(select, state, _qualified(state.focus, rows))
        below, kind_below = self.children(select, state, Place(sql(f"{walk}.{name}"), (), kind, False, is_value=True))
        if kind_below != kind:
            below, kind = self.children(select, state, Place(sql(f"{walk}.{name}"), (), None, False, is_value=True))
        item, position = f"{name}_rows.{name}", f"{name}_rows.{name}_position"
        self.stages.append(Stage(walk, Sql((
            f"select {rows}.{name}_row, {item}, ", *call("way_to", "", position).parts, f" as {name}_way\n",
            f"    from {rows}\n    cross join lateral ", *call("json_rows", top, name).parts,
            f"\n    union all\n    select {walk}.{name}_row, {item}, ",
            *call("way_to", f"{walk}.{name}_way", position).parts, f" as {name}_way\n",
            f"    from {walk}\n    cross join lateral ", *call("json_rows", below, name).parts,
        )), is_recursive=True))  # fmt: skip
        self.stages.append(Stage(name, sql(
            f"select {rows}.*, {walk}.{name},\n        row_number() over (\n"
            f"            partition by {walk}.{name}_row order by {walk}.{name}_way\n        ) as {name}_position\n"
            f"    from {rows}\n    inner join {walk} on {rows}.{name}_row = {walk}.{name}_row",
        )))  # fmt: skip
        return self.moved(state, Place(sql(name), (), kind, False, is_value=True), name, f"{name}_position")

    def children(self, select: Select, state: _State, focus: Value) -> tuple[Sql, str | None]:
        """What the paths of a repeat find at an item, one path after the other, and its type where all have one."""
        found = [
            items(_at(select.at, compiled, path, self.within(replace(state, focus=focus)))) for path in select.repeat
        ]
        made = found[0].sql
        for each in found[1:]:
            made = call("json_concatenated", made, each.sql)
        kinds = {each.type for each in found}
        return made, kinds.pop() if len(kinds) == 1 else None


def _at(at: str, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """What a function gives; its error says where in the file it happened."""
    try:
        return function(*arguments, **named)
    except FhirPathError as error:
        raise FhirPathError(f"{at}: {error}") from None


def _qualified_column(value: Place | Scalar, relation: str) -> Place | Scalar:
    if isinstance(value, Place):
        return replace(value, root=f"{relation}." + value.root)
    return replace(value, sql=f"{relation}." + value.sql)


def _qualified(value: Value, relation: str) -> Value:
    """A value whose columns say their relation, for a join."""
    if isinstance(value, Place | Scalar):
        return _qualified_column(value, relation)
    if isinstance(value, Columns):
        return replace(
            value, elements=tuple((name, _qualified_column(each, relation)) for name, each in value.elements)
        )
    return value


def typed(value: Value, column: Column) -> Sql:
    """A column's SQL, of the type that the column says; text where it says none and nobody knows.

    Raises:
        FhirPathError: where the value can't be of the type.
    """
    kind = column.type or (value.type if type_of(value) in {"boolean", "number"} else None)
    if column.collection:
        in_sql = "boolean" if kind == "boolean" else "numeric(28, 8)" if kind in NUMBERS else "text"
        return call("json_list", items(value).sql, in_sql)
    if kind == "boolean":
        return boolean(value, column.path)
    if kind in NUMBERS and isinstance(value, Scalar) and type_of(value) == "number":
        return "cast(" + value.sql + f" as {'numeric(28, 8)' if kind == 'decimal' else 'bigint'})"
    if kind in NUMBERS:
        return call("fhir_decimal" if kind == "decimal" else "fhir_integer", text(value, column.path))
    if isinstance(value, Scalar) and value.type == "timestamp":
        return value.sql
    return text(value, column.path)


def compile_view(
    view: View, focus: Value, relation: str, scope: Scope | None = None, *, keeps_text: bool = False
) -> Compiled:
    """A view over a relation of resources.

    Args:
        view: what it selects.
        focus: the resource, as a JSON document or as columns of the relation.
        relation: the name of the CTE with the resources of the view's type.
        scope: what expressions may name besides the view's constants.
        keeps_text: whether a decimal that JSON has stays the text that it is.

    Raises:
        FhirPathError: where it can't be compiled, with where in the file that is.
    """
    scope = replace(scope or Scope(focus), focus=focus, constants=view.constants)
    compiler = _Compiler(scope, keeps_text)
    state = _State(relation, focus, sql("0"))
    if view.where:
        conditions = [
            _at(at, boolean, _at(at, compiled, path, compiler.within(state)), path) for path, at in view.where
        ]
        made = "select * from " + sql(f"{relation}\n    where\n        ") + conditions[0]
        for condition in conditions[1:]:
            made = made + "\n        and " + condition
        compiler.stages.append(Stage("chosen", made))
        state = replace(state, relation="chosen")
    states = compiler.expanded(view.select, state)
    return Compiled(
        tuple(compiler.stages), tuple(Branch(each.relation, each.outputs, each.positions) for each in states)
    )
