"""A contract as DuckDB SQL: casts, rules and reasons over one relation.

Values are judged after trimming and folding; the mapping of odd spellings is staging's business. A rule's
reason is written `<rule>:<column>` with one of these rules:

- missing: a required value is null or blank
- type: there is a value, but not of the column's type
- value: not one of the accepted values
- format: not of the named format (`email`)
- range: below the minimum
"""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.contracts import Column, Table

# A practical reading of RFC 5321/5322: one @, a dotted domain, no blanks. Quoted local parts are not accepted.
EMAIL = r"^[a-z0-9.!#$%&''*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$"

_INTEGER = r"^\s*[+-]?[0-9]+\s*$"


def quoted(identifier: str) -> str:
    """An identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A string literal in single quotes."""
    return "'" + value.replace("'", "''") + "'"


def cast(column: Column, source_type: str) -> str:
    """The column's value in its contract's type, null where it can't be had without guessing.

    Args:
        column: the contract's column.
        source_type: DuckDB's name of the type in which the source gives the value. Text needs more care than
            a typed value: DuckDB would round '2.5' to an integer and drop a time's offset in silence.
    """
    value = quoted(column.name)
    if column.data_type == "text":
        # An empty string is a missing value: COPY into Postgres can't tell the two apart.
        return f"nullif({value if source_type == 'VARCHAR' else f'cast({value} as varchar)'}, '')"
    if source_type != "VARCHAR":
        if column.data_type == "boolean":
            return f"case {value} when 1 then true when 0 then false end" if "INT" in source_type else value
        if column.data_type == "timestamp" and source_type == "TIMESTAMP WITH TIME ZONE":
            return f"timezone('UTC', {value})"
        return f"try_cast({value} as {column.data_type})"
    if column.data_type == "bigint":
        return f"case when regexp_matches({value}, '{_INTEGER}') then try_cast({value} as bigint) end"
    if column.data_type.startswith("numeric"):
        return (
            f"case when regexp_matches({value}, '^\\s*[+-]?([0-9]+\\.?[0-9]{{0,{column.scale}}}0*|"
            f"\\.[0-9]{{1,{column.scale}}}0*)\\s*$') then try_cast({value} as {column.data_type}) end"
        )
    if column.data_type == "timestamp" and column.timestamp_formats:
        formats = ", ".join(literal(spelling) for spelling in column.timestamp_formats)
        return f"try_strptime(trim({value}), [{formats}])"
    if column.data_type == "timestamp":
        return f"timezone('UTC', try_cast({value} as timestamptz))"
    return f"try_cast({value} as {column.data_type})"


def _blank(column: Column, source_type: str) -> str:
    value = quoted(column.name)
    return f"({value} is null or trim({value}) = '')" if source_type == "VARCHAR" else f"({value} is null)"


def violations(column: Column, source_type: str) -> dict[str, str]:
    """The column's rules as `reason → condition that is true where the rule is broken`.

    The conditions read the source's value under the column's name, and its cast as `_cast_<name>`.
    """
    value, typed = quoted(column.name), quoted(f"_cast_{column.name}")
    broken: dict[str, str] = {}
    if column.required:
        broken[f"missing:{column.name}"] = _blank(column, source_type)
    if column.data_type != "text":
        broken[f"type:{column.name}"] = f"({typed} is null and not {_blank(column, source_type)})"
    if column.accepted_values:
        accepted = ", ".join(literal(each) for each in column.accepted_values)
        broken[f"value:{column.name}"] = f"(lower(trim(cast({value} as varchar))) not in ({accepted}))"
    if column.format == "email":
        broken[f"format:{column.name}"] = f"(not regexp_matches(lower(trim({value})), '{EMAIL}'))"
    if column.minimum is not None:
        broken[f"range:{column.name}"] = f"({typed} < {column.minimum})"
    return broken


def judged(table: Table, relation: str, types: Mapping[str, str]) -> str:
    """A select over `relation` that adds to each row its cast values and `_is_good`.

    Args:
        table: the contract.
        relation: a DuckDB select or table name that has the contract's columns.
        types: DuckDB's types of the relation's columns, by name.
    """
    casts = ",\n    ".join(f"{cast(c, types[c.name])} as {quoted('_cast_' + c.name)}" for c in table.columns)
    broken = [condition for c in table.columns for condition in violations(c, types[c.name]).values()]
    good = " and ".join(f"coalesce(not {condition}, true)" for condition in broken) or "true"
    return f"select *, ({good}) as _is_good from (\n  select *,\n    {casts}\n  from {relation}\n)"


def reasons(table: Table, types: Mapping[str, str]) -> str:
    """An expression that gives all reasons of a rejected row as a JSON array of strings."""
    cases = ", ".join(
        f"case when {condition} then {literal(reason)} end"
        for column in table.columns
        for reason, condition in violations(column, types[column.name]).items()
    )
    return f"to_json(list_filter([{cases}], reason -> reason is not null))"
