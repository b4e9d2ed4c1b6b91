"""What a person reads when a build is done."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from ingestion.destination.target import Target
from ingestion.domains import domains
from warehouse.database import Database
from warehouse.results import Outcome
from warehouse.runs.runs import Run


def count_rows(database: Database, models: dict[str, tuple[str, str]]) -> dict[str, int]:
    """The rows of every published table, by its name."""
    return {
        name: int(database.run(f"select count(*) from {database.published(schema, name)}")[0][0])
        for name, (schema, _) in models.items()
    }


def print_summary(
    database: Database,
    say: Callable[[str], None],
    models: dict[str, tuple[str, str]],
    outcome: Outcome,
    run: Run,
    notes: list[str],
    seconds: float,
) -> None:
    """Say what is published, what was tested and loaded, where it lies, and what to try next."""
    target = database.target
    say("")
    number = run.generation_number
    if number:
        say(f"{'table':<44}{'rows':>12}  grain")
        for name, (schema, description) in sorted(models.items(), key=lambda each: (each[1][0], each[0])):
            say(f"{schema + '.' + name:<44}{run.row_counts[name]:>12,}  {description}")
        say("")
    for warning in outcome.warnings:
        say(f"warning: {warning}")
    for line in unusual(database):
        say(line)
    for note in notes:
        say(f"note: {note}")
    unasked = f", {outcome.unasked} not asked: nothing that they read has changed" if outcome.unasked else ""
    say(
        f"tests: {outcome.passed} passed, {outcome.warned} warned, {outcome.failed} failed{unasked}; "
        f"{outcome.built} relations built"
    )
    record = run.record()["run"]
    say(
        f"records: {record['source_count']:,} read = {record['loaded_count']:,} loaded + "
        f"{record['known_count']:,} known + {record['rejected_count']:,} rejected"
    )
    if number:
        say(f"generation {number} is published after {seconds:.0f} s: {_where(target, models)}")
        say("next: " + _next_command(target))
    else:
        say(f"done in {seconds:.0f} s; readers still see the generation from before")


def unusual(database: Database) -> list[str]:
    """What is unusual of the last loads, a line each: what was seen, and what was expected."""
    table = f"{database.target.schema('runs')}.ops_anomalies"
    if not database.exists(table):
        return []
    rows = database.run(f"""
        select
            check_name, source_id, resource_name, column_name, observed_date, observed_value,
            lowest_expected_value, highest_expected_value, earlier_day_count
        from {table}
        where is_anomalous and is_latest
        order by observed_date desc, check_name, source_id, resource_name, column_name""")
    return [
        f"unusual: {check} of {source}.{resource}{f'.{column}' if column else ''} on {day}: saw {_number(seen)}, "
        f"expected {_number(least)} to {_number(most)} by {days} days before"
        for check, source, resource, column, day, seen, least, most, days in rows
    ]


def _number(value: Decimal) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _where(target: Target, models: dict[str, tuple[str, str]]) -> str:
    if target.lake:
        return target.lake.readers_line()
    return str(target.published_file) if target.in_files else f"Postgres, schemas {_schemas(target, models)}"


def _schemas(target: Target, models: dict[str, tuple[str, str]]) -> str:
    return ", ".join(sorted({target.schema(schema) for schema, _ in models.values()}))


def _next_command(target: Target) -> str:
    """A question to begin with: the first domain's that has one."""
    on = domains(target.project)
    question = next((domain.example for domain in on if domain.example), "select * from core.dim_sources")
    if target.engine == "duckdb":
        return f'make query Q="{question}"'
    for schema in ("core", *(domain.name for domain in on)):
        question = question.replace(f"{schema}.", f"{target.schema(schema)}.")
    return f"psql -c '{question}'"
