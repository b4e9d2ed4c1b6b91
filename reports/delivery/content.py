"""What a report says: figures with what they were before, charts, tables; asked as its recipients."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from ingestion.destination.target import Target
from ingestion.domains import variables
from reports.delivery.periods import Period
from reports.delivery.pictures import draw
from reports.delivery.subscriptions import Subscription
from reports.site.charts import SHARE, Chart, Unit, shown
from reports.site.measures import Measures
from reports.site.pages import reports_of
from reports.site.project import Project, read_project
from warehouse import dbt
from warehouse.errors import BuildError
from warehouse.reading.metrics import Metrics
from warehouse.reading.money import REPORTING_CURRENCY, Currency, reporting_currency
from warehouse.reading.query import ask, require_question

PERIODS = 13  # that the chart of a metric goes back: a year of months and the month a year ago, a quarter of weeks
# What the columns are called that compare.
BEFORE, CHANGE = "before", "change"
FIRST = 15  # of what there is too much of to draw
NO_CURRENCY = Currency("", 2)  # of amounts, where the project reports in none
_PLACEHOLDER = re.compile(r":(first_day|last_day)\b")


@dataclass(frozen=True)
class Figure:
    """One number in words, with what it was before."""

    label: str
    value: str
    before: str = ""


@dataclass(frozen=True)
class Picture:
    """A chart as PNG. `text` says what it shows to who doesn't see it."""

    title: str
    png: bytes
    text: str


@dataclass(frozen=True)
class Table:
    """Rows as they come from the engine, with the unit of each column."""

    title: str
    names: list[str]
    rows: list[tuple[Any, ...]]
    units: list[Unit]

    @property
    def is_right(self) -> list[bool]:
        """Which columns stand to the right: numbers, and by how much they changed."""
        return [
            name in (BEFORE, CHANGE) or any(_is_number(row[number]) for row in self.rows)
            for number, name in enumerate(self.names)
        ]

    def cells(self, limit: int | None = None) -> list[list[str]]:
        """The first rows as people read them."""
        return [[shown(value, unit) for value, unit in zip(row, self.units, strict=True)] for row in self.rows[:limit]]


@dataclass
class Content:
    """A report of a period, of a published generation."""

    about: str
    figures: list[Figure] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


class Words:
    """The project's own words, read when they are first asked for: they are the same for every recipient."""

    def __init__(self, target: Target):
        self.target = target

    @cached_property
    def _artifacts(self) -> Path:
        dbt.parse(self.target, published=True, artifacts=True)
        return Path(dbt.target_path(self.target, published=True))

    @cached_property
    def metrics(self) -> Metrics:
        """The metrics."""
        return Metrics(self.target, self._artifacts)

    @cached_property
    def project(self) -> Project:
        """Tables, metrics and pages."""
        return read_project(self._artifacts, self.target.project)


def content_of(subscription: Subscription, period: Period, words: Words, connection: Any) -> Content:
    """Ask what a subscription asks, of a period, over its recipients' connection.

    Raises:
        BuildError: what is asked is not there, or they may not read it.
    """
    makers: dict[str, Callable[[Subscription, Period, Words, Any], Content]] = {
        "metric": _of_metric, "query": _of_query, "page": _of_page,
    }  # fmt: skip
    return makers[subscription.kind](subscription, period, words, connection)


