"""What is wrong with a warehouse, read from its runs and loads, its server, and the logs of what it follows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ingestion.contract.contracts import Source
from ingestion.contract.reading import read_contracts
from ingestion.destination.target import Target
from ingestion.domains import domains
from ingestion.load.run import kept_logs
from warehouse.reading.query import ask, open_published

Rows = Callable[[str], list[tuple[Any, ...]]]
Contracts = dict[str, Source]  # by the name of the source

PLATFORM = "data platform"
# Of what a load read, the share that may be rejected; a few records are no share of anything.
REJECT_SHARE, REJECT_LEAST = 0.05, 20
# How much of its log a Postgres may keep for a replication slot that doesn't move.
SLOT_BYTES = 1_000_000_000
# What became of a report that was not sent.
UNDELIVERED = {
    "failed": "not sent yet, tried again",
    "refused": "refused, not tried again",
    "unknown": "sent or not, nobody knows; not tried again",
    "bounced": "it came back",
}
# How far a replica may be behind.
REPLICA_SECONDS = 60


@dataclass(frozen=True)
class Alert:
    """Something that is wrong. `key` names it for as long as it lasts; times are UTC."""

    key: str
    what: str
    since: datetime
    owner: str
    runbook: str


def what_is_wrong(target: Target, now: datetime) -> list[Alert]:
    """All that is wrong at a moment, in the order of their keys.

    Raises:
        BuildError: the warehouse can't be opened, or nothing was ever run in it.
    """
    with open_published(target) as connection:
        rows = rows_of(target, connection)
        contracts = contracts_of(target)
        found = [*failed_run(rows), *late_sources(rows, contracts, now), *_failed_checks(rows, contracts)]
        found += _undelivered(rows)
        found += [*_rejects(rows, contracts), *_unusual(rows, contracts), *source_logs(target, contracts, now)]
        if target.engine == "postgres":
            found += [*_slots(rows, now), *_replicas(rows, now), *_archive(rows)]
    return sorted(found, key=lambda alert: alert.key)


def rows_of(target: Target, connection: Any) -> Rows:
    """What asks an open warehouse statements in which `{runs}` stands for that schema."""
    return lambda sql: ask(connection, sql.format(runs=target.schema("runs")))[1]


def contracts_of(target: Target) -> Contracts:
    """The contracts of the sources that are on; one that names no owner has that of the first domain that reads it."""
    owners = {source: each.owner for each in reversed(domains(target.project)) for source in each.sources}
    found = read_contracts(target.project)
    return {each.name: replace(each, owner=each.owner or owners[each.name]) for each in found}


def failed_run(rows: Rows) -> Iterator[Alert]:
    """The last run failed; since the first one that did after the last that didn't."""
    found = rows("""
        select started_at, command_name, outcome, failure_message from {runs}.ops_runs
        where outcome not in ('running', 'measured', 'delivered') order by started_at desc""")
    failed = []
    for row in found:
        if row[2] not in ("failed", "interrupted", "killed"):
            break
        failed.append(row)
    if failed:
        _, command, outcome, message = failed[0]
        times = "" if len(failed) == 1 else f", {len(failed)} times in a row"
        yield Alert(
            "failed run", f"{command} was {outcome}{times}: {message or 'its process ended without a word'}",
            failed[-1][0], PLATFORM, "failed-run.md",
        )  # fmt: skip


def late_sources(rows: Rows, contracts: Contracts, now: datetime) -> Iterator[Alert]:
    """A source has brought nothing for longer than its contract allows. One that never did is not configured."""
    newest: dict[str, datetime] = dict(rows("""
        select source_id, max(observed_at) from {runs}.ops_extracts
        where loaded_count > 0 group by source_id"""))  # fmt: skip
    for name, contract in contracts.items():
        if name not in newest or contract.late_after is None or now - newest[name] <= contract.late_after:
            continue
        yield Alert(
            f"late source {name}",
            f"{name} has brought nothing new since {newest[name]:%Y-%m-%d %H:%M}; its contract allows "
            f"{_duration(contract.late_after)}",
            newest[name] + contract.late_after, _owner(contracts, name), "late-source.md",
        )  # fmt: skip


