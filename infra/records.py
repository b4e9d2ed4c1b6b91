"""What was done to the cluster, and what a drill measured, where it is looked for: the audit, and the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from infra.cluster import Cluster, run_sql
from ingestion.destination.lock import LockError, build_lock
from ingestion.destination.target import current_target
from ingestion.environment import variables
from warehouse.runs.runs import Run, recorded

Say = Callable[[str], None]
DATABASE = "granary"


def audited(cluster: Cluster, primary: str, event: str, details: Mapping[str, object]) -> None:
    """Enter an event in the audit, where the migrations are done; `details` hold nothing of a person."""
    if run_sql(cluster, primary, "select to_regclass('audit.events')", DATABASE):
        text = json.dumps(details).replace("'", "''")
        run_sql(
            cluster, primary, f"insert into audit.events (event_name, details) values ('{event}', '{text}')", DATABASE
        )


def noted(
    cluster: Cluster, primary: str, run: Run, seconds: Mapping[str, float], details: Mapping[str, object], say: Say
) -> None:
    """Enter what a drill measured in the audit and, where the warehouse was built, among the runs.

    Args:
        cluster: which one.
        primary: the node that takes writes now.
        run: the drill, which began when this was made.
        seconds: what took how long.
        details: what else there is to know.
        say: takes a line where it could not be entered.
    """
    rounded = {name: round(value, 1) for name, value in seconds.items()}
    audited(cluster, primary, run.command, {**details, "seconds": rounded})
    if not run_sql(cluster, primary, "select to_regclass('raw_runs.runs')", DATABASE):
        return
    run.seconds, run.outcome = dict(seconds), "measured"
    try:
        with variables(cluster.environment(primary) | {"TARGET": "prod"}):
            target = current_target()
            with build_lock(target), recorded(target, run, say):
                pass
    except LockError as error:
        say(f"note: what was measured is not among the runs: {error}")
