"""History computed anew from raw, and compared with what building day by day has made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingestion.destination.lock import build_lock
from ingestion.destination.target import Target
from warehouse import dbt, ledger
from warehouse.database import Database, open_database
from warehouse.errors import BuildError
from warehouse.fingerprints import fingerprints
from warehouse.publish.publish import prepare_next


@dataclass(frozen=True)
class Rebuilt:
    """One snapshot: its intervals now, and how many of those before and after have no equal on the other side."""

    name: str
    rows: int
    gone: int
    new: int


def rebuild_history(target: Target, say: Callable[[str], None]) -> list[Rebuilt]:
    """Recompute every snapshot from all of raw, and say how what came out differs from what was there.

    Raises:
        BuildError: dbt fails. Where nothing was changed by hand and no code changed, nothing differs.
    """
    with build_lock(target):
        prepare_next(target)
        manifest = dbt.parse(target)
        with open_database(target) as database:
            ledger.begin(database, fingerprints(manifest, target.project))
            snapshots = sorted(
                (node for node in manifest.nodes.values() if node.resource_type == "snapshot"),
                key=lambda n: str(n.name),
            )
            for node in snapshots:
                _keep(database, node)
            # Before: marts follow whatever snapshots are made anew wherever this is cut short.
            outdated_at = ledger.outdate_everything(database)
        say("computing all history from raw")
        # What snapshots read are views; they are made too, in case that they are not there or of other code.
        outcome = dbt.run(
            target, ["build", "--full-refresh", "--select", "+resource_type:snapshot",
                     "--exclude-resource-types", "test", "unit_test"], manifest, say,
        )  # fmt: skip
        if not outcome.success:
            raise BuildError(
                f"history could not be rebuilt: {(outcome.failures or ['see logs/dbt.log'])[0]}; each snapshot holds "
                "either what it held or what raw says, whole"
            )
        with open_database(target) as database:
            found = [_compared(database, node) for node in snapshots]
            if not any(each.gone or each.new for each in found):
                ledger.withdraw_outdating(database, outdated_at)
    for each in found:
        same = "as before" if not each.gone and not each.new else f"{each.gone:,} gone, {each.new:,} new"
        say(f"{each.name:<32}{each.rows:>12,} intervals  {same}")
    if any(each.gone or each.new for each in found):
        say("history came out differently: the next `make build` builds every mart in full from it")
    else:
        say("history is what raw says, row for row; there is nothing to build")
    return found


def _relation(database: Database, node: Any) -> str:
    return f"{database.target.schema('snapshots')}.{node.name}"


def _kept(database: Database, node: Any) -> str:
    return f"{database.target.schema('granary')}.before__{node.name}"


def _keep(database: Database, node: Any) -> None:
    database.run(f"drop table if exists {_kept(database, node)}")
    if database.exists(_relation(database, node)):
        database.run(f"create table {_kept(database, node)} as select * from {_relation(database, node)}")


def _compared(database: Database, node: Any) -> Rebuilt:
    present, kept = _relation(database, node), _kept(database, node)
    rows = int(database.run(f"select count(*) from {present}")[0][0])
    if not database.exists(kept):
        return Rebuilt(str(node.name), rows, 0, rows)
    gone, new = (
        int(database.run(f"select count(*) from (select * from {one} except all select * from {other}) as d")[0][0])
        for one, other in ((kept, present), (present, kept))
    )
    database.run(f"drop table {kept}")
    return Rebuilt(str(node.name), rows, gone, new)
