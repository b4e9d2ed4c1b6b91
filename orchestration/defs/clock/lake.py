"""A lake is compacted each night; elsewhere there is nothing to compact, and none of this."""

# Dagster reads the annotations of its functions, so they are no texts here.
import os

import dagster as dg

from ingestion.destination.target import current_target
from orchestration.defs.clock.clock import IN_PROCESS, ZONE
from warehouse.publish.compaction import compact

if os.environ.get("TARGET") == "lake":

    @dg.op
    def compact_lake(context: dg.OpExecutionContext) -> None:
        """What `make compact` does; it waits for no build, and is done the next night where one is at work."""
        compact(current_target(), context.log.info)

    @dg.job(executor_def=IN_PROCESS)
    def compaction() -> None:
        """Merge a lake's small files, apply deletes, let go of what nobody needs."""
        compact_lake()

    every_night = dg.ScheduleDefinition(
        name="every_night", job=compaction, cron_schedule=os.environ.get("CLOCK__COMPACTION", "0 3 * * *"),
        execution_timezone=ZONE, default_status=dg.DefaultScheduleStatus.RUNNING,
        description="A lake's compaction, at three in the business time zone (CLOCK__COMPACTION, a cron line).",
    )  # fmt: skip
