"""The page of care, from saved queries."""

from __future__ import annotations

from typing import Any

from reports.site.charts import Chart, chart, shown
from reports.site.measures import Measures
from reports.site.pages import Figure, Page, whole_months
from reports.site.project import Project

_OUTCOMES = (
    "readmission_rate", "length_of_stay", "blood_pressure_control_rate", "immunization_coverage", "lab_turnaround_rate",
)  # fmt: skip
_CARE = ("immunizations", "lab_results", "lab_corrections")


def care(measures: Measures, project: Project) -> Page:
    """Encounters and outcomes, month by month. A month that the data don't have whole has no figure."""
    _, last_day = measures.days()
    as_of = f"Data until {last_day}."
    page = Page(
        "care",
        "Care",
        f"Encounters, and what care comes to, by the metrics of the catalogue. {as_of} "
        "The newest months of readmissions are still to be followed for 30 days.",
    )
    answers = {query: measures.saved(query) for query in ("care_by_month", "outcomes_by_month")}

    def figures(query: str, metrics: tuple[str, ...]) -> None:
        names, rows = answers[query]
        whole = whole_months(rows, last_day)
        for metric in metrics:
            known = [row for row in whole if row[names.index(metric)] is not None]
            if known:
                place, unit = names.index(metric), measures.unit(metric)
                before = f"{shown(known[-2][place], unit)} the month before" if len(known) > 1 else ""
                label = f"{project.metrics[metric].label}, {known[-1][0]:%B %Y}"
                page.figures.append(Figure(label, shown(known[-1][place], unit), before, f"metrics.html#{metric}"))

    def over_time(query: str, metric: str, kind: str) -> Chart:
        names, rows = answers[query]
        label = project.metrics[metric].label
        values = [[row[0], row[names.index(metric)]] for row in rows]
        return chart(
            metric, label, ["month", label], values, unit=measures.unit(metric), kind=kind, axis=label, note=as_of
        )

    figures("care_by_month", ("encounters",))
    figures("outcomes_by_month", ("inpatient_nights", *_OUTCOMES))
    page.charts.append(_by_class(measures, as_of))
    page.charts += [over_time("outcomes_by_month", metric, "line") for metric in _OUTCOMES]
    page.charts.append(over_time("outcomes_by_month", "inpatient_nights", "bar"))
    page.charts += [over_time("care_by_month", metric, "bar") for metric in _CARE]
    return page


def _by_class(measures: Measures, as_of: str) -> Chart:
    """Encounters of each month, the classes stacked, the most frequent first."""
    _, rows = measures.saved("encounters_by_month_and_class")
    totals: dict[str, int] = {}
    months: dict[Any, dict[str, Any]] = {}
    for month, encounter_class, count in rows:
        name = encounter_class or "none"
        totals[name] = totals.get(name, 0) + int(count or 0)
        months.setdefault(month, {})[name] = count
    classes = sorted(totals, key=lambda name: (-totals[name], name))
    table = [[month, *(values.get(name) for name in classes)] for month, values in sorted(months.items())]
    return chart(
        "encounters", "Encounters by class", ["month", *classes], table, kind="stacked", axis="encounters", note=as_of
    )


REPORTS = {"care_report": care}
