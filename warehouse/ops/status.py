"""What is there: the last runs, the published generation, the loads, the open rejects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import duckdb
import psycopg2

from ingestion.destination.lock import lock_holder
from ingestion.destination.target import Target
from warehouse.errors import BuildError
from warehouse.ops.disks import print_protection
from warehouse.reading.query import ask, open_published, print_table


def print_status(target: Target, say: Callable[[str], None]) -> None:
    """Print who builds, the last runs, what is published, the last loads, open rejects by reason, what is encrypted.

    It reads what readers see, so that it answers while a build is at work, too.

    Raises:
        BuildError: nothing is published yet.
        LockError: the warehouse can't be asked.
    """
    if who := lock_holder(target):
        say(f"a build is at work: {who}")
        say("")
    with open_published(target) as connection:
        _print_runs(connection, target, say)
        ops = target.schema("ops")
        generation = _rows(connection, f"select generation_number, published_at from {ops}.generation")
        if not generation:
            raise BuildError("nothing is published yet: run `make build` first")
        number, published_at = generation[0]
        say(f"generation {number}, published {published_at:%Y-%m-%d %H:%M} UTC")
        say("")
        say("the last load of each resource")
        _, rows = ask(connection, f"""
            select source_id, resource_name, observed_at, source_count, loaded_count, known_count, rejected_count
            from (
                select
                    *,
                    row_number() over (
                        partition by source_id, resource_name order by observed_at desc, load_id desc
                    ) as recency
                from {ops}.ops_loads
            ) as loads
            where recency = 1
            order by source_id, resource_name""")  # fmt: skip
        print_table(["source", "resource", "observed", "counted", "loaded", "known", "rejected"], rows, say)
        say("")
        _, rows = ask(connection, f"""
            select source_id, resource_name, reasons, count(*), min(observed_at)
            from {ops}.ops_rejects
            where not is_resolved
            group by source_id, resource_name, reasons
            order by 4 desc, 1, 2, 3""")  # fmt: skip
        say("open rejects" if rows else "no open rejects")
        if rows:
            print_table(["source", "resource", "reasons", "records", "since"], rows, say)
    say("")
    print_protection(target, say)


def _print_runs(connection: Any, target: Target, say: Callable[[str], None]) -> None:
    """Print the last runs, and the tests that failed in the last one."""
    runs, tests = (f"{target.schema('runs')}.{name}" for name in ("ops_runs", "ops_test_results"))
    rows = _rows(connection, f"""
        select date_trunc('second', started_at), command_name, outcome, generation_number, total_seconds,
            failure_message
        from {runs} order by started_at desc limit 5""")  # fmt: skip
    if rows is None:
        return
    say("the last runs")
    print_table(["started (UTC)", "command", "outcome", "generation", "seconds", "what failed"], rows, say)
    say("")
    _, rows = ask(connection, f"""
        select test_name, status, failure_count, quality_dimension, source_ids
        from {tests}
        where
            run_id = (select run_id from {runs} where outcome <> 'measured' order by started_at desc limit 1)
            and status not in ('pass', 'skipped')
        order by status, test_name""")  # fmt: skip
    if rows:
        say("tests that found something in the last one")
        print_table(["test", "status", "rows", "dimension", "sources"], rows, say)
        say("")


def _rows(connection: Any, sql: str) -> list[tuple[Any, ...]] | None:
    """What a question gives; None where the table is not there yet."""
    with suppress(duckdb.CatalogException, psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
        return ask(connection, sql)[1]
    return None
