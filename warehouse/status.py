"""What is there: the last runs, the published generation, the loads, the open rejects."""

from __future__ import annotations

from collections.abc import Callable

from ingestion.destination import Target
from warehouse.database import Database, open_database
from warehouse.errors import BuildError
from warehouse.query import print_table


def print_status(target: Target, say: Callable[[str], None]) -> None:
    """Print the last runs, what is published, the last loads, and open rejects by reason.

    Raises:
        BuildError: nothing is published yet.
    """
    with open_database(target) as database:
        _print_runs(database, say)
        generation = database.published("ops", "generation")
        if not database.exists(generation):
            raise BuildError("nothing is published yet: run `make build` first")
        number, published_at = database.run(f"select generation_number, published_at from {generation}")[0]
        say(f"generation {number}, published {published_at:%Y-%m-%d %H:%M} UTC")
        say("")
        say("the last load of each resource")
        rows = database.run(f"""
            select source_id, resource_name, observed_at, source_count, loaded_count, known_count, rejected_count
            from (
                select
                    *,
                    row_number() over (
                        partition by source_id, resource_name order by observed_at desc, load_id desc
                    ) as recency
                from {database.published("ops", "ops_loads")}
            ) as loads
            where recency = 1
            order by source_id, resource_name""")
        print_table(["source", "resource", "observed", "counted", "loaded", "known", "rejected"], rows, say)
        say("")
        rows = database.run(f"""
            select source_id, resource_name, reasons, count(*), min(observed_at)
            from {database.published("ops", "ops_rejects")}
            where not is_resolved
            group by source_id, resource_name, reasons
            order by 4 desc, 1, 2, 3""")
        say("open rejects" if rows else "no open rejects")
        if rows:
            print_table(["source", "resource", "reasons", "records", "since"], rows, say)


def _print_runs(database: Database, say: Callable[[str], None]) -> None:
    """Print the last runs, and the tests that failed in the last one."""
    runs, tests = (f"{database.target.schema('runs')}.{name}" for name in ("ops_runs", "ops_test_results"))
    if not database.exists(runs):
        return
    say("the last runs")
    rows = database.run(f"""
        select date_trunc('second', started_at), command_name, outcome, generation_number, total_seconds,
            failure_message
        from {runs} order by started_at desc limit 5""")
    print_table(["started (UTC)", "command", "outcome", "generation", "seconds", "what failed"], rows, say)
    say("")
    rows = database.run(f"""
        select test_name, status, failure_count, quality_dimension, source_ids
        from {tests}
        where
            run_id = (select run_id from {runs} where outcome <> 'measured' order by started_at desc limit 1)
            and status not in ('pass', 'skipped')
        order by status, test_name""")
    if rows:
        say("tests that found something in the last one")
        print_table(["test", "status", "rows", "dimension", "sources"], rows, say)
        say("")
