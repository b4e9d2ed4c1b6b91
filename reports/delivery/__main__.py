"""`python -m reports.delivery`: send the reports that are due, or one by its name."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from ingestion.destination.lock import LockError
from ingestion.destination.target import Target, current_target
from ingestion.environment import ConfigurationError, exiting
from ingestion.project import PROJECT_ROOT
from reports.delivery.ledger import ALL, MISSING
from reports.delivery.subscriptions import Subscription, read_subscriptions
from warehouse.errors import BuildError
from warehouse.reading.domains import leave_out_unused


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Send once. Returns the exit status: 0 done, 1 something was not sent, 2 wrongly asked."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.delivery",
        description="Send reports by mail, each period once: all that are due, or the one that is named.",
    )
    parser.add_argument("name", nargs="?", default="", help="the subscription: its file's name without .yml")
    parser.add_argument(
        "--again", nargs="?", default="", const=MISSING, choices=(MISSING, ALL),
        help="send it once more to those whom it did not surely reach, or to all",
    )  # fmt: skip
    parser.add_argument("--dry", action="store_true", help="write the mail into files, and send nothing")
    parser.add_argument("--list", action="store_true", help="say which subscriptions there are, and check their files")
    parser.add_argument("--folder", type=Path, default=PROJECT_ROOT / "exports", help="where --dry writes to")
    arguments = parser.parse_args()
    with exiting(BuildError, LockError) as status:
        target = current_target()
        leave_out_unused(target)
        found = read_subscriptions(target.project)
        if arguments.list:
            _list(found)
            return 0
        from reports.delivery.run import deliver, preview  # which take their time to import

        chosen = _chosen(found, arguments.name, arguments.again, arguments.dry)
        if arguments.dry:
            return preview(target, chosen, arguments.folder.resolve(), datetime.now(UTC), _say)
        return _summary(target, deliver(
            target, chosen, datetime.now(UTC), _say, by_hand=bool(arguments.name), again=arguments.again
        ))  # fmt: skip
    return status.code


def _chosen(found: dict[str, Subscription], name: str, again: str, dry: bool) -> list[Subscription]:
    if not name:
        if again:
            raise ConfigurationError("what is to be sent again? Give its NAME too")
        return [each for each in found.values() if dry or each.enabled]
    if name not in found:
        raise ConfigurationError(f"there is no subscription {name!r}: there are {', '.join(found) or 'none'}")
    return [found[name]]


def _list(found: dict[str, Subscription]) -> None:
    for each in found.values():
        when = f"{each.schedule or 'when it is over'}, each {each.period}"
        state = "" if each.enabled else "; by hand alone"
        _say(f"{each.name:28}{each.title} ({each.kind}, {each.format}); {when}{state}")
        for group in each.groups:
            whose = f"rows of {', '.join(group.tenants)}" if group.tenants else "all rows"
            _say(f"{'':28}{group.name}: {whose}, {len(group.to)} recipient{'s' * (len(group.to) != 1)}")
    _say(f"{len(found)} subscriptions, all of which are right" if found else "no subscriptions: see docs/reports.md")


def _summary(target: Target, counts: Counter[str]) -> int:
    if not counts:
        _say("nothing is due")
        return 0
    said = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    _say(f"{said}; what became of each: select * from {target.schema('runs')}.ops_deliveries")
    return 1 if set(counts) - {"sent", "held back"} else 0


if __name__ == "__main__":
    sys.exit(main())
