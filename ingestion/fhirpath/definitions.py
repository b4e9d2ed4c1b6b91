"""A ViewDefinition of SQL on FHIR 2.0, read and judged. What is wrong says where in the file it is.

http://hl7.org/fhir/uv/sql-on-fhir/StructureDefinition-ViewDefinition.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingestion.fhirpath.nodes import FhirPathError, Literal

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

# The types that a constant may have, as its element is called behind `value`.
_CONSTANTS = (
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer",
    "integer64", "oid", "string", "positiveInt", "time", "unsignedInt", "uri", "url", "uuid",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column: its name, FHIRPath, and type of FHIR; `at` is where it stands in the file."""

    name: str
    path: str
    type: str | None
    collection: bool
    description: str
    at: str


@dataclass(frozen=True)
class Select:
    """A selection: what it walks, its columns, the selections that are joined to it and those that are put together."""

    for_each: str | None
    or_null: bool
    repeat: tuple[str, ...]
    columns: tuple[Column, ...]
    selects: tuple[Select, ...]
    unions: tuple[Select, ...]
    at: str

    def all_columns(self) -> Iterator[Column]:
        """The columns, in order: its own, those of joined selections, those of the first that is put together."""
        yield from self.columns
        for each in (*self.selects, *self.unions[:1]):
            yield from each.all_columns()


@dataclass(frozen=True)
class View:
    """A view of one type of resource."""

    resource: str
    name: str
    description: str
    constants: Mapping[str, Literal]
    where: tuple[tuple[str, str], ...]
    select: Select


def read_view(written: Any) -> View:
    """The view that a ViewDefinition's JSON says.

    Raises:
        FhirPathError: where it isn't as the standard has it.
    """
    view = _object(written, "the view")
    resource = view.get("resource")
    if not isinstance(resource, str) or not _NAME.fullmatch(resource):
        raise FhirPathError("resource: say the type of resource that the view is of, such as Patient")
    select = Select(None, False, (), (), tuple(_selects(view, "select", "")), (), "")
    if not select.selects:
        raise FhirPathError("select: a view has at least one selection with columns")
    _named_once(select)
    return View(
        resource=resource,
        name=_text(view, "name", "") or resource,
        description=_text(view, "description", "") or "",
        constants=dict(_constants(view)),
        where=tuple(
            (_required(_object(each, at), "path", at), f"{at}.path")
            for at, each in _listed(view, "where", "")
        ),
        select=select,
    )  # fmt: skip


def _object(written: Any, at: str) -> dict[str, Any]:
    if not isinstance(written, dict):
        raise FhirPathError(f"{at}: is no JSON object")
    return written


def _listed(of: Mapping[str, Any], key: str, at: str) -> Iterator[tuple[str, Any]]:
    """Each entry of a list, with where it stands."""
    where = f"{at}.{key}" if at else key
    entries = of.get(key, [])
    if not isinstance(entries, list):
        raise FhirPathError(f"{where}: is no list")
    for number, entry in enumerate(entries):
        yield f"{where}[{number}]", entry


def _text(of: Mapping[str, Any], key: str, at: str) -> str | None:
    found = of.get(key)
    if found is not None and not isinstance(found, str):
        raise FhirPathError(f"{at + '.' if at else ''}{key}: is no text")
    return found


def _required(of: Mapping[str, Any], key: str, at: str) -> str:
    found = _text(of, key, at)
    if not found:
        raise FhirPathError(f"{at}.{key}: is missing")
    return found


def _constants(view: Mapping[str, Any]) -> Iterator[tuple[str, Literal]]:
    for at, entry in _listed(view, "constant", ""):
        name = _required(_object(entry, at), "name", at)
        given = [kind for kind in _CONSTANTS if f"value{kind[0].upper()}{kind[1:]}" in entry]
        if len(given) != 1:
            raise FhirPathError(
                f"{at}: the constant {name} has {len(given)} values where it needs one, such as valueString"
            )
        value = entry[f"value{given[0][0].upper()}{given[0][1:]}"]
        written = {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        if given[0] in {"decimal", "integer", "integer64", "positiveInt", "unsignedInt"} and not re.fullmatch(
            r"-?\d+(\.\d+)?([eE][+-]?\d+)?", written
        ):
            raise FhirPathError(f"{at}: the value of the constant {name} is no number")
        yield name, Literal(written, given[0])


def _selects(of: Mapping[str, Any], key: str, at: str) -> Iterator[Select]:
    for where, entry in _listed(of, key, at):
        yield _select(_object(entry, where), where)


def _select(entry: dict[str, Any], at: str) -> Select:
    walks = [key for key in ("forEach", "forEachOrNull", "repeat") if key in entry]
    if len(walks) > 1:
        raise FhirPathError(f"{at}: has {' and '.join(walks)}, of which a selection may have one")
    for_each = _text(entry, walks[0], at) if walks and walks[0] != "repeat" else None
    repeat = tuple(_repeated(entry, at))
    if walks and not for_each and not repeat:
        raise FhirPathError(f"{at}.{walks[0]}: says no path")
    select = Select(
        for_each, "forEachOrNull" in entry, repeat, tuple(_columns(entry, at)), tuple(_selects(entry, "select", at)),
        tuple(_selects(entry, "unionAll", at)), at,
    )  # fmt: skip
    if not select.columns and not select.selects and not select.unions:
        raise FhirPathError(f"{at}: has neither columns nor selections within it")
    first = [column.name for column in select.unions[0].all_columns()] if select.unions else []
    for union in select.unions[1:]:
        names = [column.name for column in union.all_columns()]
        if names != first:
            raise FhirPathError(
                f"{union.at}: its columns are {', '.join(names)}; those of unionAll are the same in the same order, "
                f"{', '.join(first)}"
            )
    return select


def _repeated(entry: Mapping[str, Any], at: str) -> Iterator[str]:
    for where, path in _listed(entry, "repeat", at):
        if not isinstance(path, str):
            raise FhirPathError(f"{where}: is no text")
        yield path


def _columns(entry: Mapping[str, Any], at: str) -> Iterator[Column]:
    for where, written in _listed(entry, "column", at):
        column = _object(written, where)
        name, path = _required(column, "name", where), _required(column, "path", where)
        if not _NAME.fullmatch(name):
            raise FhirPathError(f"{where}.name: {name!r} is no name of a column: letters, digits and _")
        collection = column.get("collection", False)
        if not isinstance(collection, bool):
            raise FhirPathError(f"{where}.collection: is no boolean")
        kind = _text(column, "type", where)
        yield Column(
            name, path, kind.rsplit("/", 1)[-1] if kind else None, collection,
            _text(column, "description", where) or "", where,
        )  # fmt: skip


def _named_once(select: Select) -> None:
    seen: dict[str, str] = {}
    for column in select.all_columns():
        if column.name in seen:
            raise FhirPathError(f"{column.at}.name: {column.name} is the name of {seen[column.name]}, too")
        seen[column.name] = column.at
