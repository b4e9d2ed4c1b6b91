"""What a contract loads of a resource: an element a column, by its name or by a FHIRPath expression."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from ingestion.contract.contracts import Column, ContractError, Source, Table, contract_file
from ingestion.fhirpath import FhirPathError, scalar
from ingestion.fhirpath.elements import NAME
from ingestion.privacy.fields import kept_fields
from ingestion.readers.files.layout import file_table
from ingestion.sql import literal, quoted

# The type of the table that has what no other table has.
OTHERS = "*"
# An element at the top of a resource, and what stands in `meta`, which is no list: read by a path.
_PLAIN = re.compile(rf"{NAME}|meta\.{NAME}")
_TEXTS = re.compile(r"'(?:[^'\\]|\\.)*'")
_ARGUMENTS = re.compile(r"\([^()]*\)")
_CHAIN = re.compile(rf"({NAME})(?:\s*\.\s*{NAME})*")


@dataclass(frozen=True)
class Resources:
    """The table of a type of resources."""

    table: Table
    type: str

    @cached_property
    def expressions(self) -> list[Column]:
        """The columns that are no plain elements."""
        return [column for column in self.table.columns if not _PLAIN.fullmatch(column.at_source)]

    @cached_property
    def known(self) -> set[str]:
        """The elements at the top that are loaded, or knowingly left."""
        plain = {column.at_source.split(".")[0] for column in self.table.columns if column not in self.expressions}
        asked = {first_element(column.at_source) for column in self.expressions}
        return {"resourceType", *plain, *filter(None, asked), *self.table.meta.get("leaves", ())}

    def selected(self, given: str) -> str:
        """A DuckDB select of the contract's columns, from the view `told`.

        Args:
            given: what else to select of it.
        """
        # One list of paths is read several times as fast as paths one by one.
        paths: dict[str, None] = {}
        for column in self.table.columns:
            paths[first_element(column.at_source) or "" if column in self.expressions else column.at_source] = None
        paths.pop("", None)
        place = {path: number for number, path in enumerate(paths, start=1)}
        asked = dict.fromkeys(filter(None, (first_element(column.at_source) for column in self.expressions)))
        wrapped = "".join(f"{_wrapped(name, f'v[{place[name]}]')} as {quoted('_in_' + name)}, " for name in asked)
        listed = ", ".join(literal("$." + path) for path in paths)
        values = ", ".join(f"{self._value(column, place)} as {quoted(column.name)}" for column in self.table.columns)
        return f"""
            select {values}, {given}
            from (
                select {wrapped}v, line, {given}
                from (
                    select json_extract_string(line, [{listed}]) as v, line, {given}
                    from told where type = {literal(self.type)} and fault is null
                )
            )"""

    def _value(self, column: Column, place: dict[str, int]) -> str:
        if column not in self.expressions:
            value = f"v[{place[column.at_source]}]"
            return _with_sizes(column, value) if column.keeps else value
        first = first_element(column.at_source)
        return scalar(column.at_source, quoted("_in_" + first) if first else "line", self.type)


def first_element(expression: str) -> str | None:
    """The one element at the top of a resource that a FHIRPath expression reads; None where it may read others."""
    rest, before = _TEXTS.sub("", expression), ""
    if "%" in rest:
        return None
    while rest != before:
        before, rest = rest, _ARGUMENTS.sub("", rest)
    chain = _CHAIN.fullmatch(rest.strip())
    return chain[1] if chain else None


def _wrapped(name: str, value: str) -> str:
    """A resource that has one element and no other, as JSON."""
    is_json = f"({value}[1] = '{{' or {value}[1] = '[') and json_valid({value})"
    json = f"case when {is_json} then {value} else cast(to_json({value}) as varchar) end"
    return f"{literal(f'{{{quoted(name)}:')} || coalesce({json}, 'null') || '}}'"


def _with_sizes(column: Column, value: str) -> str:
    """A document whose attachments say how many bytes they hold, though they held these and said nothing of it."""
    sizes = [path for path in column.keeps if path.split(".")[-1] == "size"]
    if not sizes:
        return value

    return kept_fields(column.keeps, value, dict.fromkeys(sizes, ("data", _decoded_length)))


def _decoded_length(base64: str) -> str:
    """How many bytes a text in base64 stands for; it may be broken into lines."""
    # Blanks are nearly never there: to look for them takes less than to take them out.
    blanks = f"contains({base64}, ' ') or contains({base64}, chr(10)) or contains({base64}, chr(13))"
    text = f"case when {blanks} then regexp_replace({base64}, '\\s', '', 'g') else {base64} end"
    padding = f"case when {base64} like '%==%' then 2 when {base64} like '%=%' then 1 else 0 end"
    return f"cast((strlen({text}) - {padding}) * 3 // 4 as varchar)"


def resources_of(contract: Source) -> tuple[list[Resources], Table]:
    """The tables of a contract's types of resources, and the one for all others.

    Raises:
        ContractError: the contract says something of them that can't be followed.
    """
    where, typed, others = contract_file(contract.name), dict[str, Resources](), list[Table]()
    for table in contract.tables:
        kind = str(table.meta.get("resource_type") or "")
        if table == file_table(contract):
            continue
        if kind == OTHERS:
            others.append(table)
        elif not kind or kind in typed:
            raise ContractError(
                f"{where}: {table.name}: config.meta.resource_type is '{kind}': name the type of its resources, "
                "which no other table has"
            )
        else:
            typed[kind] = _checked(where, Resources(table, kind))
    if len(others) != 1 or set(others[0].column_names) != {"resource_type", "id", "byte_count"}:
        raise ContractError(
            f"{where}: one table has resource_type: '{OTHERS}', with the columns resource_type, id and byte_count, for "
            "resources of types that have no table: see ingestion/readers/fhir/README.md"
        )
    return list(typed.values()), others[0]


def _checked(where: object, one: Resources) -> Resources:
    if one.table.key != ("id",):
        raise ContractError(f"{where}: {one.table.name}: its key is id, by which a resource is known, and nothing else")
    for column in one.expressions:
        named = f"{where}: {one.table.name}.{column.name}: source_name"
        try:
            expression = scalar(column.at_source, "line", one.type)
        except FhirPathError as error:
            raise ContractError(f"{named}: {error}") from error
        if "error(" in expression and not column.at_source.endswith("first()"):
            raise ContractError(
                f"{named} may give several values, and one record that does would end a load: end it with first()"
            )
    return one
