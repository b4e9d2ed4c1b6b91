"""What every report page is made of, and the pages of the domains that are on.

A domain's reports are `reports/<domain>/site.py`: its `REPORTS` has what writes each page, by the name of the exposure
that describes it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ingestion.domains import domains
from ingestion.project import PROJECT_ROOT
from reports.site.charts import Chart, Follows, chart, shown
from reports.site.measures import Measures
from reports.site.project import Project


@dataclass(frozen=True)
class Figure:
    """One number at the top of a page, with what it was before."""

    label: str
    value: str
    before: str = ""
    link: str = ""
    follows: Follows | None = None


@dataclass
class Page:
    """A report: figures first, then charts, then tables."""

    name: str
    title: str
    about: str
    figures: list[Figure] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)


def reports_of(project: Path) -> dict[str, Callable[[Measures, Project], Page]]:
    """What writes the report pages of a project's domains that are on, by the name of its exposure."""
    found: dict[str, Callable[[Measures, Project], Page]] = {}
    for domain in domains(project):
        if (PROJECT_ROOT / "reports" / domain.name / "site.py").exists():
            found |= importlib.import_module(f"reports.{domain.name}.site").REPORTS
    return found


def of_domains(measures: Measures, project: Project) -> list[tuple[str, Page]]:
    """The report pages of the domains that are on, each with the name of its exposure."""
    reports = reports_of(measures.target.project)
    return [(exposure, write(measures, project)) for exposure, write in reports.items()]


def whole_months(rows: list[tuple[Any, ...]], last_day: date) -> list[tuple[Any, ...]]:
    """Those rows whose month, their first value, the data have whole: the last one only if they end with it."""
    months_end = last_day + timedelta(days=1)
    return [row for row in rows if (row[0].replace(day=28) + timedelta(days=4)).replace(day=1) <= months_end]


def by_month(name: str, query: str, measures: Measures, project: Project) -> Page:
    """A page of a saved query by month: for each of its metrics the newest whole month's figure, and a chart.

    Args:
        name: the page's, which is the domain's, or begins with it.
        query: the saved query, whose first column is the month.
        measures: what is published.
        project: its words.
    """
    names, rows = measures.saved(query)
    last_day = measures.days()[1]
    page = Page(name, name.replace("_", " ").capitalize(), f"By month. Data until {last_day}.")
    whole = whole_months(rows, last_day)
    for number, metric in enumerate(names[1:], start=1):
        label, unit = project.metrics[metric].label, measures.unit(metric)
        if whole:
            before = f"{shown(whole[-2][number], unit)} the month before" if len(whole) > 1 else ""
            value, link = shown(whole[-1][number], unit), f"metrics.html#{metric}"
            page.figures.append(Figure(f"{label}, {whole[-1][0]:%B %Y}", value, before, link))
        values = [[row[0], row[number]] for row in rows]
        page.charts.append(chart(metric, label, ["month", label], values, unit=unit, kind="bar", axis=label))
    return page