def _of_metric(subscription: Subscription, period: Period, words: Words, connection: Any) -> Content:
    metrics = words.metrics
    measures = Measures(words.target, connection, metrics)
    question = metrics.read(subscription.asked)
    if not question.metrics:
        raise BuildError(f"{subscription.file}: metric names metrics, and no saved query: see docs/reports.md")
    labels = {name: words.project.metrics[name].label for name in question.metrics}
    units = {name: measures.unit(name) for name in question.metrics}

    def answer(of: Period, **changes: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
        return metrics.answer(connection, replace(question, start=_moment(of.first), end=_moment(of.last), **changes))

    whole: dict[str, Any] = {"group_by": (), "order_by": (), "limit": None}
    ((now,), (before,)) = (answer(each, **whole)[1] or [()] for each in (period, period.before()))
    content = Content(" ".join(words.project.metrics[name].description for name in question.metrics))
    for number, name in enumerate(question.metrics):
        was = before[number] if before else None
        content.figures.append(
            _figure(_with_unit(labels[name], units[name]), now[number] if now else None, was, units[name], period)
        )
    first = question.metrics[0]
    span = replace(period, first=period.before(PERIODS - 1).first)
    grain = (f"metric_time__{period.grain}",)
    _, trend = answer(span, metrics=(first,), group_by=grain, order_by=grain, limit=None)
    title = f"{labels[first]} by {period.grain}"
    names = [period.grain, labels[first]]
    if subscription.chart != "none":
        kind = subscription.chart or ("bar" if len(trend) <= PERIODS else "line")
        content.pictures.append(_picture(title, names, trend, kind, units[first]))
    if question.group_by:
        names, rows = answer(period)
        _, earlier = answer(period.before(), order_by=(), limit=None)
        keys = len(names) - len(question.metrics)
        table = _compared(
            f"{labels[first]} by {', '.join(map(_words, names[:keys]))}", names, rows, earlier, keys,
            [*[""] * keys, *units.values()],
        )  # fmt: skip
        content.tables.append(table)
    else:
        content.tables.append(Table(title, names, trend, ["", units[first]]))
    return content


def _of_query(subscription: Subscription, period: Period, words: Words, connection: Any) -> Content:
    require_question(subscription.query)

    def answer(of: Period) -> tuple[list[str], list[tuple[Any, ...]]]:
        days = {"first_day": of.first, "last_day": of.last}
        return ask(connection, _PLACEHOLDER.sub(lambda found: f"date '{days[found[1]]}'", subscription.query))

    names, rows = answer(period)
    compares = bool(_PLACEHOLDER.search(subscription.query))
    earlier = answer(period.before())[1] if compares else []
    is_number = [any(_is_number(row[number]) for row in rows) for number in range(len(names))]
    units = [_unit_of(name, words, connection) if is_number[number] else "" for number, name in enumerate(names)]
    content = Content(subscription.description)
    if len(rows) == 1 and all(is_number):
        before = earlier[0] if len(earlier) == 1 else (None,) * len(names)
        for name, now, was, unit in zip(names, rows[0], before, units, strict=True):
            content.figures.append(_figure(_with_unit(_words(name), unit), now, was, unit, period))
        return content
    keys = is_number.index(True) if True in is_number else len(names)
    content.tables.append(_compared(subscription.title, names, rows, earlier, keys, units))
    if subscription.chart != "none" and rows and 0 < keys < len(names):
        is_time = hasattr(rows[0][0], "year")
        kind = subscription.chart or ("line" if is_time else "across")
        drawn = [(row[0], row[keys]) for row in (rows if is_time else rows[:FIRST])]
        title = f"{_words(names[keys])} by {_words(names[0])}" + (
            f", the first {FIRST}" if len(drawn) < len(rows) else ""
        )
        content.pictures.append(_picture(title, [_words(names[0]), _words(names[keys])], drawn, kind, units[keys]))
    return content


def _of_page(subscription: Subscription, period: Period, words: Words, connection: Any) -> Content:
    reports = reports_of(words.target.project)
    if subscription.asked not in reports:
        raise BuildError(
            f"{subscription.file}: there is no page {subscription.asked!r}: choose from {', '.join(sorted(reports))}"
        )
    page = reports[subscription.asked](Measures(words.target, connection, words.metrics), words.project)
    content = Content(page.about, [Figure(each.label, each.value, each.before) for each in page.figures])
    for each in page.charts:
        content.pictures.append(_picture(each.title, each.names, each.values, each.kind, each.unit, each.axis))
        content.tables.append(_table_of(each))
    for title, names, rows in page.tables:
        content.tables.append(Table(title, names, [tuple(row) for row in rows], [""] * len(names)))
    return content


def _table_of(chart: Chart) -> Table:
    units: list[Unit] = ["", *[chart.unit] * (len(chart.names) - 1)]
    return Table(chart.title, chart.names, [tuple(row) for row in chart.values], units)


def _compared(
    title: str,
    names: list[str],
    rows: list[tuple[Any, ...]],
    earlier: list[tuple[Any, ...]],
    keys: int,
    units: Sequence[Unit],
) -> Table:
    """Rows with what their numbers were in the period before, where that has rows of the same first columns."""
    before = {row[:keys]: row for row in earlier}
    if not any(row[:keys] in before for row in rows) or len(before) < len(earlier):
        return Table(title, [_words(name) for name in names], rows, list(units))
    heads, made, of = [_words(name) for name in names[:keys]], [list(row[:keys]) for row in rows], list(units[:keys])
    for number in range(keys, len(names)):
        heads += [_words(names[number]), BEFORE, CHANGE]
        of += [units[number], units[number], ""]
        for line, row in zip(made, rows, strict=True):
            was = before.get(row[:keys], (None,) * len(names))[number]
            line += [row[number], was, _change(row[number], was, units[number])]
    return Table(title, heads, [tuple(line) for line in made], of)


def _figure(label: str, now: Any, was: Any, unit: Unit, period: Period) -> Figure:
    change = _change(now, was, unit)
    before = f"{shown(was, unit)} the {period.grain} before" + (f", {change}" if change else "")
    return Figure(label, shown(now, unit), before if was is not None else "")


def _change(now: Any, was: Any, unit: Unit) -> str:
    """By how much a number changed: a share in points, another in parts of what it was."""
    if not _is_number(now) or not _is_number(was):
        return ""
    if unit == SHARE:
        return f"{float(now - was) * 100:+.1f} points"
    return f"{float(now - was) / abs(float(was)):+.1%}" if was else ""


def _picture(
    title: str, names: list[str], rows: Sequence[Sequence[Any]], kind: str, unit: Unit, axis: str = ""
) -> Picture:
    png = draw(names, rows, kind=kind, unit=unit, axis=axis or _with_unit(names[-1], unit))
    last = f": {shown(rows[-1][0])}, {shown(rows[-1][1], unit)}" if kind == "line" and rows else ""
    return Picture(title, png, f"{title}, {len(rows)} {'values' if len(rows) != 1 else 'value'}{last}")


def _unit_of(column: str, words: Words, connection: Any) -> Unit:
    """What a column of a saved query is measured in, by its name: see the names in docs/conventions.md."""
    if column.endswith("_amount"):
        has_one = REPORTING_CURRENCY in variables(words.target.project)
        return reporting_currency(words.target, connection) if has_one else NO_CURRENCY
    return SHARE if column.endswith(("_share", "_rate")) else ""


def _with_unit(label: str, unit: Unit) -> str:
    return f"{label}, {unit.code}" if isinstance(unit, Currency) and unit.code else label


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _words(name: str) -> str:
    return name.removesuffix("_name").replace("_", " ")


def _moment(day: Any) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 (MetricFlow's times have no zone)
