"""The tree of a FHIRPath expression, as far as SQL on FHIR and the contracts of FHIR sources use the language.

The source of the rules is FHIRPath 2.0 (http://hl7.org/fhirpath/) and SQL on FHIR 2.0
(http://hl7.org/fhir/uv/sql-on-fhir/).
"""

from __future__ import annotations

from dataclasses import dataclass


class FhirPathError(ValueError):
    """An expression or a view that can't be compiled: what is wrong of it, where, and what would be right."""


@dataclass(frozen=True)
class Literal:
    """A value written out: its text, and its type of FHIR (string, boolean, integer, decimal, date, dateTime, time)."""

    text: str
    type: str


@dataclass(frozen=True)
class This:
    """What the expression is asked of: `$this`, and what stands before the first element's name."""


@dataclass(frozen=True)
class Variable:
    """`%name`: a constant of the view, or `%rowIndex`."""

    name: str


@dataclass(frozen=True)
class Member:
    """The elements called `name` of `of`."""

    of: Node
    name: str


@dataclass(frozen=True)
class Index:
    """The item of `of` at a position, counted from 0: a number or a constant."""

    of: Node
    at: Node


@dataclass(frozen=True)
class Function:
    """`of.name(arguments)`."""

    of: Node
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Operation:
    """Two expressions with an operator between them."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Negative:
    """A number's opposite."""

    of: Node


Node = Literal | This | Variable | Member | Index | Function | Operation | Negative
