"""What runs when: every morning, every few minutes if switched on, when a file comes; and who is told."""

# Dagster reads the annotations of its functions, so they are no texts here.
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from ingestion.contract.reading import source_names
from ingestion.destination.target import current_target
from ingestion.project import PROJECT_ROOT, current_project, parsed_yaml
from ingestion.readers.settings import setting
from orchestration.alerts.conditions import Alert, what_is_wrong
from orchestration.alerts.delivery import tell
from warehouse.errors import BuildError

# Everything in one process: the steps wait for each other anyway, and a process for each costs more than it does.
IN_PROCESS = dg.in_process_executor
BUSY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
ZONE = parsed_yaml((current_project() / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]["business_timezone"]

_backfills = dg.AssetSelection.groups("backfill")
_reports = dg.AssetSelection.groups("reports")
daily = dg.define_asset_job("daily", dg.AssetSelection.all() - _backfills, executor_def=IN_PROCESS)
micro_batch = dg.define_asset_job(
    "micro_batch", dg.AssetSelection.all() - _backfills - _reports, executor_def=IN_PROCESS
)
backfill = dg.define_asset_job("backfill", _backfills, executor_def=IN_PROCESS)

every_morning = dg.ScheduleDefinition(
    name="every_morning", job=daily, cron_schedule=os.environ.get("CLOCK__DAILY", "0 5 * * *"), execution_timezone=ZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sources, warehouse and site, at five in the business time zone (CLOCK__DAILY, a cron line).",
)  # fmt: skip


@dg.schedule(
    job=micro_batch, cron_schedule=os.environ.get("CLOCK__MICRO_BATCH", "*/15 * * * *"), execution_timezone=ZONE,
    description="Sources and warehouse, where nothing runs (CLOCK__MICRO_BATCH). Switch it on where it is wanted.",
)  # fmt: skip
def every_few_minutes(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """A micro-batch, unless something runs already."""
    busy = context.instance.get_runs(filters=dg.RunsFilter(statuses=BUSY), limit=1)
    return dg.SkipReason(f"run {busy[0].run_id} is not over") if busy else dg.RunRequest()


@dg.sensor(job=micro_batch, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def new_files(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """A run when a source's folder has a file that it hadn't, or one of another time or size."""
    urls = {
        source: str(setting(source, "bucket_url", "")).removeprefix("file://")
        for source in source_names(current_project())
    }
    folders = {source: Path(url) for source, url in urls.items() if url and "://" not in url}
    if not folders:
        return dg.SkipReason("no source reads a folder of this machine: the bucket_url of none names one")
    seen = json.loads(context.cursor or "{}")
    there = {
        f"{source}/{path.name}": [path.stat().st_mtime_ns, path.stat().st_size]
        for source, folder in folders.items()
        for path in sorted(folder.glob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    new = [name for name, state in there.items() if seen.get(name) != state]
    if not new:
        return dg.SkipReason(f"no new file among {len(there)} in {', '.join(map(str, folders.values()))}")
    context.update_cursor(json.dumps(there))
    return dg.RunRequest(run_key=f"{new[-1]} {there[new[-1]][0]}", tags={"files": f"{len(new)}: {', '.join(new[:3])}"})


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tell what is wrong by webhook and mail: runs, sources, checks, rejects, slots."""
    now = datetime.now(UTC).replace(tzinfo=None)
    try:
        found = what_is_wrong(current_target(), now)
    except BuildError as error:
        return dg.SkipReason(str(error))
    begun, over = tell(current_target(), [*found, *_broken_runs(context)], context.log.info)
    return dg.SkipReason(f"{len(found)} problems, {begun} new, {over} over")


def _broken_runs(context: dg.SensorEvaluationContext) -> Iterator[Alert]:
    """The last run of a job failed, perhaps before a build began that could have kept a record of it."""
    for job in (daily, micro_batch):
        runs = context.instance.get_run_records(dg.RunsFilter(job_name=job.name), limit=1)
        if runs and runs[0].dagster_run.status == dg.DagsterRunStatus.FAILURE:
            since = runs[0].create_timestamp.astimezone(UTC).replace(tzinfo=None)
            run = runs[0].dagster_run.run_id
            yield Alert(
                f"job {job.name}", f"run {run} of the job {job.name} failed", since, "data platform", "failed-run.md"
            )


@dg.asset(
    group_name="reports",
    deps=[dg.AssetKey(["core", "dim_time_spine"]), dg.AssetKey(["ops", "ops_loads"])],
    kinds={"html"},
)
def site(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """The site, as `make site` writes it."""
    from reports.site.build import build_site

    pages = build_site(current_target(), PROJECT_ROOT / "site", context.log.info)
    return dg.MaterializeResult(metadata={"pages": pages})
