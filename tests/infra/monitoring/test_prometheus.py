"""A real Prometheus reads real exporters of a real warehouse: a provoked lock wait fires, dashboards are answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from infra.monitoring.panels import DASHBOARDS
from tests.infra.monitoring.conftest import Watched
from tests.infra.monitoring.systems import (
    Prometheus,
    fetched,
    granary_endpoint,
    node_exporter,
    postgres_exporter,
    prometheus,
    until,
)
from tests.tiny.test_rights import ask
from tests.warehouses import connected

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.usefixtures("programs")]

# What only a cluster has; tests/commerce/infra/test_cluster.py asks it there.
OF_A_CLUSTER = ["How far replicas are behind: pg_replica_lag_seconds"]
# What the semantic layer says; the tiny project has none. tests/commerce/infra/test_monitoring.py asks it there.
OF_METRICS = "Business"


def sooner(rules: str) -> str:
    """The rules with a lock wait that counts after two seconds."""
    long = "(pg_lock_waits_seconds) > 60"
    assert rules.count(long) == 1
    return rules.replace(long, "(pg_lock_waits_seconds) > 2")


@pytest.fixture(scope="module")
def seen(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus over the club's warehouse, its server, and this machine."""
    folder = tmp_path_factory.mktemp("seen")
    with ExitStack() as systems:
        targets = {
            "granary": systems.enter_context(granary_endpoint(watched.login("operator"), folder / "granary.log")),
            "postgres": systems.enter_context(postgres_exporter(watched.login("monitor"), folder / "postgres.log")),
            "node": systems.enter_context(node_exporter(folder / "node.log", folder)),
        }
        found = systems.enter_context(prometheus(folder / "prometheus", targets, sooner))
        # Before somebody locks a table: its size is not asked for then.
        until(lambda: found.ask("granary_relation_bytes"), (folder / "granary.log").read_text)
        yield found


@contextmanager
def lock_wait(watched: Watched) -> Iterator[None]:
    """Somebody reads a mart in a transaction that they leave open; a build's statement waits for it."""
    with closing(connected(watched.login("reporter"))) as holding, closing(connected(watched.admin)) as waiting:
        ask(holding, "begin")
        ask(holding, "select count(*) from tiny.fct_visits")

        def wait() -> None:
            with suppress(psycopg2.errors.QueryCanceled):
                ask(waiting, "set role granary_transformer; lock table tiny.fct_visits in access exclusive mode")

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield
        finally:
            waiting.cancel()
            thread.join()


def test_a_provoked_lock_wait_fires_and_says_who_holds_it(watched: Watched, seen: Prometheus) -> None:
    assert seen.firing("PostgresLockWait") == []
    with lock_wait(watched):
        (alert,) = until(lambda: seen.firing("PostgresLockWait"), lambda: str(seen.ask("pg_lock_waits_seconds")))
        assert alert["labels"]["relation"] == "tiny.fct_visits"
        assert (alert["labels"]["waiting_role"], alert["labels"]["holding_role"]) == ("superuser", "reporter")
        assert alert["labels"]["holding_state"] == "idle in transaction"
        assert alert["annotations"]["runbook"] == "docs/runbooks/lock-waits.md"
        assert "which a reporter holds (idle in transaction)" in alert["annotations"]["summary"]
        # Who watches doesn't queue with those who wait, and sees the rest.
        assert seen.ask("pg_up")[0]["value"][1] == "1"
        assert seen.ask('pg_tables_bytes{relation="dim_members"}') and not seen.ask(
            'pg_lock_waits_seconds{waiting_role="monitor"}'
        )
    until(lambda: not seen.firing("PostgresLockWait"), lambda: "the alert goes on")


def test_every_question_of_every_dashboard_is_answered(watched: Watched, seen: Prometheus) -> None:
    panels = tuple(panel for name, panels in DASHBOARDS.items() if name != OF_METRICS for panel in panels)
    with lock_wait(watched):
        until(lambda: seen.empty(panels) == OF_A_CLUSTER, lambda: str(seen.empty(panels)), 45)


def test_what_conditions_find_is_passed_on(seen: Prometheus) -> None:
    until(lambda: len(seen.firing("GranaryProblem")) >= 3, lambda: str(seen.ask("granary_alert")))
    found = {each["labels"]["key"]: each for each in seen.firing("GranaryProblem")}
    assert {"late source club", "rejects of club.visits", "replica m_slot"} <= set(found)
    late = found["late source club"]
    assert late["annotations"]["runbook"] == "docs/runbooks/late-source.md"
    assert late["labels"]["owner"] == "the club"


def test_statements_are_shown_without_values(watched: Watched, seen: Prometheus) -> None:
    with closing(connected(watched.login("reporter"))) as reader:
        # Long enough to be one of those that took longest.
        ask(
            reader,
            "select count(*) from tiny.dim_members /* Anna */ cross join generate_series(1, 200000) as n (n) "
            "where tier = 'platinum' or n % 4711 = 4711 -- Bert",
        )

    def shown() -> list[str]:
        found = seen.ask('pg_statements_calls_total{role="reporter"}')
        return [each["metric"]["statement"] for each in found if "generate_series" in each["metric"]["statement"]]

    (statement,) = until(shown, lambda: str(seen.ask("pg_statements_calls_total")), 40)
    assert statement == (
        "select count(*) from tiny.dim_members cross join generate_series($1, $2) as n (n) "
        "where tier = $3 or n % $4 = $5"
    )
    everything = " ".join(each["metric"]["statement"] for each in seen.ask("pg_statements_calls_total"))
    for value in ("platinum", "4711", "Anna", "Bert", "password"):
        assert value not in everything
    # Nor is a login named, which may be a person's: what it is in Granary is.
    roles = {each["metric"]["role"] for each in seen.ask("pg_statements_calls_total")}
    assert {"reporter", "monitor", "monitor+reporter"} <= roles
    assert roles <= {"reporter", "monitor", "monitor+reporter", "transformer", "loader", "superuser"}
    assert len(seen.ask("pg_statements_calls_total")) <= 20


def test_a_monitor_needs_no_table_and_a_reporter_sees_no_statement(watched: Watched, tmp_path: Path) -> None:
    with postgres_exporter(watched.login("monitor"), tmp_path / "monitor.log") as address:
        metrics = fetched(f"http://{address}/metrics")
    assert "\npg_exporter_last_scrape_error 0\n" in metrics and "\npg_up 1\n" in metrics
    with closing(connected(watched.login("monitor"))) as monitor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(monitor, "select * from tiny.dim_members")
    with postgres_exporter(watched.login("reporter"), tmp_path / "reporter.log") as address:
        assert "pg_statements_calls_total" not in fetched(f"http://{address}/metrics")
