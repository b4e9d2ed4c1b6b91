"""A contract as DuckDB SQL: casts, rules and reasons over one relation.

Values are judged after trimming and folding; the mapping of odd spellings is staging's business. A rule's
reason is written `<rule>:<column>` with one of these rules:

- missing: a required value is null or blank
- type: there is a value, but not of the column's type
- value: not one of the accepted values
- format: not of the named format, one of `contract/formats.py`
- range: below the minimum, or larger than the largest number, with either sign; of a date or time, outside the days
  that the calendar or the contract takes for plausible

A row without a time to hold from is rejected as `missing:_effective_at`, one with an implausible one as
`range:_effective_at`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.contract.contracts import Column, Table
from ingestion.contract.formats import FORMATS
from ingestion.sql import BLANKS, folded, literal, quoted, tells_a_day, utc_moment, utc_time

# What a source says of each version beside the contract's columns.
GIVEN = ("_operation", "_revision", "_effective_at")

# The decimal digits that a binary float keeps, whatever the number.
_DIGITS = {"DOUBLE": 15, "FLOAT": 6}

_INTEGER = r"^\s*[+-]?[0-9]+\s*$"


def cast(column: Column, source_type: str) -> str:
    """The column's value in its contract's type, null where it can't be had without guessing.

    Args:
        column: the contract's column.
        source_type: DuckDB's name of the type in which the source gives the value. Text needs more care than
            a typed value: DuckDB would round '2.5' to an integer and drop a time's offset in silence.
    """
    value = quoted(column.name)
    if source_type != "VARCHAR":
        typed = _cast_typed(column, value, source_type)
        if typed is not None:
            return typed
        value = f"cast({value} as varchar)"
    if column.data_type == "text":
        # An empty string is a missing value: COPY into Postgres can't tell the two apart.
        return f"nullif({value}, '')"
    if column.decimal_separator == ",":
        # A dot then stands between thousands, or nowhere.
        whole = "[0-9]+|[0-9]{1,3}(\\.[0-9]{3})+"
        is_number = f"regexp_full_match({value}, '\\s*[+-]?({whole})?(,[0-9]*)?\\s*')"
        value = f"case when {is_number} then replace(replace({value}, '.', ''), ',', '.') end"
    typed = f"try_cast({value} as {column.data_type})"
    # Most values are written in the plainest way. A cheap test tells those; only the others are looked at closely.
    if column.data_type == "bigint":
        plain = f"cast({typed} as varchar) = {value}"
        careful = f"case when regexp_matches({value}, '{_INTEGER}') then {typed} end"
        return f"case when {plain} then {typed} else {careful} end"
    if column.data_type.startswith("numeric"):
        digits = f"length({value}) - strpos({value}, '.')"
        plain = (
            f"strpos({value}, '.') > 0 and {digits} <= {column.scale} and not contains({value}, 'e') "
            f"and not contains({value}, 'E') and not contains({value}, '_')"
        )
        careful = (
            f"case when regexp_matches({value}, '^\\s*[+-]?([0-9]+\\.?[0-9]{{0,{column.scale}}}0*|"
            f"\\.[0-9]{{1,{column.scale}}}0*)\\s*$') then {typed} end"
        )
        return f"case when {plain} then {typed} else {careful} end"
    if column.data_type in ("timestamp", "date") and column.timestamp_formats:
        formats = ", ".join(literal(spelling) for spelling in column.timestamp_formats)
        moment = f"case when {tells_a_day(value)} then try_strptime(trim({value}), [{formats}]) end"
        return f"cast({moment} as date)" if column.data_type == "date" else moment
    if column.data_type == "timestamp":
        return utc_time(value)
    if column.data_type != "date":
        return typed
    # DuckDB takes the date at the beginning of any text.
    alone = f"regexp_full_match({value}, '\\s*[0-9]+[-/][0-9]+[-/][0-9]+\\s*')"
    with_time = f"{tells_a_day(value)} and try_cast({value} as timestamptz) is not null"
    careful = f"case when {alone} or ({with_time}) then {typed} end"
    return f"case when cast({typed} as varchar) = {value} then {typed} else {careful} end"


def _cast_typed(column: Column, value: str, source_type: str) -> str | None:
    """The cast of a value whose type is of the contract's kind: null rather than rounded. None for other types."""
    of_source = source_type.lower().replace("decimal", "numeric")
    if column.data_type.replace(" ", "") == of_source and of_source.startswith(("bigint", "numeric")):
        return value
    typed = f"try_cast({value} as {column.data_type})"
    finite = f"case when isfinite({typed}) then {typed} end"
    if column.data_type == "boolean":
        if "INT" in source_type:
            return f"case {value} when 1 then true when 0 then false end"
        return value if source_type == "BOOLEAN" else None
    if column.data_type == "timestamp":
        if source_type == "TIMESTAMP WITH TIME ZONE":
            return utc_moment(value)
        return finite if source_type.startswith(("TIMESTAMP", "DATE")) else None
    if column.data_type == "date":
        return finite if source_type.startswith(("TIMESTAMP", "DATE")) else None
    if source_type in _DIGITS and column.data_type != "text":
        return _cast_float(column, value, source_type)
    if column.data_type != "text" and ("INT" in source_type or source_type.startswith("DECIMAL")):
        return f"case when {typed} = {value} then {typed} end"
    return None


