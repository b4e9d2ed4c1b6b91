"""What an expression of FHIRPath is in SQL: a place of a JSON text, a collection of JSON values, or a value.

A place is read by a path, which costs least; a collection is made where a list is walked, or where nobody knows whether
there may be several. Each kind can be taken as the kinds after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingestion.fhirpath.elements import NUMBERS, TIMES, element, is_primitive
from ingestion.fhirpath.emitted import Sql, call, literal, sql
from ingestion.fhirpath.nodes import FhirPathError


@dataclass(frozen=True)
class Place:
    """What a path leads to in `root`, a JSON text or, where `is_value`, a JSON value of the engine's.

    `many` is whether it is a list; None where that isn't known. `keeps` are the paths below it that are loaded; all
    where it is empty.
    """

    root: Sql
    path: tuple[str | int, ...] = ()
    type: str | None = None
    many: bool | None = False
    is_value: bool = False
    keeps: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Items:
    """A collection; the type is that of each item. `only` is the value of its item, where there is one at most."""

    sql: Sql
    type: str | None = None
    only: Sql | None = None
    keeps: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Scalar:
    """A value of SQL's, null where it is empty: a boolean, a number, a timestamp (UTC), or a text of any other type."""

    sql: Sql
    type: str


@dataclass(frozen=True)
class Columns:
    """A resource whose elements are columns of a table."""

    type: str
    elements: tuple[tuple[str, Place | Scalar], ...]


Value = Place | Items | Scalar | Columns


def member(value: Value, name: str, type_: str | None = None) -> Value:
    """The elements called `name` of a value. `type_` is the type where it is known from elsewhere.

    Raises:
        FhirPathError: where the value can't have elements, or the table has no column of the element.
    """
    if isinstance(value, Scalar):
        raise FhirPathError(f"{name!r} is asked of a {value.type}, which has no elements")
    if isinstance(value, Columns):
        found = dict(value.elements).get(name)
        if found is None:
            raise FhirPathError(
                f"{name!r} is no element of {value.type} that is loaded: {', '.join(sorted(dict(value.elements)))}"
            )
        return found
    if value.type and is_primitive(value.type):
        raise FhirPathError(f"{name!r} is asked of a {value.type}, which has no elements")
    keeps = _kept(value, name)
    known = element(value.type, name)
    type_ = known.type if known else type_
    if isinstance(value, Place) and value.many is False:
        # An element with a choice of types, which `type_` names, is never a list.
        many = known.is_list if known else (False if type_ else None)
        return replace(value, path=(*value.path, name), type=type_, many=many, keeps=keeps)
    return Items(call("json_children", items(value).sql, name), type_, keeps=keeps)


def _kept(value: Place | Items, name: str) -> tuple[tuple[str, ...], ...]:
    """What is loaded below an element of a value: of what it keeps, the paths through the element without it.

    Raises:
        FhirPathError: where the element isn't loaded.
    """
    below = [path[1:] for path in value.keeps if path[0] == name]
    if value.keeps and not below:
        loaded = ", ".join(dict.fromkeys(path[0] for path in value.keeps))
        raise FhirPathError(f"{name!r} isn't loaded of this element: {loaded}")
    return () if () in below else tuple(below)


def item(value: Value, position: int) -> Value:
    """The item at a position, counted from 0 or, where negative, from the end."""
    if isinstance(value, Place) and value.many and position >= 0:
        return replace(value, path=(*value.path, position), many=False)
    is_single = isinstance(value, Scalar | Columns) or (isinstance(value, Place) and value.many is False)
    if is_single and position in {0, -1}:
        return value
    found = items(value)
    made = call("json_item", found.sql, position)
    only = call("json_only", found.sql) if position == 0 else call("json_only", made)
    return Items(made, found.type, only, found.keeps)


def items(value: Value) -> Items:
    """A value as a collection.

    Raises:
        FhirPathError: where it is no JSON.
    """
    if isinstance(value, Items):
        return value
    if isinstance(value, Place):
        is_objects = value.many is True and value.type is not None and not is_primitive(value.type)
        macro = ("json_value_" if value.is_value else "json_place_") + ("list" if is_objects else "items")
        return Items(call(macro, value.root, value.path), value.type, keeps=value.keeps)
    if isinstance(value, Columns):
        raise FhirPathError(f"a {value.type} of columns can't be taken as a whole: name an element")
    raise FhirPathError(f"a {value.type} that is computed can't be taken as a collection")


def text(value: Value, what: str) -> Sql:
    """The one text of a value. `what` names the expression in the error that more than one raise at run time."""
    if isinstance(value, Scalar):
        if value.type == "timestamp":
            return "(replace(cast(" + value.sql + " as text), ' ', 'T') || 'Z')"
        return value.sql if type_of(value) not in {"boolean", "number"} else "cast(" + value.sql + " as text)"
    if isinstance(value, Place) and value.many is False:
        macro = "json_value_text" if value.is_value else "json_place_text"
        return call(macro, value.root, value.path)
    return call("json_single", items(value).sql, what.replace("'", ""))


def number(value: Value, what: str) -> Sql:
    """The one number of a value, as a decimal.

    Raises:
        FhirPathError: where it is none.
    """
    kind = type_of(value)
    if kind not in {"number", None}:
        raise FhirPathError(f"{what} is a {kind} where a number is expected")
    if isinstance(value, Scalar):
        return value.sql
    return "cast(" + text(value, what) + " as numeric(28, 8))"


def boolean(value: Value, what: str) -> Sql:
    """The one boolean of a value, null where it is empty.

    Raises:
        FhirPathError: where it is known to be none. Where that isn't known, it is an error at run time.
    """
    kind = type_of(value)
    if isinstance(value, Scalar) and kind == "boolean":
        return value.sql
    if kind == "boolean" and isinstance(value, Place) and value.many is False:
        return "(" + text(value, what) + " = 'true')"
    if kind not in {"boolean", None}:
        raise FhirPathError(f"{what} is a {kind} and no boolean: compare it, or ask exists()")
    return call("json_boolean", items(value).sql, what.replace("'", ""))


def exists(value: Value) -> Sql:
    """Whether there is anything."""
    if isinstance(value, Scalar):
        return "(" + value.sql + " is not null)"
    if isinstance(value, Place) and value.many is False:
        return "(" + text(value, "") + " is not null)"
    return "(" + call("json_count", items(value).sql) + " > 0)"


def type_of(value: Value) -> str | None:
    """`boolean`, `number`, `text`, a type of time, or None where nobody knows; a type with elements is itself."""
    kind = value.type
    if kind in NUMBERS:
        return "number"
    if kind == "timestamp":
        return "instant"
    if kind is None or kind in TIMES or kind in {"boolean", "number"} or not is_primitive(kind):
        return kind
    return "text"


def constant(text_: str, type_: str) -> Scalar:
    """A value that is written out."""
    if type_ in NUMBERS or type_ == "boolean":
        return Scalar(sql(text_), type_)
    return Scalar(literal(text_), type_)
