"""What a FHIR source's contract says of a table, as FHIRPath sees it: elements that are columns."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingestion.contract.contracts import Column, Source, Table
from ingestion.fhirpath.elements import NAME, element, is_primitive
from ingestion.fhirpath.emitted import call, sql
from ingestion.fhirpath.nodes import FhirPathError, Node
from ingestion.fhirpath.parsing import parse
from ingestion.fhirpath.values import Columns, Place, Scalar

# What raw has as a type of SQL's own; all else is text.
_TYPES = {"boolean": "boolean", "bigint": "integer", "timestamp": "timestamp"}


@dataclass(frozen=True)
class Resources:
    """A table of resources: its elements, and the expressions of which it has the result in a column."""

    table: str
    elements: Columns
    expressions: dict[Node, Scalar]


def resources(source: Source, resource_type: str) -> Resources:
    """The table of a source that has the resources of a type.

    Raises:
        FhirPathError: where it has none.
    """
    tables = {str(table.meta.get("resource_type")): table for table in source.tables}
    if resource_type not in tables:
        known = ", ".join(sorted(name for name in tables if name.isalpha()))
        raise FhirPathError(f"resource: {source.name} has no table of {resource_type}; it has those of {known}")
    return _read(tables[resource_type], resource_type)


def _read(table: Table, resource_type: str) -> Resources:
    elements: list[tuple[str, Place | Scalar]] = []
    expressions: dict[Node, Scalar] = {}
    for column in table.columns:
        name = column.at_source
        if re.fullmatch(NAME, name):
            elements.append((name, _value(column, resource_type, name)))
        else:
            expressions[parse(name)] = Scalar(sql(column.name), _TYPES.get(column.data_type, "string"))
    return Resources(table.name, Columns(resource_type, tuple(elements)), expressions)


def _value(column: Column, resource_type: str, name: str) -> Place | Scalar:
    """An element's column: a value of its own, or JSON. A direct identifier is a token, whatever it was."""
    known = element(resource_type, name)
    if column.data_type in _TYPES:
        return Scalar(sql(column.name), _TYPES[column.data_type])
    if column.privacy == "direct_identifier":
        return Scalar(sql(column.name), "string")
    if known is None or known.is_list or not is_primitive(known.type):
        keeps = tuple(tuple(path.split(".")) for path in column.keeps)
        return Place(
            sql(column.name), (), known.type if known else None, known.is_list if known else None, False, keeps
        )
    # The contract judges such values folded, and so they are folded here.
    folded = call("folded", column.name) if column.accepted_values else sql(column.name)
    return Scalar(folded, known.type)
