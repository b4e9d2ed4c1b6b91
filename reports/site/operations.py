"""The operators' pages, from the runs: pipeline and quality."""

from __future__ import annotations

from typing import Any

from reports.site.charts import SECONDS, SHARE, Chart, chart, shown
from reports.site.failures import failing_rows, history
from reports.site.measures import Measures
from reports.site.pages import Figure, Page
from reports.site.project import Project

LAST_RUNS = 30


def pipeline(measures: Measures) -> Page:
    """What ran, how long, how fresh, how much."""
    page = Page(
        "pipeline", "Pipeline", "What ran, how long each step took, and what each source brought. Times are UTC."
    )
    runs = measures.rows("""
        select started_at, command_name, outcome, generation_number, total_seconds, source_count, loaded_count,
            known_count, rejected_count, failure_message
        from {runs}.ops_runs where outcome <> 'measured' order by started_at desc""")
    last = runs[0]
    page.figures += [
        Figure("Last run", str(last[2]), f"{last[1]}, {shown(last[0])}"),
        Figure(
            "Took", shown(last[4], SECONDS), f"{shown(runs[1][4], SECONDS)} the one before" if len(runs) > 1 else ""
        ),
        Figure("Records read", shown(last[5]), f"{shown(last[6])} loaded, {shown(last[7])} known"),
        Figure("Rejected", shown(last[8])),
    ]
    steps = measures.rows("""
        select started_at, step_name, sum(duration_seconds) from {runs}.ops_run_steps
        group by started_at, step_name order by started_at""")
    times = sorted({row[0] for row in steps})[-LAST_RUNS:]
    kinds = sorted({row[1] for row in steps}, key=lambda s: -sum(float(r[2]) for r in steps if r[1] == s))[:7]
    seconds = {(started, step): value for started, step, value in steps}
    page.charts.append(
        chart("steps", f"Seconds of each step, the last {LAST_RUNS} runs", ["run", *kinds],
              [[shown(t), *(seconds.get((t, kind)) for kind in kinds)] for t in times], kind="stacked", unit=SECONDS,
              axis="seconds")
    )  # fmt: skip
    loads = measures.rows("""
        select cast(observed_at as date) as day, sum(loaded_count), sum(known_count), sum(rejected_count)
        from {runs}.ops_extracts group by 1 order by 1""")
    page.charts.append(
        chart("records", "Records by day of observation", ["day", "loaded", "known", "rejected"], loads, kind="bar",
              axis="records")
    )  # fmt: skip
    latest = measures.rows("""
        select source_id, resource_name, observed_at, newest_record_at, age_seconds, source_count, loaded_count,
            known_count, rejected_count
        from (
            select *, row_number() over (
                partition by source_id, resource_name order by observed_at desc, load_id desc) as recency
            from {runs}.ops_extracts
        ) as extracts where recency = 1 order by source_id, resource_name""")
    names = ["source", "table", "observed", "newest record", "age", "read", "loaded", "known", "rejected"]
    page.tables.append((
        "The last load of each table", names,
        [[*map(shown, row[:4]), _age(row[4]), *map(shown, row[5:])] for row in latest],
    ))  # fmt: skip
    page.tables.append((
        "The last runs",
        ["started", "command", "outcome", "generation", "took", "read", "loaded", "known", "rejected", "message"],
        [[*map(shown, row[:4]), shown(row[4], SECONDS), *map(shown, row[5:9]), row[9] or ""]
         for row in runs[:LAST_RUNS]],
    ))  # fmt: skip
    return page


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "–"
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds} seconds"


def quality(measures: Measures, project: Project) -> Page:
    """Which tests pass, and which records wait."""
    page = Page("quality", "Quality", "Which tests pass, by dimension and source, and which records wait as rejects.")
    rows = measures.rows("""
        select started_at, quality_dimension, avg(case when is_passed then 1.0 else 0.0 end)
        from {runs}.ops_test_results where quality_dimension is not null
        group by started_at, quality_dimension order by started_at""")
    tests, failed = measures.rows("""
        select count(*), count(*) - sum(case when is_passed then 1 else 0 end) from {runs}.ops_test_results
        where started_at = (select max(started_at) from {runs}.ops_test_results)""")[0]
    page.figures += [
        Figure("Tests of the last run", shown(tests)),
        Figure("Not passed", shown(failed)),
        Figure("Open rejects", shown(measures.rows(
            "select count(*) from {ops}.ops_rejects where not is_resolved")[0][0])),
        Figure("Mended rejects", shown(measures.rows(
            "select count(*) from {ops}.ops_rejects where is_resolved")[0][0])),
    ]  # fmt: skip
    page.charts.append(_pass_rates("dimensions", "Share of tests that pass, by dimension", rows))
    by_source = measures.rows("""
        select started_at, source_ids, avg(case when is_passed then 1.0 else 0.0 end)
        from {runs}.ops_test_results where source_ids is not null and source_ids not like '%,%'
        group by started_at, source_ids order by started_at""")
    page.charts.append(_pass_rates("sources", "Share of tests that pass, by source", by_source))
    reasons = measures.rows("""
        select source_id || '.' || resource_name || ' ' || reasons as reason, count(*),
            sum(case when is_resolved then 0 else 1 end)
        from {ops}.ops_rejects group by 1 order by 3 desc, 2 desc""")[:20]
    page.charts.append(
        chart("rejects", "Rejects by reason", ["reason", "open", "mended"],
              [[reason, still, count - still] for reason, count, still in reasons], kind="across", axis="records")
    )  # fmt: skip
    failing = measures.rows("""
        select results.test_name, results.tested_name, results.quality_dimension, results.severity, results.status,
            results.failure_count
        from {runs}.ops_test_results as results
        inner join (select max(started_at) as started_at from {runs}.ops_test_results) as newest
            on results.started_at = newest.started_at
        where not results.is_passed order by results.severity, results.test_name""")
    page.tables.append((
        "Tests of the last run that did not pass", ["test", "table", "dimension", "severity", "status", "rows"],
        [[shown(value) for value in row] for row in failing],
    ))  # fmt: skip
    page.tables += failing_rows(measures, project)
    unusual = measures.rows("""
        select check_name, source_id, resource_name, column_name, observed_date, observed_value, lowest_expected_value,
            highest_expected_value
        from {runs}.ops_anomalies where is_anomalous order by observed_date desc""")[:50]
    page.tables.append((
        "What was unusual", ["check", "source", "table", "column", "day", "saw", "expected from", "to"],
        [[shown(value) for value in row] for row in unusual],
    ))  # fmt: skip
    page.tables += history(measures)
    return page


def _pass_rates(name: str, title: str, rows: list[tuple[Any, ...]]) -> Chart:
    series = sorted({row[1] for row in rows})
    times = sorted({row[0] for row in rows})[-LAST_RUNS:]
    rates = {(row[0], row[1]): row[2] for row in rows}
    kind = "line" if len(times) > 1 else "bar"
    return chart(name, title, ["run", *series], [[shown(t), *(rates.get((t, each)) for each in series)] for t in times],
                 unit=SHARE, kind=kind, axis="share of tests")  # fmt: skip
