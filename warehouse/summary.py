"""What a person reads when a build is done."""

from __future__ import annotations

from collections.abc import Callable

from ingestion.destination import Target
from ingestion.extracts import Loaded
from warehouse.database import open_database
from warehouse.dbt import Outcome


def print_summary(
    target: Target,
    say: Callable[[str], None],
    models: dict[str, tuple[str, str]],
    outcome: Outcome,
    loaded: list[Loaded],
    notes: list[str],
    number: int,
    seconds: float,
) -> None:
    """Say what is published, what was tested and loaded, where it lies, and what to try next."""
    say("")
    if number:
        say(f"{'table':<44}{'rows':>12}  grain")
        with open_database(target) as database:
            for name, (schema, description) in sorted(models.items(), key=lambda each: (each[1][0], each[0])):
                rows = database.run(f"select count(*) from {database.published(schema, name)}")[0][0]
                say(f"{schema + '.' + name:<44}{rows:>12,}  {description}")
        say("")
    for warning in outcome.warnings:
        say(f"warning: {warning}")
    for note in notes:
        say(f"note: {note}")
    say(
        f"tests: {outcome.passed} passed, {outcome.warned} warned, {outcome.failed} failed; "
        f"{outcome.built} relations built"
    )
    read = sum(each.source_count for each in loaded)
    say(
        f"records: {read:,} read = {sum(e.loaded for e in loaded):,} loaded + {sum(e.known for e in loaded):,} known "
        f"+ {sum(e.rejected for e in loaded):,} rejected"
    )
    where = str(target.published_file) if target.engine == "duckdb" else f"Postgres, schemas {_schemas(target, models)}"
    if number:
        say(f"generation {number} is published after {seconds:.0f} s: {where}")
        say("next: " + _next_command(target))
    else:
        say(f"done in {seconds:.0f} s; readers still see the generation from before")


def _schemas(target: Target, models: dict[str, tuple[str, str]]) -> str:
    return ", ".join(sorted({target.schema(schema) for schema, _ in models.values()}))


def _next_command(target: Target) -> str:
    if target.engine == "duckdb":
        return 'make query Q="select * from commerce.agg_sales__daily order by business_date desc limit 7"'
    return f"psql -c 'select * from {target.schema('commerce')}.agg_sales__daily order by business_date desc limit 7'"
