"""What Grafana's dashboards show: the list that `dashboards.py` writes their files from.

A panel asks what the rules record, where they do. No domain is named: what there is comes as labels.
"""

from __future__ import annotations

from dataclasses import dataclass

BOOLEAN = "bool_yes_no"  # as Grafana calls what shows 1 as yes


@dataclass(frozen=True)
class Panel:
    """A picture of one question, or of several.

    kind: stat (a number), series (lines over time), bars (a bar for each), table (a row for each).
    queries: PromQL, and how each of its series is called.
    unit: Grafana's name of it.
    width: of 24 columns.
    repeat: a variable of the dashboard, for each value of which there is such a panel.
    """

    kind: str
    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    width: int = 12
    description: str = ""
    repeat: str = ""


def _number(title: str, expr: str, unit: str = "short", description: str = "") -> Panel:
    return Panel("stat", title, ((expr, ""),), unit, 4, description)


def _series(title: str, expr: str, called: str, unit: str = "short", description: str = "") -> Panel:
    return Panel("series", title, ((expr, called),), unit, 12, description)


def _bars(title: str, expr: str, called: str, unit: str = "short") -> Panel:
    return Panel("bars", title, ((expr, called),), unit)


def _table(title: str, expr: str, description: str = "") -> Panel:
    return Panel("table", title, ((expr, ""),), width=24, description=description)


_IN_A_SECOND = "Seconds in a second: 1 is one statement at a time, without a pause."
_TABLE = "{{source}}.{{resource}}"
_RELATION = "{{schema}}.{{relation}}"

PIPELINE = (
    _number("The warehouse answers", "granary_up", BOOLEAN),
    _number("Problems", "granary_alerts", description="What `make alerts` says."),
    _number("Published generation", "granary_generation_number"),
    _number("Published ago", "time() - granary_generation_published_timestamp_seconds", "s"),
    _number("The last runs did what they were asked for", "min(granary_last_run_success)", BOOLEAN),
    _number("A build is at work", "granary_build_running", BOOLEAN),
    _table("What is wrong", "granary_alert"),
    _series("How long the last run took", "granary_last_run_seconds", "{{command}}", "s"),
    _series("How long its steps took", "granary_last_step_seconds", "{{step}}", "s"),
    _series("Runs in a day", "sum by (outcome) (increase(granary_runs_total[1d]))", "{{outcome}}"),
    _series("Records loaded in a day", "sum by (source) (increase(granary_records_loaded_total[1d]))", "{{source}}"),
    _series("Looks at sources in a day", "sum by (source) (increase(granary_loads_total[1d]))", "{{source}}"),
    _bars(
        "How long ago sources brought something, of what their contracts allow",
        "(time() - granary_source_news_timestamp_seconds)"
        " / on (instance, source) group_left granary_source_late_after_seconds",
        "{{source}}", "percentunit",
    ),
    _bars("How old the newest record of each table is", "granary:newest_record_age:seconds", _TABLE, "s"),
    _bars(
        "The slowest relations of the last runs", "topk(15, granary_relation_build_seconds)", "{{relation}}", "s"
    ),
)  # fmt: skip

QUALITY = (
    _number(
        "Tests that pass", 'sum(granary_tests{status="pass"}) / sum(granary_tests{status!="skipped"})', "percentunit"
    ),
    _number("Tests that don't", 'sum(granary_tests{status!~"pass|skipped"}) or vector(0)'),
    _number("Tests take", "sum(granary_tests_seconds)", "s"),
    _number("Open rejects", "sum(granary_rejects_open) or vector(0)"),
    _number("Mended rejects", "sum(granary_rejects_resolved) or vector(0)"),
    _number("Records rejected in a day", "max(granary:records_rejected:share1d)", "percentunit"),
    _series("Tests that pass, by what they measure", "granary:tests_passed:share", "{{dimension}}", "percentunit"),
    _series("Tests by what came of them", "sum by (status) (granary_tests)", "{{status}}"),
    _series("Records rejected in a day, by source", "granary:records_rejected:share1d", "{{source}}", "percentunit"),
    _series("Open rejects by source", "sum by (source) (granary_rejects_open)", "{{source}}"),
    _bars("Open rejects by table", "granary_rejects_open", _TABLE),
    _bars(
        "Share of the last load that was rejected",
        "granary_last_load_rejected_records / clamp_min(granary_last_load_records, 1)", _TABLE, "percentunit",
    ),
    _series("How long tests take", "sum by (dimension) (granary_tests_seconds)", "{{dimension}}", "s"),
    _table("Checks, rejects and unusual loads", 'granary_alert{key=~"(check|rejects|unusual) .*"}'),
)  # fmt: skip

