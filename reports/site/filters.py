"""The numbers that a page's filters add up: its saved queries, asked once more by what readers choose by.

A page says in `config.meta.filters` of its exposure by which dimensions. A saved query says in
`config.meta.filtered_at` which published aggregate its numbers are no finer than: that one's keys are what it can be
chosen by, and its day or month is the period. What doesn't say so, or can't be added up, doesn't follow, and the page
tells its readers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations
from typing import Any

from reports.site.charts import Follows
from reports.site.measures import Measures
from reports.site.pages import Page
from reports.site.project import Project, Table
from warehouse.errors import BuildError
from warehouse.reading.metrics import Question
from warehouse.reading.money import Currency

# Of the cells of one cube, which take some 25 bytes each. One that has more by day is given by month.
MOST_CELLS = 40_000
ALL = -1
_DIMENSION = re.compile(r"(?<!Time)Dimension\('(\w+)'\)")
_ADD_UP = ("sum", "count", "count_distinct", "sum_boolean")


@dataclass
class Cube:
    """Metrics by time and dimensions, to be added up in a browser.

    grain: day or month.
    dimensions: their full names.
    parts: the metrics; the last columns of `rows`, after the time and the dimensions.
    apart: of counts of things that are in several cells, and so can't be added, the counts by month for each choice.
    """

    grain: str
    dimensions: tuple[str, ...]
    parts: list[str] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    apart: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)


class Numbers:
    """The cubes of a page. What asks for the same dimensions shares one."""

    def __init__(self, measures: Measures, project: Project, filters: dict[str, str]):
        self.measures, self.project, self.filters = measures, project, filters
        self.cubes: list[Cube] = []

    def take(self, follows: Follows | None) -> Cube | None:
        """The cube that something on the page follows, which will have its metrics; None where it can't follow.

        Raises:
            BuildError: the saved query is finer than the aggregate that it names.
        """
        aggregate = self.project.filtered_at.get(follows.query) if follows else None
        parts = [self._parts(metric) for metric in follows.metrics] if follows else []
        if aggregate is None or follows is None or not all(parts):
            return None
        own = self.own(follows)
        if finer := [each for each in own if not _has(aggregate, each)]:
            raise BuildError(f"the saved query {follows.query} is by {', '.join(finer)}, and {aggregate.name} is not")
        known = self.measures.metrics.group_bys(follows.metrics)
        chosen = [each for each in self.filters.values() if each in known and _has(aggregate, each)]
        grain = "month" if any("month" in column.name for column in aggregate.columns) else "day"
        cube = self._shared(grain, {*own, *chosen}, set(known))
        for part in (part for found in parts for part in found):
            if part not in cube.parts:
                cube.parts.append(part)
        return cube

    def _shared(self, grain: str, dimensions: set[str], known: set[str]) -> Cube:
        """A cube by these dimensions: one that is there, which may be by others of `known` that nobody filters by."""
        for cube in self.cubes:
            more = set(cube.dimensions) - dimensions
            if cube.grain == grain and dimensions <= set(cube.dimensions) and more <= known - {*self.filters.values()}:
                return cube
        self.cubes.append(Cube(grain, tuple(sorted(dimensions))))
        return self.cubes[-1]

    def own(self, follows: Follows) -> list[str]:
        """The dimensions that a saved query is grouped by itself, time left out."""
        query = self.measures.metrics.saved_queries[follows.query]
        return _DIMENSION.findall(" ".join(query.query_params.group_by))

    def spec(self, follows: Follows, cube: int) -> dict[str, Any]:
        """What a chart shows of a cube: the saved query's metrics, by time, by its own dimensions."""
        group_by = self.measures.metrics.saved_queries[follows.query].query_params.group_by
        return {
            "cube": cube, "metrics": follows.metrics, "own": self.own(follows), "first": follows.first,
            "last": follows.last, "time": any(each.startswith("TimeDimension") for each in group_by),
        }  # fmt: skip

    def metric(self, name: str) -> dict[str, Any]:
        """How a metric is computed of its parts: one, or two that are divided; over how many days; in what unit."""
        over = self.measures.metrics.definitions[name].type_params.cumulative_type_params
        unit = self.measures.unit(name)
        return {
            "label": self.project.metrics[name].label, "parts": self._parts(name),
            "days": over.window.count if over and over.window else 1,
            "unit": {"digits": unit.digits} if isinstance(unit, Currency) else unit,
        }  # fmt: skip

    def _parts(self, name: str) -> list[str]:
        """The metrics that are added up for this one; none where it can't be computed of sums."""
        definition = self.measures.metrics.definitions[name]
        params, kind = definition.type_params, definition.type.value
        if kind == "simple":
            of = params.metric_aggregation_params
            return [name] if of and of.agg.value in _ADD_UP and not of.non_additive_dimension else []
        inputs: list[Any] = []
        if kind == "ratio":
            inputs = [params.numerator, params.denominator]
        elif kind == "cumulative" and params.cumulative_type_params:
            over = params.cumulative_type_params
            inputs = [over.metric] if over.window and over.window.granularity == "day" else []
        parts = [self._parts(each.name) for each in inputs]
        plain = not any(each.filter or each.offset_window or each.offset_to_grain for each in inputs)
        # A part that is a ratio itself has two.
        return [part for (part,) in parts] if plain and all(len(found) == 1 for found in parts) else []

    def fill(self) -> list[Cube]:
        """Ask for the cells of all cubes. Returns those that are not too large for a page."""
        for cube in self.cubes:
            self._ask(cube)
            if len(cube.rows) > MOST_CELLS and cube.grain == "day":
                cube.grain = "month"
                self._ask(cube)
        return [cube for cube in self.cubes if len(cube.rows) <= MOST_CELLS]

    def _ask(self, cube: Cube) -> None:
        """Ask for the cells, and find out which counts of different things add up.

        They do where nothing is in two cells: the cells' sum is then the count of all, and no more.
        """
        by = (f"metric_time__{cube.grain}", *cube.dimensions)
        cube.rows = self._answer(tuple(cube.parts), by)
        for number, part in enumerate(cube.parts, start=len(by)):
            of = self.measures.metrics.definitions[part].type_params.metric_aggregation_params
            if of and of.agg.value == "count_distinct":
                ((whole,),) = self._answer((part,), ())
                if sum(row[number] or 0 for row in cube.rows) != (whole or 0):
                    cube.apart[part] = self._apart(part, cube.dimensions)

    def _apart(self, part: str, dimensions: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """A count by month for each choice: a value of some dimensions, all of the others."""
        rows = []
        for some in (some for size in range(len(dimensions) + 1) for some in combinations(dimensions, size)):
            for month, *values, count in self._answer((part,), ("metric_time__month", *some)):
                chosen = dict(zip(some, map(_name, values), strict=True))
                rows.append((month, *(chosen.get(each, ALL) for each in dimensions), count))
        return rows

    def _answer(self, metrics: tuple[str, ...], by: tuple[str, ...]) -> list[tuple[Any, ...]]:
        return self.measures.metrics.answer(self.measures.connection, Question(metrics, by))[1]


def _has(aggregate: Table, dimension: str) -> bool:
    """Whether an aggregate is by a dimension: it has the key of its entity, or the dimension itself."""
    entity, _, own = dimension.rpartition("__")
    return not {f"{entity}_key", own}.isdisjoint(column.name for column in aggregate.columns)


def _name(value: Any) -> Any:
    return "none" if value is None else value


def numbers(measures: Measures, project: Project, filters: dict[str, str], page: Page) -> dict[str, Any] | None:
    """What the page's script adds up; None for a page whose readers have nothing to choose.

    `filters` has the dimensions that they choose by, under the names that these have there.
    """
    asked = Numbers(measures, project, filters)
    charts = [(each.follows, asked.take(each.follows)) for each in page.charts]
    figures = [(each.follows, asked.take(each.follows)) for each in page.figures]
    cubes = asked.fill() if filters else []
    first, last = measures.days()
    if not cubes or first is None:
        return None
    found: dict[str, set[Any]] = {}
    for cube in cubes:
        for number, dimension in enumerate(cube.dimensions, start=1):
            found.setdefault(dimension, set()).update(_name(row[number]) for row in cube.rows)
    values = {dimension: sorted(names) for dimension, names in found.items()}
    used = {metric for follows, cube in (*charts, *figures) if follows and cube in cubes for metric in follows.metrics}
    return {
        "first": first.isoformat(), "last": last.isoformat(), "filters": filters, "values": values,
        "metrics": {name: asked.metric(name) for name in sorted(used)},
        "cubes": [_encoded(cube, values, first) for cube in cubes],
        "charts": [{"id": each.id, "kind": each.kind, **asked.spec(follows, cubes.index(cube))}
                   if follows and cube in cubes else {"id": each.id, "cube": None}
                   for each, (follows, cube) in zip(page.charts, charts, strict=True)],
        "figures": [{"at": at, "metric": follows.metrics[0], "cube": cubes.index(cube)}
                    for at, (follows, cube) in enumerate(figures) if follows and cube in cubes],
    }  # fmt: skip


def _encoded(cube: Cube, values: dict[str, list[Any]], first: Any) -> dict[str, Any]:
    """A cube by columns: days since the first, numbers of values, numbers without their point."""
    columns: list[Sequence[Any]] = list(zip(*cube.rows, strict=True))
    places = [{value: number for number, value in enumerate(values[each])} | {ALL: ALL} for each in cube.dimensions]
    start = 1 + len(places)
    parts = {}
    for part, column in zip(cube.parts, columns[start:], strict=True):
        if part not in cube.apart:
            decimals = [None if value is None else Decimal(str(value)).normalize() for value in column]
            point = max(0, *(-int(value.as_tuple().exponent) for value in decimals if value is not None), 0)
            parts[part] = {"point": point, "values": [v if v is None else int(v.scaleb(point)) for v in decimals]}
    return {
        "grain": cube.grain, "dimensions": cube.dimensions, "parts": parts,
        "days": [(day - first).days if day else None for day in columns[0]],
        "keys": [[place[_name(value)] for value in column]
                 for place, column in zip(places, columns[1:start], strict=True)],
        "apart": {
            part: [[(month - first).days, *(p[v] for p, v in zip(places, row, strict=True)), count]
                   for month, *row, count in rows if month]
            for part, rows in cube.apart.items()
        },
    }  # fmt: skip
