"""What the warehouse may know of a person's record, as SQL: tokens for identifiers, and nothing of who was forgotten.

An address is known by its form in lower case, every other value as it is written, runs of blanks made one.

In a forgotten person's records every direct identifier is replaced by a token that nothing stands behind, the same for
all values of a kind; what else tells of a person is null, unless the contract requires it. Loads do so at the door,
`make forget` in raw: by the same expressions, so that it makes no difference which came first.
"""

from __future__ import annotations

from ingestion.contract.contracts import Column, Table
from ingestion.privacy.fields import Filled, kept_fields, other_fields
from ingestion.sql import collapsed, literal, quoted

# The kind of a record that can't be told into columns: all of it is one identifier.
RECORD = "record"
# What every token that stands for nothing begins with.
FORGOTTEN = "forgotten_"


def kind_of(column: Column) -> str:
    """The kind of a direct identifier: its format where it has one, else the column's name."""
    return column.format or column.name


def normal_form(expression: str, kind: str) -> str:
    """A DuckDB expression of the text by which a value is known; null where it is blank.

    Args:
        expression: the value, of any type.
        kind: see `kind_of`.
    """
    text = collapsed(f"replace(cast({expression} as varchar), chr(0), '')")
    return f"lower({text})" if kind == "email" else text


def kept_and_rest(column: Column, expression: str) -> tuple[str, str]:
    """Two DuckDB expressions for a document in JSON: the fields that may be kept, and the others.

    The others are an identifier together, null where there are none. What is no object is an identifier as a whole.
    A field at its top that it lacks is null in what is kept.
    """
    is_object = f"(json_valid({expression}) and json_type({expression}) = 'OBJECT')"
    absent: Filled = {name: ("", lambda _: "'null'") for name in column.keeps if "." not in name}
    return (
        f"case when {is_object} then {kept_fields(column.keeps, expression, absent)} else '{{}}' end",
        f"case when {is_object} then {other_fields(column.keeps, expression)} else {expression} end",
    )


def without_rest(table: Table, relation: str) -> str:
    """A DuckDB relation of which documents that are no identifiers have only the fields that the contract keeps.

    What else is in them stays at the source: neither raw nor a reject has it.

    Args:
        table: the contract.
        relation: a select in brackets that has its columns.
    """
    cut = [column for column in table.columns if column.keeps and not column.identifies]
    if not cut:
        return relation
    kept = ", ".join(
        f"{kept_fields(column.keeps, f'cast({quoted(column.name)} as varchar)')} as {quoted(column.name)}"
        for column in cut
    )
    return f"(select * replace ({kept}) from {relation})"


def identifier_in(column: Column, expression: str) -> str:
    """A DuckDB expression of the text in `expression` for which a token stands."""
    text = f"cast({expression} as varchar)"
    return normal_form(kept_and_rest(column, text)[1] if column.keeps else text, kind_of(column))


def with_token(column: Column, expression: str, token: str) -> str:
    """A DuckDB expression of what raw has of a direct identifier: its token, among what may be kept of a document."""
    if not column.keeps:
        return token
    text = f"cast({expression} as varchar)"
    patched = f"json_merge_patch({kept_and_rest(column, text)[0]}, json_object('_token', {token}))"
    return f"case when {text} is not null then cast({patched} as varchar) end"


def person_column(table: Table) -> str | None:
    """The column that says whose record it is; None where a table is of nobody."""
    name = table.meta.get("person")
    return str(name) if name else None


def redacted(column: Column, value: str, replacement: str) -> str:
    """What a forgotten person's record has in a column, as SQL that every engine knows.

    Args:
        column: the contract's column.
        value: an expression of what it had.
        replacement: an expression of the tombstone's `replacement`.
    """
    if column.identifies:
        token = f"'{FORGOTTEN}' || md5({replacement} || {literal(kind_of(column))})"
        document = f"""'{{"_token":"' || {token} || '"}}'"""
        return f"case when {value} is not null then {document if column.keeps else token} end"
    return "null"


def is_redacted(column: Column) -> bool:
    """Whether a forgotten person's records lose what they have in the column."""
    return column.identifies or (column.privacy != "none" and not column.required)


def as_known(table: Table, names: list[str], relation: str, tokens: str | None, forgotten: str | None) -> str:
    """A DuckDB select of `names` from a relation, as the warehouse may know them.

    Args:
        table: the contract.
        names: what to select.
        relation: a relation that has these columns, with the values as they were read or cast.
        tokens: the tokens of all identifiers in it but those of forgotten persons (`crosswalk.exchange`); None where
            the table has none.
        forgotten: who of the table's persons is forgotten (`tombstones.forgotten_of`); None where there is nobody.
    """
    columns, joins = {column.name: column for column in table.columns}, []
    for column in table.identifiers if tokens else []:
        token = quoted(f"_token_{column.name}")
        known = f"{token}.kind = {literal(kind_of(column))}"
        joins.append(
            f"left join {tokens} as {token} on {known} "
            f"and {token}.value = {identifier_in(column, 'r.' + quoted(column.name))}"
        )
    if forgotten:
        person = f"cast(r.{quoted(str(person_column(table)))} as varchar)"
        joins.append(f"left join {forgotten} as f on f.person = {person}")

    def shown(name: str) -> str:
        value, column = f"r.{quoted(name)}", columns.get(name)
        known = value
        if column and column.identifies and tokens:
            known = with_token(column, value, f"{quoted('_token_' + name)}.token")
        if column and forgotten and is_redacted(column):
            known = f"case when f.person is null then {known} else {redacted(column, value, 'f.replacement')} end"
        return f"{known} as {quoted(name)}"

    return f"select {', '.join(shown(name) for name in names)} from {relation} as r {' '.join(joins)}"
