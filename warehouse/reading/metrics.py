"""Metrics: MetricFlow turns a question into SQL over the published marts, and they answer.

The definitions are the marts' own YAML, in the form that dbt v2 reads too. A question is put in few words,

    net_sales, orders by month, country where channel = 'Web' order by -net_sales limit 10

or in those of `mf query`: `--metrics net_sales --group-by metric_time__month`, `--saved-query sales_by_month`.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn, cast

import duckdb
from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest, OutputColumnOrderMode
from metricflow.engine.models import Metric
from metricflow.protocols.sql_client import SqlClient, SqlEngine
from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer
from metricflow.sql.render.sql_plan_renderer import SqlPlanRenderer
from metricflow_semantics.errors.error_classes import (
    MetricFlowException,
    SemanticException,
    SemanticManifestConfigurationError,
)
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

from ingestion.destination.target import Target
from warehouse import dbt
from warehouse.errors import BuildError
from warehouse.reading.money import REPORTING_CURRENCY, reporting_currency, rounded
from warehouse.reading.query import ask, open_published, print_table, spelled_otherwise
from warehouse.reading.wording import GRAINS, condition, listed, number, ordered, resolved

# A metric's own time by day, as MetricFlow calls it.
DAY = "metric_time__day"
_CLAUSES = re.compile(r"\b(by|where|order\s+by|limit)\b(?=(?:[^']*'[^']*')*[^']*$)", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """What is asked, in MetricFlow's terms: metrics, or a saved query that names them."""

    metrics: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    saved_query: str | None = None


@dataclass(frozen=True)
class _Dialect:
    """What MetricFlow needs to know of an engine to write SQL for it. It runs nothing itself."""

    sql_engine_type: SqlEngine
    sql_plan_renderer: SqlPlanRenderer


_DIALECTS = {
    "duckdb": _Dialect(SqlEngine.DUCKDB, DuckDbSqlPlanRenderer()),
    "postgres": _Dialect(SqlEngine.POSTGRES, PostgresSQLSqlPlanRenderer()),
}


class Metrics:
    """The metrics of a warehouse, by the names that readers know."""

    def __init__(self, target: Target, artifacts: Path | None = None):
        """Read the project's definitions.

        Args:
            target: the warehouse.
            artifacts: the folder of dbt's artifacts, with the names that readers know; they are made unless given.

        Raises:
            BuildError: the project doesn't parse, or has no days that metrics could be given for.
        """
        self.target = target
        manifest = parse_manifest_from_dbt_generated_manifest(_semantic_manifest(target, artifacts))
        try:
            lookup = SemanticManifestLookup(manifest)
        except SemanticManifestConfigurationError as error:
            raise BuildError(f"the project has no metrics: {_reason(error)}") from error
        self.engine = MetricFlowEngine(lookup, cast("SqlClient", _DIALECTS[target.engine]))
        self.saved_queries = {each.name: each for each in manifest.saved_queries}
        self.definitions = {each.name: each for each in manifest.metrics}

    def all(self) -> list[Metric]:
        """Every metric, by name."""
        return sorted(self.engine.list_metrics(include_dimensions=False), key=lambda each: each.name)

    def unit(self, name: str) -> str:
        """What a metric says that it is measured in; nothing of what is none."""
        config = self.definitions[name].config if name in self.definitions else None
        return str(config.meta.get("unit", "")) if config else ""

    def group_bys(self, metrics: tuple[str, ...]) -> dict[str, str]:
        """What these metrics can be grouped by: MetricFlow's full name of each dimension, and the dimension's own."""
        found = self.engine.simple_dimensions_for_metrics(list(metrics))
        return {each.granularity_free_dunder_name: each.name for each in found}

    def is_daily(self, name: str) -> bool:
        """Whether a metric is given by day; one of a mart by month is not."""
        return DAY in {each.dunder_name for each in self.engine.simple_dimensions_for_metrics([name])}

    def sql(self, question: Question) -> str:
        """The SQL that answers a question.

        Raises:
            BuildError: MetricFlow can't answer it.
        """
        request = MetricFlowQueryRequest.create(
            saved_query_name=question.saved_query,
            metric_names=question.metrics or None,
            group_by_names=question.group_by or None,
            where_constraints=question.where or None,
            order_by_names=question.order_by or None,
            limit=question.limit,
            time_constraint_start=question.start,
            time_constraint_end=question.end,
            output_column_order_mode=OutputColumnOrderMode.INPUT_ORDER,
        )
        try:
            return str(self.engine.explain(request).sql_statement.sql)
        except (MetricFlowException, SemanticException) as error:
            raise BuildError(f"the question can't be answered: {_reason(error)}") from error

    def answer(self, connection: Any, question: Question, limit: int | None = None) -> tuple[list[str], list[Any]]:
        """Answer a question over a connection to the published marts. Returns names and rows, periods as dates."""
        names, rows = ask(connection, self.sql(question), limit)
        own = [name.rsplit("__", 1)[-1] for name in names]
        return (
            [short if own.count(short) == 1 else full for short, full in zip(own, names, strict=True)],
            [tuple(_as_day(value) for value in row) for row in rows],
        )

    def hints(self, connection: Any, question: Question, rows: list[Any]) -> list[str]:
        """Where a question's conditions leave nothing: what there is of the texts that they name."""
        if not (question.metrics and question.where) or any(any(row[-len(question.metrics) :]) for row in rows):
            return []
        dimensions = self.group_bys(question.metrics)
        with duckdb.connect() as values:

            def texts(name: str) -> str | None:
                if name not in dimensions:
                    return None
                _, found = self.answer(connection, Question(question.metrics, (name,)))
                there = [row[0] for row in found if row[0] is not None]
                if not all(isinstance(each, str) for each in there):
                    return None
                values.execute("create or replace temp table there as select unnest(?::varchar[]) as value", [there])
                return "there"

            return [hint for where in question.where for hint in spelled_otherwise(values, where, texts)]

    def read(self, text: str) -> Question:
        """Understand a question as people put it.

        Raises:
            BuildError: it names something that there isn't, or is no question.
        """
        if text.lstrip().startswith(("-", "query ")):
            return self._in_words_of_mf(text)
        first, *parts = _CLAUSES.split(text.strip())
        clauses = {"of": first} | {
            " ".join(word.lower().split()): clause for word, clause in zip(parts[::2], parts[1::2], strict=True)
        }
        metrics = listed(clauses["of"])
        known = {each.name for each in self.all()}
        for name in metrics:
            if name in self.saved_queries and len(metrics) == 1:
                return Question(saved_query=name)
            if name not in known:
                raise BuildError(f"there is no metric {name!r}: choose from {', '.join(sorted(known))}")
        if not metrics:
            raise BuildError(f'no metric was asked for: make metric Q="{min(known, default="")} by month"')
        dimensions = self.group_bys(metrics)
        group_by = tuple(resolved(word, dimensions) for word in listed(clauses.get("by", "")))
        order_by = tuple(ordered(word, metrics, dimensions) for word in listed(clauses.get("order by", "")))
        where = clauses.get("where", "").strip()
        return Question(
            metrics=metrics,
            group_by=group_by,
            where=(condition(where, dimensions),) if where else (),
            order_by=order_by or group_by,
            limit=number(clauses["limit"]) if "limit" in clauses else None,
        )

    def _in_words_of_mf(self, text: str) -> Question:
        parser = _Parser(prog="make metric", add_help=False)
        for name in ("--metrics", "--group-by", "--order", "--order-by"):
            parser.add_argument(name, default="")
        parser.add_argument("--where", action="append", default=[])
        parser.add_argument("--limit", type=int, default=None)
        parser.add_argument("--start-time", type=datetime.fromisoformat, default=None)
        parser.add_argument("--end-time", type=datetime.fromisoformat, default=None)
        parser.add_argument("--saved-query", default=None)
        asked = parser.parse_args(shlex.split(text.strip().removeprefix("query ")))
        if not asked.metrics and not asked.saved_query:
            raise BuildError("no metric was asked for: give --metrics or --saved-query")
        return Question(
            listed(asked.metrics), listed(asked.group_by), tuple(asked.where), listed(asked.order or asked.order_by),
            asked.limit, asked.start_time, asked.end_time, asked.saved_query,
        )  # fmt: skip


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BuildError(f"the question is not understood: {message}")


