"""What a caller asks of a mart, understood from a URL's parameters, and written as SQL of either engine.

    ?business_date.gte=2025-01-01&country_code.in=GB&country_code.in=FR&select=order_key,net_amount&sort=-net_amount

Names are those of the caller's catalogue, values are read by their columns' types: neither reaches SQL as it was sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from api.catalogue import Mart
from api.errors import bad_request
from api.kinds import Kind, value_of
from ingestion.sql import quoted

# Media types, by the names that `format=` takes; the first is what who says nothing gets.
FORMATS = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
CONTROLS = ("select", "sort", "limit", "page_size", "cursor", "format", "as_is")
PAGE_SIZE, LARGEST_PAGE = 1000, 50_000
_COMPARED = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

# Writes a value into a statement: given the column's type and the value, returns SQL.
Mark = Callable[[Kind, Any], str]


@dataclass(frozen=True)
class Filter:
    """A condition. `values`: of `in` one or more, of others one."""

    column: str
    operator: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Question:
    """What is asked of a mart.

    sort: columns, with whether they descend.
    limit: rows at most; None where all are wanted.
    page_size: rows of a page; None where the answer comes whole.
    """

    mart: Mart
    columns: tuple[str, ...]
    filters: tuple[Filter, ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    page_size: int | None = None
    format: str = "json"
    as_is: bool = False

    @property
    def kinds(self) -> dict[str, Kind]:
        """The columns of the answer, with their types."""
        return {name: self.mart.columns[name] for name in self.columns}

    @property
    def fingerprint(self) -> str:
        """Tells questions apart."""
        told = (
            self.mart.full_name, self.columns, self.filters, self.sort, self.limit, self.page_size, self.format,
            self.as_is,
        )  # fmt: skip
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def told_apart(
    parameters: Iterable[tuple[str, str]], names: Collection[str]
) -> tuple[dict[str, str], dict[tuple[str, str], list[str]]]:
    """The parameters of these names, and the others, which are conditions: values by what they are of and operator.

    Raises:
        RefusedError: one of these names is there twice.
    """
    controls: dict[str, str] = {}
    conditions: dict[tuple[str, str], list[str]] = {}
    for name, value in parameters:
        if name in names:
            if name in controls:
                raise bad_request(f"{name} is there twice: say it once")
            controls[name] = value
        else:
            of, _, operator = name.partition(".")
            conditions.setdefault((of, operator or "eq"), []).append(value)
    return controls, conditions


def understood(mart: Mart, parameters: Iterable[tuple[str, str]], accept: str, most: int) -> Question:
    """Understand the parameters of a request.

    Args:
        mart: what is asked of.
        parameters: names and values, in the URL's order.
        accept: the media types that the caller takes.
        most: the most rows that one answer may have.

    Raises:
        RefusedError: a name isn't there, or a value is not of its column's type.
    """
    controls, conditions = told_apart(parameters, CONTROLS)
    form = _format(controls.get("format"), accept)
    # What comes in pages is JSON, which is whole in each; others come whole, unless pages are asked for.
    paged = "page_size" in controls or (form == "json" and "limit" not in controls)
    return Question(
        mart=mart,
        columns=_columns(mart, controls.get("select")),
        filters=tuple(
            _filter(mart, column, operator, values) for (column, operator), values in sorted(conditions.items())
        ),
        sort=_sort(mart, controls.get("sort")),
        limit=_number("limit", controls["limit"], most) if "limit" in controls else None,
        page_size=_number("page_size", controls.get("page_size", str(PAGE_SIZE)), LARGEST_PAGE) if paged else None,
        format=form,
        as_is=_flag("as_is", controls.get("as_is", "false")),
    )


def _format(asked: str | None, accept: str) -> str:
    if asked is not None:
        if asked not in FORMATS:
            raise bad_request(f"format is one of {', '.join(FORMATS)}")
        return asked
    wanted = [each.partition(";")[0].strip().lower() for each in accept.split(",")]
    return next((name for each in wanted for name, media in FORMATS.items() if media == each), "json")


def _columns(mart: Mart, text: str | None) -> tuple[str, ...]:
    if text is None:
        return tuple(mart.columns)
    names = tuple(each.strip() for each in text.split(",") if each.strip())
    for name in names:
        _known(mart, name)
    if not names or len(set(names)) < len(names):
        raise bad_request("select takes names of columns with commas between them, each once")
    return names


def _known(mart: Mart, name: str) -> Kind:
    if name not in mart.columns:
        raise bad_request(
            f"{mart.full_name} has no column {name!r}: it has {', '.join(mart.columns)}; "
            f"beside columns there are {', '.join(CONTROLS)}"
        )
    return mart.columns[name]


def _filter(mart: Mart, column: str, operator: str, values: list[str]) -> Filter:
    kind = _known(mart, column)
    if operator not in kind.operators:
        raise bad_request(f"{column} is of type {kind.name}, which is filtered by {', '.join(kind.operators)}")
    if operator != "in" and len(values) > 1:
        raise bad_request(f"{column}.{operator} is there twice: say it once, or use {column}.in for several values")
    if operator == "null":
        return Filter(column, operator, (_flag(f"{column}.null", values[0]),))
    try:
        return Filter(column, operator, tuple(value_of(kind, each) for each in values))
    except ValueError as error:
        raise bad_request(f"{column}.{operator} takes {error}") from error


def _sort(mart: Mart, text: str | None) -> tuple[tuple[str, bool], ...]:
    if text is None:
        return ()
    wanted = [(each.strip().removeprefix("-"), each.strip().startswith("-")) for each in text.split(",")]
    for name, _ in wanted:
        _known(mart, name)
    return tuple(wanted)


def _number(name: str, text: str, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most:
        return int(text)
    raise bad_request(f"{name} takes a number from 1 to {most}")


def _flag(name: str, text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise bad_request(f"{name} is true or false")


def sql_of(question: Question, relation: str, mark: Mark, most: int, *, texts: bool, also: str = "") -> str:
    """The statement that answers a question.

    Args:
        question: what is asked.
        relation: the mart's name in SQL.
        mark: writes a value.
        most: rows to read at most, where the question says no fewer.
        texts: have exact numbers come as texts.
        also: a further column, in SQL, with a comma before it.
    """
    kinds = question.kinds
    chosen = ", ".join(
        f"cast({quoted(name)} as text) as {quoted(name)}"
        if kind.arrow == pa.string() or (texts and kind.name == "numeric")
        else quoted(name)
        for name, kind in kinds.items()
    )
    where = " and ".join(_condition(question.mart.columns[each.column], each, mark) for each in question.filters)
    # By the mart's own values: a bare name would be that of the answer, in which numbers may be texts.
    order = ", ".join(f"mart.{quoted(name)} {'desc' if down else 'asc'} nulls last" for name, down in question.sort)
    limit = most if question.limit is None else min(question.limit, most)
    return (
        f"select {chosen}{also} from {relation} as mart"
        + (f" where {where}" if where else "")
        + (f" order by {order}" if order else "")
        + f" limit {limit}"
    )


def _condition(kind: Kind, each: Filter, mark: Mark) -> str:
    column = f"mart.{quoted(each.column)}"
    if each.operator == "null":
        return f"{column} is {'' if each.values[0] else 'not '}null"
    values = [mark(kind, value) for value in each.values]
    if each.operator == "in":
        return f"{column} in ({', '.join(values)})"
    if each.operator == "starts":
        return f"starts_with({column}, {values[0]})"
    if each.operator == "contains":
        return f"strpos({column}, {values[0]}) > 0"
    return f"{column} {_COMPARED[each.operator]} {values[0]}"