def _cast_float(column: Column, value: str, source_type: str) -> str:
    """The cast of a binary float, which is never exactly the decimal that it stands for: rounding is the only reading.

    Its type keeps so many decimal digits. One that stands for a longer number is none: its last digits are lost.
    """
    digits = _DIGITS[source_type]
    # As text, a single 0.1 is 0.1; cast at once it is 0.10000000149.
    exact = value if source_type == "DOUBLE" else f"cast(cast({value} as varchar) as double)"
    typed = f"try_cast({exact} as {column.data_type})"
    if column.data_type == "bigint":
        return f"case when {typed} = {value} and abs({value}) < 1e{digits} then {typed} end"
    written = (
        f"length(regexp_replace(regexp_extract(cast({value} as varchar), '^[^e]+'), '^[-0.]+|\\.|\\.0$', '', 'g'))"
    )
    return f"case when abs({value}) < 1e{digits - (column.scale or 0)} or {written} <= {digits} then {typed} end"


def _blank(column: Column, source_type: str) -> str:
    value = quoted(column.name)
    return f"({value} is null or trim({value}, {BLANKS}) = '')" if source_type == "VARCHAR" else f"({value} is null)"


def violations(column: Column, source_type: str) -> dict[str, str]:
    """The column's rules as `reason → condition that is true where the rule is broken`.

    The conditions read the source's value under the column's name, and its cast as `_cast_<name>`.
    """
    value, typed = quoted(column.name), quoted(f"_cast_{column.name}")
    code = folded(f"cast({value} as varchar)")
    is_text = source_type == "VARCHAR"
    broken: dict[str, str] = {}
    if column.required:
        # A text that begins with a visible ASCII character is not blank, whatever follows.
        visible = f"{value} >= '!' and {value} < '~'" if is_text else "false"
        blank = _blank(column, source_type)
        broken[f"missing:{column.name}"] = f"case when {visible} then false else {blank} end"
    if column.data_type != "text":
        broken[f"type:{column.name}"] = f"({typed} is null and not {_blank(column, source_type)})"
    elif is_text:
        # Postgres holds no text with a zero byte; a value that only one engine can hold is no text on either.
        broken[f"type:{column.name}"] = f"contains({value}, chr(0))"
    if column.accepted_values:
        # DuckDB would make a join of an `in`, and of all rows what few need: a code in its plain form.
        accepted = f"[{', '.join(literal(each) for each in column.accepted_values)}]"
        as_written = f"list_contains({accepted}, {value})" if is_text else "false"
        broken[f"value:{column.name}"] = (
            f"case when {as_written} then false else not list_contains({accepted}, {code}) end"
        )
    if column.format:
        broken[f"format:{column.name}"] = f"(not {FORMATS[column.format](value)})"
    if column.minimum is not None or column.largest is not None:
        lowest = max(each for each in (column.minimum, column.largest and -column.largest) if each is not None)
        above = f" or {typed} > {column.largest}" if column.largest is not None else ""
        broken[f"range:{column.name}"] = f"({typed} < {lowest}{above})"
    if column.plausible:
        broken[f"range:{column.name}"] = f"(not {_between(typed, column.plausible, column.data_type)})"
    return broken


def _between(value: str, days: tuple[str, str], data_type: str = "timestamp") -> str:
    """A condition that is true of a date or time on one of these days, or between them.

    A date is compared with dates: as times they would be six times as dear.
    """
    first, last = days
    if data_type == "date":
        return f"({value} between date '{first}' and date '{last}')"
    return f"({value} between timestamp '{first} 00:00:00' and timestamp '{last} 23:59:59.999999')"


def _kept(column: Column, source_type: str) -> list[str]:
    """Conditions that are true where the column's rules are kept: `violations` the other way round, and cheaper."""
    broken = violations(column, source_type)
    judged_as_cast = ("missing", "type", *(["range"] if column.plausible else []))
    kept = [f"({rule}) is not true" for reason, rule in broken.items() if not reason.startswith(judged_as_cast)]
    if column.data_type == "text":
        return [f"({rule}) is not true" for rule in broken.values()]
    # A value that is between two others is there: one comparison.
    typed = quoted("_cast_" + column.name)
    typed = _between(typed, column.plausible, column.data_type) if column.plausible else f"{typed} is not null"
    return [typed if column.required else f"({typed} or {_blank(column, source_type)})", *kept]