def _semantic_manifest(target: Target, artifacts: Path | None) -> str:
    if artifacts is None:
        dbt.parse(target, published=True, artifacts=True)
        artifacts = Path(dbt.target_path(target, published=True))
    return (artifacts / "semantic_manifest.json").read_text(encoding="utf-8")


def _reason(error: Exception) -> str:
    """The first paragraph of MetricFlow's long explanations that says something."""
    return " ".join([line.strip() for line in str(error).splitlines() if line.strip()][:6])[:600]


def answer_question(target: Target, text: str, say: Callable[[str], None]) -> None:
    """Print the answer to a question; without one, what can be asked.

    Raises:
        BuildError: nothing is published, or the question can't be answered.
    """
    metrics = Metrics(target)
    if not text.strip():
        _list(metrics, say)
        return
    question = metrics.read(text)
    with open_published(target) as connection:
        names, rows = metrics.answer(connection, question)
        hints = metrics.hints(connection, question, rows)
        money = any(metrics.unit(name) == REPORTING_CURRENCY for name in names)
        digits = reporting_currency(target, connection).digits if money else None
    of = [digits if metrics.unit(name) == REPORTING_CURRENCY else None for name in names]
    print_table(names, [tuple(map(_shown, row, of)) for row in rows], say)
    for hint in hints:
        say(f"note: {hint}")


def _as_day(value: Any) -> Any:
    """A time that is the beginning of a day as that day; engines give a month as a time, one of them with a zone."""
    if not isinstance(value, datetime):
        return value
    value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return value.date() if value.time() == time() else value


def _shown(value: Any, digits: int | None) -> Any:
    """Money with its currency's digits; another number without the zeros that its type has at the end."""
    if digits is not None and value is not None:
        return rounded(value, digits)
    return round(float(value), 4) if isinstance(value, Decimal | float) else value


def _list(metrics: Metrics, say: Callable[[str], None]) -> None:
    for each in metrics.all():
        say(f"{each.name:28}{' '.join((each.description or '').split())}")
        own = {own.removesuffix("_name") for own in metrics.group_bys((each.name,)).values()} - {"metric_time"}
        say(f"{'':28}by {', '.join([*GRAINS, *sorted(own)])}")
    say("")
    for name, saved in sorted(metrics.saved_queries.items()):
        say(f"{name:28}{saved.description}")
    say("")
    first = next((each.name for each in metrics.all()), "")
    if first:
        say(f"make metric Q=\"{first} by month order by -{first} limit 10\"; a condition: … where channel = 'Web'")
