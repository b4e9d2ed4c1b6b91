"""Metrics over HTTP: a question in parameters becomes MetricFlow's SQL, which runs as the caller's login."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from api.catalogue import Mart
from api.errors import bad_request, not_found
from api.kinds import Kind, value_of
from api.questions import told_apart
from api.reading import Reader
from api.spool import Page
from ingestion.destination.target import Target
from ingestion.sql import literal
from warehouse.errors import BuildError

if TYPE_CHECKING:
    from warehouse.reading.metrics import Metrics, Question

MOST = 50_000
CONTROLS = ("metrics", "group_by", "order_by", "limit", "start", "end")
OPERATORS = {"eq": "=", "ne": "<>", "in": "in", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_KEPT = 1000  # questions whose SQL is kept


@dataclass(frozen=True)
class Measure:
    """A metric, as a caller sees it. `marts`: that it reads; `dimensions`: what it can be grouped and filtered by."""

    name: str
    description: str
    unit: str
    marts: frozenset[tuple[str, str]]
    dimensions: dict[str, str]


class Measures:
    """The metrics of the project."""

    def __init__(self, target: Target, artifacts: Path, has_any: bool):
        self.target, self.artifacts, self.has_any = target, artifacts, has_any
        self._lock = threading.Lock()
        self._metrics: Metrics | None = None
        self._measures: list[Measure] | None = None
        self._sql: dict[Question, str] = {}

    def of(self, marts: dict[tuple[str, str], Mart]) -> list[Measure]:
        """The metrics of which a caller may read all that they are made of."""
        with self._lock:
            if self._measures is None:
                self._measures = self._described() if self.has_any else []
            return [each for each in self._measures if each.marts <= marts.keys()]

    def answer(
        self, reader: Reader, token: str, marts: dict[tuple[str, str], Mart], parameters: list[tuple[str, str]]
    ) -> tuple[dict[str, Kind], Page]:
        """Answer a question. Returns the columns' kinds and the rows.

        Raises:
            RefusedError: it is not understood, or reads what the caller may not.
        """
        measures = {each.name: each for each in self.of(marts)}
        question, most = self._understood(measures, parameters)
        sql = self._sql_of(question)
        if not self._read_by(sql) <= marts.keys():
            raise not_found("this question reads a mart that this key may not: /catalog says which it may")
        table, generation = reader.ask_sql(token, sql, most)
        kinds, batch = _as_kinds(table)
        return kinds, Page([batch], generation, None)

    def _described(self) -> list[Measure]:
        from warehouse.reading.metrics import Metrics, Question

        self._metrics = Metrics(self.target, self.artifacts)
        found = []
        for each in self._metrics.all():
            dimensions = self._metrics.group_bys((each.name,))
            # By month, for some are not to be had without a time.
            marts = self._read_by(self._metrics.sql(Question((each.name,), ("metric_time__month",))))
            description = " ".join((each.description or "").split())
            unit = self._metrics.unit(each.name)
            found.append(Measure(each.name, description, unit, marts, dimensions))
        return found

    def _read_by(self, sql: str) -> frozenset[tuple[str, str]]:
        """The marts that MetricFlow's SQL reads, which it names with all three parts."""
        names = re.findall(r'"[^"]+"\."([^"]+)"\."([^"]+)"', sql)
        return frozenset((schema.removeprefix(self.target.prefix), name) for schema, name in names)

    def _understood(self, measures: dict[str, Measure], parameters: list[tuple[str, str]]) -> tuple[Question, int]:
        from warehouse.reading.metrics import Question
        from warehouse.reading.wording import listed, ordered, resolved

        controls, conditions = told_apart(parameters, CONTROLS)
        metrics = listed(controls.get("metrics", ""))
        unknown = [name for name in metrics if name not in measures]
        if not metrics or unknown or len(set(metrics)) < len(metrics):
            there = ", ".join(sorted(measures)) or "none"
            raise bad_request(f"metrics takes names of metrics with commas between them, each once; there are {there}")
        assert self._metrics is not None
        with self._lock:
            dimensions = self._metrics.group_bys(metrics)
        try:
            group_by = tuple(resolved(word, dimensions) for word in listed(controls.get("group_by", "")))
            order_by = tuple(ordered(word, metrics, dimensions) for word in listed(controls.get("order_by", "")))
            where = tuple(
                _condition(resolved(word, dimensions), operator, values)
                for (word, operator), values in sorted(conditions.items())
            )
        except BuildError as error:
            raise bad_request(f"{error}; beside dimensions there are {', '.join(CONTROLS)}") from error
        if len(set(group_by)) < len(group_by) or any(
            each.lstrip("-") not in (*metrics, *group_by) for each in order_by
        ):
            raise bad_request("group_by names each dimension once, and order_by what is in the answer")
        limit = _limit(controls.get("limit", str(MOST)))
        start, end = (_day(name, controls[name]) if name in controls else None for name in ("start", "end"))
        return Question(metrics, group_by, where, order_by or group_by, None, start, end), limit

    def _sql_of(self, question: Question) -> str:
        with self._lock:
            if question not in self._sql:
                assert self._metrics is not None
                if len(self._sql) >= _KEPT:
                    self._sql.clear()
                try:
                    self._sql[question] = self._metrics.sql(question)
                except BuildError as error:
                    raise bad_request(str(error)) from error
            return self._sql[question]


