"""A tree of FHIRPath compiled to SQL that names no engine.

FHIRPath's three values are SQL's: empty is null. What is computed is a value; what is navigated to stays a place in
JSON as long as it can. The rules are FHIRPath 2.0's, in the subset of SQL on FHIR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ingestion.fhirpath import values
from ingestion.fhirpath.elements import TIMES
from ingestion.fhirpath.emitted import Sql, call, sql
from ingestion.fhirpath.nodes import (
    FhirPathError,
    Function,
    Index,
    Literal,
    Member,
    Negative,
    Node,
    Operation,
    This,
    Variable,
)
from ingestion.fhirpath.parsing import parse
from ingestion.fhirpath.values import Columns, Items, Place, Scalar, Value, boolean, items, number, text, type_of


@dataclass(frozen=True)
class Scope:
    """What an expression is asked of, and what it may name.

    `columns` are expressions of which the table has the result in a column. `hint` is the type of the view's column,
    where an element's own isn't known. `depth` numbers the conditions within each other.
    """

    focus: Value
    constants: Mapping[str, Literal] = field(default_factory=dict)
    row_index: Sql | None = None
    columns: Mapping[Node, Scalar] = field(default_factory=dict)
    hint: str | None = None
    depth: int = 1
    expression: str = ""


def compiled(expression: str, scope: Scope) -> Value:
    """What an expression is in a scope.

    Raises:
        FhirPathError: where it can't be compiled; it names the expression.
    """
    try:
        return _value(parse(expression), replace(scope, expression=expression))
    except FhirPathError as error:
        raise error if repr(expression) in str(error) else FhirPathError(f"{expression!r}: {error}") from None


def _value(node: Node, scope: Scope) -> Value:
    if isinstance(scope.focus, Columns) and node in scope.columns:
        return scope.columns[node]
    match node:
        case Literal(text=written, type=kind):
            return values.constant(written, kind)
        case This():
            return scope.focus
        case Variable(name=name):
            return _variable(name, scope)
        case Member(of=of, name=name):
            return values.member(_value(of, scope), name)
        case Index(of=of, at=at):
            return values.item(_value(of, scope), _position(at, scope))
        case Function():
            return _function(node, scope)
        case Operation():
            return _operation(node, scope)
        case Negative(of=of):
            return Scalar("(-" + number(_value(of, scope), scope.expression) + ")", "decimal")


def _variable(name: str, scope: Scope) -> Value:
    if name == "rowIndex" and scope.row_index:
        return Scalar(scope.row_index, "integer")
    if name not in scope.constants:
        known = ", ".join(f"%{each}" for each in (*scope.constants, "rowIndex"))
        raise FhirPathError(f"%{name} is no constant of the view, which has {known}")
    return values.constant(scope.constants[name].text, scope.constants[name].type)


def _position(node: Node, scope: Scope) -> int:
    if isinstance(node, Variable):
        node = scope.constants.get(node.name, node)
    if not isinstance(node, Literal) or node.type not in {"integer", "positiveInt", "unsignedInt"}:
        raise FhirPathError("a position within [] is a whole number or a constant that is one")
    return int(node.text)


def _function(node: Function, scope: Scope) -> Value:
    if node.name not in _FUNCTIONS:
        raise FhirPathError(f"{node.name}() isn't one of the functions that views may use: {', '.join(_FUNCTIONS)}")
    least, most, function = _FUNCTIONS[node.name]
    if not least <= len(node.arguments) <= most:
        expected = f"{least}" if least == most else f"{least} to {most}"
        raise FhirPathError(f"{node.name}() takes {expected} arguments, not {len(node.arguments)}")
    return function(node, scope)


def _where(node: Function, scope: Scope) -> Value:
    of = items(_value(node.of, scope))
    name = f"item_{scope.depth}"
    within = Place(sql(name), (), of.type, False, True, of.keeps)
    condition = boolean(
        _value(node.arguments[0], replace(scope, focus=within, depth=scope.depth + 1)),
        f"{node.name}() of {scope.expression}",
    )
    return Items(call("json_where", of.sql, name, condition), of.type, keeps=of.keeps)


def _exists(node: Function, scope: Scope) -> Value:
    return Scalar(values.exists(_where(node, scope) if node.arguments else _value(node.of, scope)), "boolean")


def _empty(node: Function, scope: Scope) -> Value:
    return Scalar("(not " + values.exists(_value(node.of, scope)) + ")", "boolean")


def _not(node: Function, scope: Scope) -> Value:
    return Scalar("(not " + boolean(_value(node.of, scope), scope.expression) + ")", "boolean")


def _count(node: Function, scope: Scope) -> Value:
    return Scalar(call("json_count", items(_value(node.of, scope)).sql), "integer")


def _first(node: Function, scope: Scope) -> Value:
    found = values.item(_value(node.of, scope), 0)
    if isinstance(node.of, Function) and node.of.name == "combine" and isinstance(found, Items):
        # The first of two collections is the first of either, which need not be put together for it.
        first, second = (items(_value(each, scope)).sql for each in (node.of.of, node.of.arguments[0]))
        either = "coalesce(" + call("json_only", first) + ", " + call("json_only", second) + ")"
        return replace(found, only=either)
    return found


def _last(node: Function, scope: Scope) -> Value:
    return values.item(_value(node.of, scope), -1)


def _join(node: Function, scope: Scope) -> Value:
    separator = node.arguments[0] if node.arguments else Literal("", "string")
    if isinstance(separator, Variable):
        separator = scope.constants.get(separator.name, separator)
    if not isinstance(separator, Literal) or separator.type != "string":
        raise FhirPathError("join() takes a text that is written out, or a constant")
    written = values.constant(separator.text, "string").sql
    return Scalar(call("json_joined", items(_value(node.of, scope)).sql, written), "string")


def _combine(node: Function, scope: Scope) -> Value:
    first, second = items(_value(node.of, scope)), items(_value(node.arguments[0], scope))
    return Items(call("json_concatenated", first.sql, second.sql), first.type if first.type == second.type else None)


def _type_name(node: Function) -> str:
    """The type that ofType() or getReferenceKey() names: Quantity, or FHIR.Quantity."""
    named = node.arguments[0]
    if isinstance(named, Member) and (
        isinstance(named.of, This) or (isinstance(named.of, Member) and named.of.name in {"FHIR", "System"})
    ):
        return named.name
    raise FhirPathError(f"{node.name}() takes a type's name, such as Quantity")


def _of_type(node: Function, scope: Scope) -> Value:
    # JSON has a choice of types as an element for each: value.ofType(Quantity) is valueQuantity.
    name = _type_name(node)
    if not isinstance(node.of, Member):
        raise FhirPathError(f"ofType({name}) follows the name of an element, such as value.ofType({name})")
    return values.member(_value(node.of.of, scope), f"{node.of.name}{name[0].upper()}{name[1:]}", name)


def _extension(node: Function, scope: Scope) -> Value:
    condition = Operation("=", Member(This(), "url"), node.arguments[0])
    return _where(Function(Member(node.of, "extension"), "extension", (condition,)), scope)


def _resource_key(node: Function, scope: Scope) -> Value:
    return Scalar(text(values.member(_value(node.of, scope), "id"), scope.expression), "id")


def _reference_key(node: Function, scope: Scope) -> Value:
    reference = text(values.member(_value(node.of, scope), "reference"), scope.expression)
    return Scalar(call("fhir_reference_key", reference, _type_name(node) if node.arguments else ""), "id")


def _boundary(node: Function, scope: Scope) -> Value:
    of = _value(node.of, scope)
    kind = type_of(of) or scope.hint
    written = text(of, scope.expression)
    low = node.name == "lowBoundary"
    if kind == "number" or kind == "decimal":
        return Scalar(call("fhir_decimal_boundary", written, "-" if low else "+"), "decimal")
    if kind not in TIMES:
        raise FhirPathError(f"{node.name}() is asked of what isn't known to be a number, date or time: use ofType()")
    macro = {"date": "fhir_date_boundary", "time": "fhir_time_boundary"}.get(str(kind), "fhir_datetime_boundary")
    return Scalar(call(macro, written, "low" if low else "high"), str(kind))


# Each function: how few and how many arguments it takes, and what it is.
_FUNCTIONS: dict[str, tuple[int, int, Callable[[Function, Scope], Value]]] = {
    "where": (1, 1, _where),
    "exists": (0, 1, _exists),
    "empty": (0, 0, _empty),
    "not": (0, 0, _not),
    "count": (0, 0, _count),
    "first": (0, 0, _first),
    "last": (0, 0, _last),
    "join": (0, 1, _join),
    "combine": (1, 1, _combine),
    "ofType": (1, 1, _of_type),
    "extension": (1, 1, _extension),
    "getResourceKey": (0, 0, _resource_key),
    "getReferenceKey": (0, 1, _reference_key),
    "lowBoundary": (0, 0, _boundary),
    "highBoundary": (0, 0, _boundary),
}


def _operation(node: Operation, scope: Scope) -> Value:
    left, right = _value(node.left, scope), _value(node.right, scope)
    what = scope.expression
    if node.operator in {"and", "or", "xor", "implies"}:
        first, second = boolean(left, what), boolean(right, what)
        if node.operator == "implies":
            return Scalar("(not " + first + " or " + second + ")", "boolean")
        return Scalar("(" + first + f" {'<>' if node.operator == 'xor' else node.operator} " + second + ")", "boolean")
    if node.operator == "&":
        return Scalar("(coalesce(" + text(left, what) + ", '') || coalesce(" + text(right, what) + ", ''))", "string")
    if node.operator == "+" and "text" in {type_of(left), type_of(right)}:
        return Scalar("(" + text(left, what) + " || " + text(right, what) + ")", "string")
    if node.operator in {"+", "-", "*", "/", "div", "mod"}:
        return _arithmetic(node.operator, number(left, what), number(right, what))
    if node.operator == "!=":
        return Scalar("(not " + _compared("=", left, right, what) + ")", "boolean")
    return Scalar(_compared(node.operator, left, right, what), "boolean")


def _arithmetic(operator: str, left: Sql, right: Sql) -> Scalar:
    if operator == "/":
        return Scalar(call("fhir_quotient", left, right), "decimal")
    if operator == "div":
        return Scalar("cast(trunc(" + call("fhir_quotient", left, right) + ") as bigint)", "integer")
    if operator == "mod":
        return Scalar("mod(" + left + ", nullif(" + right + ", 0))", "decimal")
    return Scalar("(" + left + f" {operator} " + right + ")", "decimal")


def _compared(operator: str, left: Value, right: Value, what: str) -> Sql:
    """Two values by an operator, by the type of the one of which it is known."""
    kinds = {type_of(left), type_of(right)}
    if operator == "=" and kinds != {None} and not kinds & {"boolean", *TIMES}:
        # Collections of unequal length aren't equal, which is no error.
        kind, taken = ("numeric(28, 8)", number) if "number" in kinds else ("text", text)
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Items) or (isinstance(one, Place) and one.many is not False):
                return call("json_equals", items(one).sql, taken(other, what), kind)
    if "number" in kinds:
        return "(" + number(left, what) + f" {operator} " + number(right, what) + ")"
    if "boolean" in kinds:
        if operator != "=":
            raise FhirPathError(f"booleans can't be compared by {operator}")
        return "(" + boolean(left, what) + " = " + boolean(right, what) + ")"
    if kinds & TIMES:
        return call("fhir_time_compared", text(left, what), operator, text(right, what))
    if kinds == {None}:
        return call("json_compared", items(left).sql, operator, items(right).sql, what.replace("'", ""))
    if operator == "=":
        return "(" + text(left, what) + " = " + text(right, what) + ")"
    return "(" + call("fhir_bytes", text(left, what)) + f" {operator} " + call("fhir_bytes", text(right, what)) + ")"