def _rules(table: Table, types: Mapping[str, str]) -> dict[str, str]:
    """All rules of the table, as `violations` gives a column's.

    A row that deletes a record is judged by its key alone: a record that broke the contract can be deleted too.
    """
    rules = {"missing:_effective_at": "(_effective_at is null)"}
    if table.plausible:
        rules["range:_effective_at"] = f"(not {_between('_effective_at', table.plausible)})"
    for column in table.columns:
        for reason, condition in violations(column, types[column.name]).items():
            rules[reason] = condition if column.name in table.key else f"(_operation <> 'D' and {condition})"
    return rules


def judged(table: Table, relation: str, types: Mapping[str, str]) -> str:
    """A select that judges each row of `relation` once.

    Its columns: the contract's, in the contract's types; `_operation`, `_revision`, `_effective_at`; `_is_good`; and
    `_source`, a struct of the values as the source wrote them, null where the row is good. Why a row is bad is left to
    `rejected`: here every expression is evaluated for every row, for DuckDB shares the parts that rules have in common.

    Args:
        table: the contract.
        relation: a DuckDB select in brackets, or a table's name, that has the contract's columns.
        types: DuckDB's types of the relation's columns, by name.
    """
    source = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in table.column_names)
    return f"""
select {_typed(table)}, _operation, _revision, _effective_at, _is_good,
  case when not _is_good then struct_pack({source}) end as _source
from ({_with_verdict(table, relation, types)})"""


def kept(table: Table, relation: str, types: Mapping[str, str], log: str) -> str:
    """A select of the good rows of `relation`, as `judged` has them; the others go to DuckDB's log as they pass.

    There each is a message of the type `log`: a JSON array of the contract's columns and GIVEN, their values as text.
    """
    texts = ", ".join(f"cast({quoted(name)} as varchar)" for name in [*table.column_names, *GIVEN])
    aside = f"write_log(cast(to_json([{texts}]) as varchar), log_type := {literal(log)}, return_value := false)"
    # What writes to a log may not be pushed below the casts, as another filter would be: each would be made twice.
    return f"""
select * exclude (_is_kept) from (
  select {_typed(table)}, {", ".join(GIVEN)}, case when _is_good then true else {aside} end as _is_kept
  from ({_with_verdict(table, relation, types)})
) where _is_kept"""


def _typed(table: Table) -> str:
    return ", ".join(f"{quoted('_cast_' + name)} as {quoted(name)}" for name in table.column_names)


def _with_verdict(table: Table, relation: str, types: Mapping[str, str]) -> str:
    """A select of `relation` with its casts, and with `_is_good`: whether the row keeps all rules."""
    of_key = [rule for c in table.columns if c.name in table.key for rule in _kept(c, types[c.name])]
    of_rest = [rule for c in table.columns if c.name not in table.key for rule in _kept(c, types[c.name])]
    rest = " and ".join(of_rest) or "true"
    dated = _between("_effective_at", table.plausible) if table.plausible else "_effective_at is not null"
    good = " and ".join([dated, *of_key, f"(_operation = 'D' or ({rest}))"])
    return f"""
select *, case when {good} then true else false end as _is_good
from ({_with_casts(table, relation, types)})"""


def rejected(table: Table, relation: str, types: Mapping[str, str]) -> str:
    """A select of the bad rows of `relation`, which has the columns of `judged`.

    Its columns: the contract's with the values as the source wrote them, `reasons` (JSON text, an array of strings),
    `_revision`, `_effective_at`.
    """
    names = ", ".join(quoted(name) for name in table.column_names)
    reasons = ", ".join(
        f"case when {condition} then {literal(reason)} end" for reason, condition in _rules(table, types).items()
    )
    bad = f"(select _source.*, _operation, _revision, _effective_at from {relation} where not _is_good)"
    return f"""
select {names}, to_json(list_filter([{reasons}], reason -> reason is not null)) as reasons, _revision, _effective_at
from ({_with_casts(table, bad, types)})"""


def as_rejects(table: Table, relation: str, types: Mapping[str, str]) -> str:
    """A select of rows of `rejected` in the form in which raw keeps rejects.

    Its columns: `record_key` and `record` (JSON text), `reasons`, `_revision`, `_effective_at`.
    """
    tokens = {column.name for column in table.identifiers}

    def value(name: str) -> str:
        if types[name] not in _DIGITS or name in tokens:
            return quoted(name)
        # NaN is no JSON.
        return f"case when isfinite({quoted(name)}) then to_json({quoted(name)}) else to_json({quoted(name)}::text) end"

    key = ", ".join(f"cast({quoted(name)} as varchar)" for name in table.reject_key)
    record = ", ".join(f"{literal(name)}, {value(name)}" for name in table.column_names)
    return f"""
select to_json([{key}]) as record_key, json_object({record}) as record, reasons, _revision, _effective_at
from ({relation})"""


def _with_casts(table: Table, relation: str, types: Mapping[str, str]) -> str:
    casts = ", ".join(f"{cast(c, types[c.name])} as {quoted('_cast_' + c.name)}" for c in table.columns)
    return f"select *, {casts} from {relation}"
