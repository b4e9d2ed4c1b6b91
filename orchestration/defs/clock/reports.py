"""Reports by mail: sent in a run of their own, whenever something may have become due."""

# Dagster reads the annotations of its functions, so they are no texts here.
from datetime import UTC, datetime

import dagster as dg

from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from orchestration.defs.clock.clock import IN_PROCESS
from orchestration.mail import mail_setting
from warehouse.errors import BuildError
from warehouse.reading.domains import leave_out_unused


@dg.op
def send_reports(context: dg.OpExecutionContext) -> None:
    """Send what is due, as `make report` does."""
    from reports.delivery.run import deliver
    from reports.delivery.subscriptions import enabled

    target = current_target()
    leave_out_unused(target)
    ended = deliver(target, enabled(target.project), datetime.now(UTC), context.log.info)
    if wrong := {status: number for status, number in ended.items() if status not in ("sent", "held back")}:
        # What may be tried again, the next run tries; the alerts tell of it.
        raise dg.Failure(f"not everything was sent: {wrong}; see runs.ops_deliveries", allow_retries=False)


@dg.job(executor_def=IN_PROCESS)
def reports() -> None:
    """Send the reports that are due."""
    send_reports()


@dg.sensor(job=reports, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def reports_due(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """A run when a generation was published, a day began, a cron line came round, or something is to be tried again."""
    from reports.delivery.run import occasion
    from reports.delivery.subscriptions import enabled

    if not mail_setting("reports", "smtp_url"):
        return dg.SkipReason("no mail server is set: REPORTS__SMTP_URL or ALERTS__SMTP_URL")
    try:
        target = current_target()
        found = enabled(target.project)
        if not found:
            return dg.SkipReason("there is no subscription that the clock sends")
        now = occasion(target, found, datetime.now(UTC))
    except (BuildError, ConfigurationError) as error:
        return dg.SkipReason(str(error))
    if now == context.cursor:
        return dg.SkipReason("nothing has happened that could make a report due")
    context.update_cursor(now)
    return dg.RunRequest()
