"""What every report page is made of, and the pages of the domains that are on.

A domain's reports are `reports/<domain>/site.py`: its `REPORTS` has what writes each page, by the name of the exposure
that describes it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

from ingestion.domains import domains
from ingestion.project import PROJECT_ROOT
from reports.site.charts import Chart, Follows
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


def of_domains(measures: Measures, project: Project) -> list[tuple[str, Page]]:
    """The report pages of the domains that are on, each with the name of its exposure."""
    found: list[tuple[str, Page]] = []
    for domain in domains(measures.target.project):
        if (PROJECT_ROOT / "reports" / domain.name / "site.py").exists():
            reports: dict[str, Callable[[Measures, Project], Page]]
            reports = importlib.import_module(f"reports.{domain.name}.site").REPORTS
            found += [(exposure, write(measures, project)) for exposure, write in reports.items()]
    return found
