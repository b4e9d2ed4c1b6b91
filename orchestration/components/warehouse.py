"""The warehouse as assets: dagster-dbt reads models and tests off dbt's manifest, Granary's own build runs them.

dbt alone would build in readers' sight; the build keeps the ledger, tests out of sight and publishes whole generations.
"""

# Dagster reads the annotations of its functions, so they are no texts here.
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets

from ingestion.destination.target import current_target
from warehouse import dbt
from warehouse.build.build import Request, build
from warehouse.errors import BuildError
from warehouse.results import FAILED
from warehouse.runs.runs import Run

PASSED = ("pass", "success", "warn")


class Translator(DagsterDbtTranslator):
    """Groups by where a model lies; what is published must not be older than the policy allows."""

    def __init__(self, policy: dg.FreshnessPolicy):
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))
        self.policy = policy

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Dbt's own; a mart's schema is called as its folder, which dbt's configuration doesn't say."""
        _, *folders, name = dbt_resource_props["fqn"]
        if dbt_resource_props["resource_type"] == "model" and folders[:1] == ["marts"]:
            return dg.AssetKey([folders[1], name])
        return super().get_asset_key(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The layer, or of a mart its domain."""
        parts = list(dbt_resource_props["fqn"])[1:-1]
        return str(parts[-1] if parts[:1] == ["marts"] else (parts or ["other"])[0])

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Dbt's own, with the policy."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        meta = manifest["nodes"].get(unique_id, {}).get("config", {}).get("meta") or {}
        return spec.replace_attributes(freshness_policy=self.policy) if meta.get("published") else spec


class Warehouse(dg.Component, dg.Model, dg.Resolvable):
    """Everything that dbt knows, built and published as one, and a build of days gone by as partitions.

    first_day: the first business day that can be asked for again.
    stale_after_hours: how old the published generation may be.
    """

    first_day: str = "2024-01-01"
    stale_after_hours: int = 36

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets with their checks, and the backfill by days."""
        target = current_target()
        manifest = Path(dbt.target_path(target)) / "manifest.json"
        # Anew, with the edges that no SQL names.
        dbt.parse(target).writable_manifest().write(str(manifest))
        listed = json.loads(manifest.read_text(encoding="utf-8"))

        policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=self.stale_after_hours))

        @dbt_assets(
            manifest=listed, name="warehouse", project=DbtProject(target.project, target=target.name),
            dagster_dbt_translator=Translator(policy),
        )  # fmt: skip
        def warehouse(context: dg.AssetExecutionContext) -> Iterator[Any]:
            part = None
            if context.selected_asset_keys != warehouse.keys:
                part = " ".join(sorted(key.path[-1] for key in context.selected_asset_keys))
            yield from _built(context, Request(select=part, ingest=False))

        days = dg.DailyPartitionsDefinition(start_date=self.first_day)

        @dg.asset(
            key=dg.AssetKey(["backfill", "facts"]), partitions_def=days, group_name="backfill",
            backfill_policy=dg.BackfillPolicy.single_run(), deps=[warehouse],
            description="The facts of these days, computed from raw again.",
        )  # fmt: skip
        def facts(context: dg.AssetExecutionContext) -> None:
            window = context.partition_time_window
            asked = window.start.date(), (window.end - timedelta(days=1)).date()
            _build(context, Request(ingest=False, backfill=asked))

        return dg.Definitions(assets=[warehouse, facts])


def _build(context: dg.AssetExecutionContext, request: Request) -> Run:
    """Run a build that speaks through the context's log. Raises what a retry may mend, and Failure what it won't."""
    target = current_target()
    run = Run("backfill" if request.backfill else "build", target.name)
    try:
        build(target, request, context.log.info, run)
    except BuildError as error:
        if any(each["status"] in FAILED for each in run.results):
            raise _Unsound(run, str(error)) from error
        raise
    return run


class _Unsound(dg.Failure):
    """Tests or models failed: trying again would not help."""

    def __init__(self, run: Run, message: str):
        super().__init__(description=message, allow_retries=False)
        self.run = run


def _built(context: dg.AssetExecutionContext, request: Request) -> Iterator[Any]:
    """Build, and tell Dagster of each asset and each check, of those that failed too."""
    failure: _Unsound | None = None
    try:
        run = _build(context, request)
    except _Unsound as unsound:
        failure, run = unsound, unsound.run
    results = {each["node_name"]: each for each in run.results}
    # Dagster wants to hear of an asset after those that it depends on.
    upstream = {key: context.assets_def.asset_deps[key] for key in context.selected_asset_keys}
    for key in TopologicalSorter(upstream).static_order():
        if key not in upstream:
            continue
        result = results.get(key.path[-1])
        if (result and result["status"] in PASSED) or run.outcome == "up to date":
            seconds = {"seconds": result["seconds"]} if result else {}
            rows = run.row_counts.get(key.path[-1])
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={
                    "outcome": run.outcome,
                    **seconds,
                    **({"dagster/row_count": rows} if rows is not None else {}),
                },
            )
    for check in sorted(context.selected_asset_check_keys):
        result = results.get(check.name)
        if result:
            severity = dg.AssetCheckSeverity.WARN if result["severity"] == "warn" else dg.AssetCheckSeverity.ERROR
            yield dg.AssetCheckResult(
                asset_key=check.asset_key, check_name=check.name, passed=result["status"] == "pass", severity=severity,
                metadata={"failures": result["failure_count"] or 0},
            )  # fmt: skip
    if failure:
        raise failure