def _failed_checks(rows: Rows, contracts: Contracts) -> Iterator[Alert]:
    """Tests that the last run which tested didn't pass; since the first run after the last that passed them."""
    found = rows("""
        select results.test_name, results.severity, results.failure_count, results.source_ids,
            (
                select min(earlier.started_at) from {runs}.ops_test_results as earlier
                where earlier.test_name = results.test_name and not earlier.is_passed
                    and earlier.started_at > coalesce((
                    select max(passed.started_at) from {runs}.ops_test_results as passed
                    where passed.test_name = results.test_name and passed.is_passed
                ), cast('1900-01-01' as timestamp))
            ) as since
        from {runs}.ops_test_results as results
        where
            results.status in ('fail', 'warn', 'error', 'runtime error')
            and results.started_at = (select max(newest.started_at) from {runs}.ops_test_results as newest)""")
    for name, severity, count, sources, since in found:
        ids = (sources or "").split(",")
        owner = _owner(contracts, ids[0]) if len(ids) == 1 else PLATFORM
        what = "fails and holds up the publish" if severity == "error" else "warns"
        yield Alert(f"check {name}", f"{name} {what}: {count or 0:,} rows", since, owner, "failed-check.md")


def _rejects(rows: Rows, contracts: Contracts) -> Iterator[Alert]:
    """More of a table's last load was rejected than may be."""
    found = rows(f"""
        select source_id, resource_name, observed_at, source_count, rejected_count
        from (
            select *, row_number() over (
                partition by source_id, resource_name order by observed_at desc, load_id desc) as recency
            from {{runs}}.ops_extracts where source_count > 0
        ) as extracts
        where recency = 1 and rejected_count >= {REJECT_LEAST} and rejected_count > {REJECT_SHARE} * source_count""")
    for source, resource, observed, read, rejected in found:
        yield Alert(
            f"rejects of {source}.{resource}",
            f"{rejected:,} of {read:,} records of {source}.{resource} were rejected, {rejected / read:.0%}; "
            f"{REJECT_SHARE:.0%} may be",
            observed, _owner(contracts, source), "rejects.md",
        )  # fmt: skip


def _unusual(rows: Rows, contracts: Contracts) -> Iterator[Alert]:
    found = rows("""
        select check_name, source_id, resource_name, column_name, observed_date, observed_value,
            lowest_expected_value, highest_expected_value
        from {runs}.ops_anomalies where is_anomalous and is_latest""")
    for check, source, resource, column, day, seen, least, most in found:
        of = f"{source}.{resource}{f'.{column}' if column else ''}"
        yield Alert(
            f"unusual {check} of {of}",
            f"{check} of {of} on {day}: saw {float(seen):,.6g}, expected {float(least):,.6g} to {float(most):,.6g}",
            datetime.combine(day, datetime.min.time()), _owner(contracts, source), "unusual.md",
        )  # fmt: skip


def _undelivered(rows: Rows) -> Iterator[Alert]:
    """A report that did not reach a recipient, until the next one does. Who that is, the subscription says."""
    # A warehouse that was built before there were reports has none until its next run.
    if not rows("select 1 from information_schema.tables where table_name = 'ops_deliveries'"):
        return
    found = rows("""
        select subscription_name, login_name, recipient_number, status, status_detail, recorded_at
        from (
            select *, row_number() over (
                partition by subscription_name, login_name, recipient_number order by recorded_at desc, delivery_id
            ) as recency
            from {runs}.ops_deliveries
        ) as deliveries
        where recency = 1 and status not in ('sent', 'withdrawn')""")
    for subscription, login, number, status, detail, at in found:
        yield Alert(
            f"report {subscription} to {login} {number}",
            f"the report {subscription} to recipient {number} of {login}: {UNDELIVERED[status]}: {detail}",
            at, PLATFORM, "undelivered-report.md",
        )  # fmt: skip


