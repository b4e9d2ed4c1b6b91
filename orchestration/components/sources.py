"""Sources as assets: each table of each contract, loaded by Granary's own ingestion, which dlt carries out."""

# Dagster reads the annotations of its functions, so they are no texts here.
from collections.abc import Iterator

import dagster as dg

from ingestion.contract.contracts import Source
from ingestion.contract.reading import read_contracts
from ingestion.destination.lock import build_lock
from ingestion.destination.target import current_target
from ingestion.load.run import load_all
from ingestion.project import current_project
from warehouse.build.demo import demo_if_unconfigured


class Sources(dg.Component, dg.Model, dg.Resolvable):
    """A multi-asset for each source, with a retry policy and the contract's owner and freshness.

    retries: how often a load that fails is tried again.
    seconds_between: how long it waits before the first retry; twice as long before each of the next.
    """

    retries: int = 3
    seconds_between: int = 30

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets of all sources that have a contract."""
        return dg.Definitions(assets=[self._loader(contract) for contract in read_contracts(current_project())])

    def _loader(self, contract: Source) -> dg.AssetsDefinition:
        policy = dg.FreshnessPolicy.time_window(fail_window=contract.late_after) if contract.late_after else None
        specs = [
            dg.AssetSpec(
                dg.AssetKey([contract.name, table.name]), group_name="raw", kinds={"dlt"},
                metadata={"owner": contract.owner}, freshness_policy=policy,
            )
            for table in contract.tables
        ]  # fmt: skip
        retry = dg.RetryPolicy(
            max_retries=self.retries, delay=self.seconds_between, backoff=dg.Backoff.EXPONENTIAL,
            jitter=dg.Jitter.PLUS_MINUS,
        )  # fmt: skip

        @dg.multi_asset(specs=specs, name=f"load_{contract.name}", retry_policy=retry)
        def loader(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
            target = current_target()
            with build_lock(target), demo_if_unconfigured(target, context.log.info, 0):
                loaded, failures = load_all(target, context.log.info, [contract.name])
            if failures:
                raise RuntimeError(failures[0])
            counts = {each.resource: each for each in loaded}
            for spec in specs:
                each = counts.get(spec.key.path[-1])
                yield dg.MaterializeResult(
                    asset_key=spec.key,
                    metadata={
                        "read": each.source_count, "loaded": each.loaded, "known": each.known,
                        "rejected": each.rejected,
                    } if each else {"configured": False},
                )  # fmt: skip

        return loader
