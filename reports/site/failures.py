"""What tests found: the rows that were kept of those that did not pass, and how each test did over the last runs."""

from __future__ import annotations

from reports.site.charts import shown
from reports.site.measures import Measures
from reports.site.project import Project, Rule

MOST_ROWS, LAST_RUNS, LONGEST = 10, 10, 80
# What dbt's own tests call the column that they are of.
_TESTED = ("unique_field", "value_field", "from_field")
Listed = tuple[str, list[str], list[list[str]]]


def failing_rows(measures: Measures, project: Project) -> list[Listed]:
    """For each test of the last run that found rows, a table of the first of them.

    Of a column that may tell of a person, or that nothing is declared of, no value is shown.
    """
    found = measures.rows("""
        select results.test_name, results.failure_count from {runs}.ops_test_results as results
        inner join (select max(started_at) as started_at from {runs}.ops_test_results) as newest
            on results.started_at = newest.started_at
        where results.status in ('fail', 'warn') order by results.severity, results.test_name""")
    rules = {rule.name: rule for rule in project.rules}
    kept = measures.kept({name: rules[name].kept for name, _ in found if name in rules}, MOST_ROWS)
    listed: list[Listed] = []
    for name, count in found:
        if name not in kept:
            listed.append(
                (f"Rows of {name}", ["rows"], [["kept in the schema test_failures, which the builder reads"]])
            )
            continue
        names, rows = kept[name]
        shares = [_is_shared(rules[name], column, project) for column in names]
        listed.append((
            f"Rows of {name}, {len(rows)} of {shown(count)}", names,
            [[shown(value)[:LONGEST] if share else "not shown" for value, share in zip(row, shares, strict=True)]
             for row in rows],
        ))  # fmt: skip
    return listed


def _is_shared(rule: Rule, column: str, project: Project) -> bool:
    return column == "n_records" or (rule.column if column in _TESTED else column) in project.shared_columns


def history(measures: Measures) -> list[Listed]:
    """What each test said in each of the last runs that asked any: of those that did not always pass, and of all."""
    results = measures.rows(f"""
        select results.test_name, results.started_at, results.status, results.failure_count
        from {{runs}}.ops_test_results as results
        inner join (
            select distinct started_at from {{runs}}.ops_test_results order by started_at desc limit {LAST_RUNS}
        ) as newest on results.started_at = newest.started_at""")
    runs = sorted({started for _, started, _, _ in results}, reverse=True)
    said: dict[str, dict[object, str]] = {}
    for name, started, status, count in results:
        word = "passed" if status == "pass" else status if count is None else f"{status}: {shown(count)} rows"
        said.setdefault(name, {})[started] = word
    rows = [[name, *(said[name].get(started, "not asked") for started in runs)] for name in sorted(said)]
    columns = ["test", *map(shown, runs)]
    failed = [row for row in rows if not {"passed", "not asked"}.issuperset(row[1:])]
    return [
        (f"Tests that did not pass in one of the last {LAST_RUNS} runs", columns, failed),
        (f"Each test in the last {LAST_RUNS} runs", columns, rows),
    ]