def _condition(dimension: str, operator: str, values: list[str]) -> str:
    """A condition as MetricFlow takes it."""
    if operator not in OPERATORS:
        raise bad_request(f"a dimension is filtered by {', '.join(OPERATORS)}")
    if operator != "in" and len(values) > 1:
        raise bad_request(f"a dimension's .{operator} is there twice: say it once, or use .in for several values")
    # MetricFlow fills conditions in as templates.
    if any("{" in each or "\0" in each for each in values):
        raise bad_request("a value has no { and no NUL character")
    if dimension.startswith("metric_time"):
        grain = dimension.removeprefix("metric_time").strip("_") or "day"
        named = f"{{{{ TimeDimension('metric_time', '{grain}') }}}}"
        for each in values:
            _day("metric_time", each)
    else:
        named = f"{{{{ Dimension('{dimension}') }}}}"
    listed = ", ".join(map(literal, values))
    return f"{named} {OPERATORS[operator]} " + (f"({listed})" if operator == "in" else listed)


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= MOST:
        return int(text)
    raise bad_request(f"limit takes a number from 1 to {MOST}")


def _day(name: str, text: str) -> datetime:
    try:
        return datetime.combine(value_of(Kind("date"), text), time())
    except ValueError as error:
        raise bad_request(f"{name} takes {error}") from error


def _as_kinds(table: pa.Table) -> tuple[dict[str, Kind], pa.RecordBatch]:
    """What an engine answered, with the last part of each name where that is enough, and periods as days."""
    own = [name.rsplit("__", 1)[-1] for name in table.column_names]
    names = [short if own.count(short) == 1 else full for short, full in zip(own, table.column_names, strict=True)]
    kinds, columns = {}, []
    for name, chunks in zip(names, table.columns, strict=True):
        column = chunks.combine_chunks()
        column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
        kind, column = _as_kind(getattr(column, "storage", column), is_number=hasattr(column, "storage"))
        kinds[name] = kind
        columns.append(column)
    return kinds, pa.RecordBatch.from_arrays(columns, names=names)


def _as_kind(column: pa.Array, *, is_number: bool) -> tuple[Kind, pa.Array]:
    kind = column.type
    if is_number or pa.types.is_decimal(kind):
        return Kind("numeric"), pc.cast(column, pa.string())
    if pa.types.is_timestamp(kind):
        days = pc.cast(pc.cast(column, pa.timestamp("us")), pa.date32(), safe=False)
        is_days = pc.all(pc.equal(pc.cast(days, pa.timestamp("us")), pc.cast(column, pa.timestamp("us")))).as_py()
        return (Kind("date"), days) if is_days is not False else (Kind("timestamp"), column)
    if pa.types.is_integer(kind):
        return Kind("bigint"), column
    if pa.types.is_floating(kind):
        return Kind("double precision"), pc.cast(column, pa.float64())
    if pa.types.is_boolean(kind):
        return Kind("boolean"), column
    return (Kind("date"), column) if pa.types.is_date(kind) else (Kind("text"), pc.cast(column, pa.string()))