DATABASE = (
    _number("Postgres answers", "min(pg_up)", BOOLEAN),
    _number("Connections taken", "max(pg:connections:share)", "percentunit"),
    _number("Read from the cache", "min(pg:cache_hits:share5m)", "percentunit"),
    _number("Sessions that wait for a lock", "sum(pg_lock_waiting_sessions)"),
    _number("Transactions until a vacuum by force", "min(pg_transactions_freeze_max_age - pg_transactions_oldest_age)"),
    _number("Segments that wait for the archive", "max(pg_wal_files_waiting_for_archive)"),
    _table("Who waits for whom", "pg_lock_waits_seconds", "In seconds. docs/runbooks/lock-waits.md has what to do."),
    _series("Statements by role", "sum by (role) (pg:statement_seconds:rate5m)", "{{role}}", "s", _IN_A_SECOND),
    _series(
        "Statements that take longest", "topk(10, pg:statement_seconds:rate5m)", "{{role}}: {{statement}}", "s",
        _IN_A_SECOND,
    ),
    _table("Statements that took longest in all", "topk(20, pg_statements_seconds_total)", "In seconds."),
    _series("Connections by state", "sum by (state) (pg_stat_activity_count)", "{{state}}"),
    _series("Longest open transaction", "max by (state) (pg_stat_activity_max_tx_duration)", "{{state}}", "s"),
    Panel("series", "Transactions a second", (
        ("sum(rate(pg_stat_database_xact_commit[5m]))", "committed"),
        ("sum(rate(pg_stat_database_xact_rollback[5m]))", "rolled back"),
    )),
    Panel("series", "Blocks read a second", (
        ("sum(rate(pg_stat_database_blks_hit[5m]))", "from the cache"),
        ("sum(rate(pg_stat_database_blks_read[5m]))", "past it"),
    )),
    _bars("Dead rows, of all rows", "topk(15, pg:dead_rows:share)", _RELATION, "percentunit"),
    _bars("What dead rows take", "topk(15, pg_tables_dead_bytes)", _RELATION, "bytes"),
    _bars(
        "Time since the last vacuum", "topk(15, time() - (pg_tables_last_vacuum_timestamp_seconds > 0))", _RELATION, "s"
    ),
    _bars("The largest tables of all schemas", "topk(15, pg_tables_bytes)", _RELATION, "bytes"),
    _series("How far replicas are behind", "pg_replica_lag_seconds", "{{replica}}", "s"),
    _series("Log that is kept for a slot", "pg_replication_slots_pg_wal_lsn_diff", "{{slot_name}}", "bytes"),
    _series("Segments archived in an hour", "increase(pg_stat_archiver_archived_count[1h])", "{{instance}}"),
    _series("The server's log on disk", "pg_wal_files_bytes", "{{instance}}", "bytes"),
)  # fmt: skip

STORAGE = (
    _number("Warehouse on disk", "granary:storage:bytes", "bytes"),
    _number("Growth in a day", "granary:storage_growth:bytes_per_day", "bytes"),
    _number("Published tables", "sum(granary_relation_bytes)", "bytes"),
    _number("Published rows", "sum(granary_relation_rows)"),
    _number(
        "Days until a disk is full", "min(granary:disk_full:days)",
        description="At the rate of the last day; ten years stand for a disk that doesn't fill.",
    ),
    _number("Least space left", "min(node_filesystem_avail_bytes / node_filesystem_size_bytes)", "percentunit"),
    _series("On disk", "granary_file_bytes or pg_database_size_bytes", "{{file}}{{datname}}", "bytes"),
    _series("Growth in a day, over time", "granary:storage_growth:bytes_per_day", "bytes a day", "bytes"),
    _bars("The largest published tables", "topk(15, granary_relation_bytes)", _RELATION, "bytes"),
    _bars("Those with most rows", "topk(15, granary_relation_rows)", "{{relation}}"),
    _series("Space left", "node_filesystem_avail_bytes", "{{instance}} {{mountpoint}}", "bytes"),
    _series("Days until the disk is full", "granary:disk_full:days", "{{instance}} {{mountpoint}}", "d"),
)  # fmt: skip

BUSINESS = (
    _number(
        "The day", "max(granary_metric_day_timestamp_seconds) * 1000", "dateTimeAsIso",
        "The last business day that was over when the sources were looked at.",
    ),
    _number("Metrics answer", "min(granary_metrics_answered)", BOOLEAN),
    _number("Metrics", "count(granary_metric_value)"),
    Panel(
        "stat", "$metric", (('granary_metric_value{metric="$metric"}', "{{unit}}"),), width=24, repeat="metric",
        description="On the last day that is over, and on those before.",
    ),
    _table("All of them", "granary_metric_value"),
)  # fmt: skip

DASHBOARDS = {"Pipeline": PIPELINE, "Quality": QUALITY, "Database": DATABASE, "Storage": STORAGE, "Business": BUSINESS}
# A variable of a dashboard, and where its values come from.
VARIABLES = {"Business": {"metric": "label_values(granary_metric_value, metric)"}}