def _slots(rows: Rows, now: datetime) -> Iterator[Alert]:
    """Postgres: a replication slot that keeps more of the log than it should."""
    found = rows(f"""
        select slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) from pg_replication_slots
        where pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > {SLOT_BYTES}""")
    for name, kept in found:
        yield Alert(
            f"slot {name}", f"replication slot {name} keeps {float(kept) / 1e9:.1f} GB of the log", now, PLATFORM,
            "slot-lag.md",
        )  # fmt: skip


def source_logs(target: Target, contracts: Contracts, now: datetime) -> Iterator[Alert]:
    """A source's own server keeps more of its log for Granary than it should: nobody loads, or not fast enough."""
    for name, kept in kept_logs(target.project).items():
        if kept > SLOT_BYTES:
            yield Alert(
                f"log of {name}", f"the server of {name} keeps {kept / 1e9:.1f} GB of its log until it is loaded",
                now, _owner(contracts, name), "slot-lag.md",
            )  # fmt: skip


def _replicas(rows: Rows, now: datetime) -> Iterator[Alert]:
    """Postgres: a replica that doesn't follow, or is behind; how far is told to who may see the server's statistics."""
    for (name,) in rows("select slot_name from pg_replication_slots where slot_type = 'physical' and not active"):
        yield Alert(
            f"replica {name}", f"replica {name} doesn't follow; where commits wait for it, nothing is written",
            now, PLATFORM, "failover.md",
        )  # fmt: skip
    found = rows(f"""
        select application_name, extract(epoch from replay_lag) from pg_stat_replication
        where replay_lag > interval '{REPLICA_SECONDS} seconds'""")
    for name, seconds in found:
        yield Alert(
            f"replica {name} late", f"replica {name} is {float(seconds):,.0f} s behind", now, PLATFORM, "failover.md"
        )


def _archive(rows: Rows) -> Iterator[Alert]:
    """Postgres: the log isn't archived, so what is written now could not be restored."""
    found = rows("""
        select last_failed_wal, last_failed_time at time zone 'utc', last_archived_time at time zone 'utc'
        from pg_stat_archiver where last_failed_time > coalesce(last_archived_time, '-infinity')""")
    for segment, failed, archived in found:
        until = f"{archived:%Y-%m-%d %H:%M} UTC" if archived else "no time"
        what = f"the log can't be archived ({segment}): a restore would end at {until}, and the disk fills"
        yield Alert("archive", what, archived or failed, PLATFORM, "archive.md")


def _owner(contracts: Contracts, source: str) -> str:
    """Who looks after a source; the platform's people where nobody says, or the source is gone."""
    return (contracts[source].owner if source in contracts else "") or PLATFORM


def _duration(length: timedelta) -> str:
    hours = length / timedelta(hours=1)
    return f"{hours / 24:,.0f} days" if hours >= 48 else f"{hours:,.0f} hours"


def as_json(alert: Alert, state: str) -> str:
    """An alert as a webhook gets it."""
    return json.dumps({
        "state": state, "key": alert.key, "what": alert.what, "since": alert.since.isoformat(), "owner": alert.owner,
        "runbook": f"docs/runbooks/{alert.runbook}", "text": as_text(alert, state),
    })  # fmt: skip


def as_text(alert: Alert, state: str) -> str:
    """An alert as people read it."""
    lines = [
        f"{state}: {alert.key}", alert.what, f"since {alert.since:%Y-%m-%d %H:%M} UTC", f"owner: {alert.owner}",
        f"what to do: docs/runbooks/{alert.runbook}",
    ]  # fmt: skip
    return "\n".join(lines)
