"""The storage page: how large the warehouse is, how it grows, and when a limit is met at the present rate."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import combinations
from statistics import median, quantiles

from ingestion.contract.reading import read_contracts
from reports.site.charts import BYTES, SECONDS, chart, shown
from reports.site.measures import Measures
from reports.site.pages import Figure, Page
from reports.site.project import Project
from warehouse.database import open_database
from warehouse.errors import BuildError
from warehouse.people.retention import kept_days
from warehouse.publish.compaction import stored

LAST_DAYS = 90
SPAN = timedelta(days=7)
FARTHEST = timedelta(days=20 * 365)
# A night's window, unless CAPACITY__BUILD_SECONDS says otherwise.
BUILD_SECONDS = 4 * 3600
# What retention would give back where a contract keeps everything.
OFFERED_DAYS = 3 * 365

Points = Sequence[tuple[date, float]]


@dataclass(frozen=True)
class Growth:
    """By how much something grows a day: in the middle, and from the slowest tenth of what was seen to the quickest."""

    a_day: float
    least: float
    most: float

    def times(self, factor: float) -> Growth:
        """The same of something so many times as large."""
        return Growth(self.a_day * factor, self.least * factor, self.most * factor)


def growth(points: Points) -> Growth | None:
    """The growth of a value that was seen on some days; None where these span less than a week.

    The median of the slopes between all pairs of days (Sen, Estimates of the regression coefficient based on Kendall's
    tau, 1968), which one day that was loaded twice does not move; the range is from the first to the last decile.
    """
    if len(points) < 3 or points[-1][0] - points[0][0] < SPAN:
        return None
    slopes = [(later - sooner) / (last - first).days for (first, sooner), (last, later) in combinations(points, 2)]
    deciles = quantiles(slopes, n=10, method="inclusive")
    return Growth(median(slopes), deciles[0], deciles[-1])


def met_on(present: float, limit: float, a_day: float, today: date) -> date | None:
    """The day on which a value that grows so much a day meets its limit; None where that is not within twenty years."""
    if present >= limit:
        return today
    days = (limit - present) / a_day if a_day > 0 else FARTHEST.days + 1
    return today + timedelta(days=days) if days <= FARTHEST.days else None


def storage(measures: Measures, project: Project, sizes: Mapping[str, int], row_counts: Mapping[str, int]) -> Page:
    """Size and growth by domain, limits and when they are met, what retention gives back, what takes longest."""
    page = Page(
        "storage", "Storage and capacity",
        "How large the warehouse is, how it grows, when a limit is met at the present rate, and what takes longest. "
        f"Growth is that of the last {LAST_DAYS} days; its range is from the slowest tenth of them to the quickest.",
    )  # fmt: skip
    by_domain, domains = _rows_by_domain(measures, project)
    total, rows_total = sum(sizes.values()), sum(row_counts[name] for name in sizes)
    grows = growth([(day, sum(counts.values())) for day, counts in by_domain.items()])
    limits = _limits(measures, total, rows_total, grows)
    first = min((each for each in limits if each.met), key=lambda each: each.met or date.max, default=None)
    a_year = shown(total + grows.times(365 * total / max(1, rows_total)).a_day, BYTES) if grows else "–"
    page.figures += [
        Figure("Published marts", shown(total, BYTES), f"{shown(rows_total)} rows"),
        Figure("In a year", a_year, "" if grows else "needs published runs of a week"),
        Figure("On disk", shown(limits[0].present, BYTES), "raw and both generations"),
        Figure("First limit", shown(first.met) if first else "–", first.name if first else "none at this rate"),
    ]
    page.charts.append(
        chart("growth", "Rows of the published marts, by domain", ["day", *domains],
              [[day, *(counts.get(each, 0) for each in domains)] for day, counts in by_domain.items()],
              kind="line" if len(by_domain) > 1 else "bar", axis="rows")
    )  # fmt: skip
    largest = sorted(sizes, key=lambda name: -sizes[name])[:15]
    page.charts.append(
        chart("sizes", "Size of the largest tables", ["table", "size"],
              [[project.tables[name].full_name, sizes[name]] for name in largest], kind="across", unit=BYTES,
              axis="bytes")
    )  # fmt: skip
    slowest = measures.rows("""
        select relations.relation_name, relations.duration_seconds from {runs}.ops_relations as relations
        inner join (select max(started_at) as started_at from {runs}.ops_relations where duration_seconds is not null)
            as newest on relations.started_at = newest.started_at
        order by relations.duration_seconds desc""")[:15]
    page.charts.append(
        chart("slowest", "Seconds of the slowest models, last run", ["model", "seconds"], slowest, kind="across",
              unit=SECONDS, axis="seconds")
    )  # fmt: skip
    page.tables += [
        ("Growth by domain", ["domain", "rows", "size", "rows a day", "from", "to", "size in a year"],
         [_domain(each, by_domain, project, sizes, row_counts) for each in domains]),
        ("Limits", ["limit", "now", "at most", "met on", "between", "and"], [each.row() for each in limits]),
        ("What retention gives back", ["table", "kept for", "versions loaded", "older"], _retained(measures)),
        ("All tables", ["table", "rows", "size"],
         [[project.tables[name].full_name, shown(row_counts[name]), shown(sizes[name], BYTES)]
          for name in sorted(sizes, key=lambda each: -sizes[each])]),
    ]  # fmt: skip
    return page


@dataclass(frozen=True)
class Limit:
    """Something that must not outgrow something else; where `most` is None, nobody says what."""

    name: str
    unit: str
    present: float
    most: float | None
    grows: Growth | None
    today: date

    @property
    def met(self) -> date | None:
        """The day on which it is met."""
        return self._met(self.grows.a_day) if self.grows else None

    def _met(self, a_day: float) -> date | None:
        return None if self.most is None else met_on(self.present, self.most, a_day, self.today)

    def row(self) -> list[str]:
        """As the table has it."""
        days = ["–"] * 3
        if self.grows and self.most is not None:
            found = [self._met(each) for each in (self.grows.a_day, self.grows.most, self.grows.least)]
            days = [shown(each) if each else "not in 20 years" for each in found]
        return [self.name, shown(self.present, self.unit), shown(self.most, self.unit), *days]


def _limits(measures: Measures, total: int, rows: int, grows: Growth | None) -> list[Limit]:
    """Disk, memory and time. All that lies on disk grows as the published rows do."""
    target, today = measures.target, measures.generation()[1].date()
    disk: int | None
    if target.lake:
        with open_database(target) as database:
            used = stored(database, target.lake).bytes
        disk, memory = None, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    elif target.engine == "duckdb":
        files = (target.build_file, target.published_file, target.next_file)
        used = sum(each.stat().st_size for each in files if each.exists())
        disk = used + shutil.disk_usage(target.folder).free
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:
        used = int(measures.rows("select pg_database_size(current_database())")[0][0])
        # How large the disk is nobody tells a reader; what the server may cache, its settings say.
        cached = "select cast(setting as bigint) * 8192 from pg_settings where name = 'effective_cache_size'"
        disk, memory = None, int(measures.rows(cached)[0][0])
    took = measures.rows("""
        select cast(started_at as date) as day, max(total_seconds) from {runs}.ops_runs
        where outcome = 'published' and command_name in ('build', 'next-day') and total_seconds is not null
        group by 1 order by 1""")[-LAST_DAYS:]
    seconds = [(day, float(each)) for day, each in took]
    a_row = 1 / max(1, rows)
    return [
        Limit("disk: raw and both generations", BYTES, used, _set("DISK_BYTES", disk),
              grows and grows.times(used * a_row), today),
        Limit("memory: what dashboards ask, all at once", BYTES, total, _set("MEMORY_BYTES", memory),
              grows and grows.times(total * a_row), today),
        Limit("time: the longest build of a day", SECONDS, seconds[-1][1] if seconds else 0.0,
              _set("BUILD_SECONDS", BUILD_SECONDS), growth(seconds), today),
    ]  # fmt: skip


def _set(name: str, default: float | None) -> float | None:
    """A limit as CAPACITY__… says it.

    Raises:
        BuildError: it says no number above zero.
    """
    text = os.environ.get(f"CAPACITY__{name}", "")
    if not text:
        return default
    if not text.isdecimal() or not int(text):
        raise BuildError(f"CAPACITY__{name} is '{text}': say a whole number of {name.lower().rpartition('_')[2]}")
    return int(text)


def _rows_by_domain(measures: Measures, project: Project) -> tuple[dict[date, dict[str, int]], list[str]]:
    """The rows of each schema as the last published run of each day counted them; the schemas, the largest first."""
    counted: dict[date, tuple[datetime, dict[str, int]]] = {}
    for started, name, count in measures.rows("""
        select runs.started_at, relations.relation_name, relations.row_count
        from {runs}.ops_relations as relations
        inner join {runs}.ops_runs as runs on relations.run_id = runs.run_id
        where relations.row_count is not null and runs.outcome = 'published' order by runs.started_at"""):
        if name in project.tables:
            at, counts = counted.get(started.date(), (started, {}))
            if at != started:
                counts = {}
            schema = project.tables[name].schema
            counted[started.date()] = started, {**counts, schema: counts.get(schema, 0) + int(count)}
    days = {day: counts for day, (_, counts) in sorted(counted.items())[-LAST_DAYS:]}
    last = days[max(days)] if days else {}
    return days, sorted(last, key=lambda each: -last[each])


def _domain(
    name: str, by_domain: Mapping[date, Mapping[str, int]], project: Project, sizes: Mapping[str, int],
    row_counts: Mapping[str, int],
) -> list[str]:  # fmt: skip
    tables = [each for each in sizes if project.tables[each].schema == name]
    size, rows = sum(sizes[each] for each in tables), sum(row_counts[each] for each in tables)
    found = growth([(day, counts.get(name, 0)) for day, counts in by_domain.items()])
    if not found:
        return [name, shown(rows), shown(size, BYTES), "–", "–", "–", "–"]
    year = size + found.a_day * 365 * size / max(1, rows)
    return [name, shown(rows), shown(size, BYTES), *(f"{each:,.0f}" for each in (found.a_day, found.least, found.most)),
            shown(year, BYTES)]  # fmt: skip


def _retained(measures: Measures) -> list[list[str]]:
    """What each table of raw has from before its contract's horizon; where that keeps all, from before three years."""
    contracts = read_contracts(measures.target.project)
    kept = {(each.source, each.name): kept_days(each) for contract in contracts for each in contract.tables}
    found = []
    for source, table, loaded, newest in measures.rows("""
        select source_id, resource_name, sum(loaded_count), max(observed_at) from {runs}.ops_extracts
        group by source_id, resource_name order by 3 desc"""):
        if (source, table) not in kept:
            continue
        days = kept[source, table]
        horizon = newest - timedelta(days=days or OFFERED_DAYS)
        [(older,)] = measures.rows(
            f"select coalesce(sum(loaded_count), 0) from {{runs}}.ops_extracts where source_id = '{source}' "
            f"and resource_name = '{table}' and observed_at < timestamp '{horizon}'"
        )
        said = f"{days:,} days" if days else f"ever; counted as if for {OFFERED_DAYS:,} days"
        found.append([f"{source}.{table}", said, shown(loaded), f"at most {shown(older)}"])
    return found
