"""`python -m orchestration.alerts`: say what is wrong, and tell those who should know."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from orchestration.alerts.conditions import as_text, what_is_wrong
from orchestration.alerts.delivery import tell
from warehouse.errors import BuildError


def main() -> int:
    """Look once. Returns the exit status: 0 nothing is wrong, 1 something is, 2 it couldn't be looked at."""
    try:
        target = current_target()
        alerts = what_is_wrong(target, datetime.now(UTC).replace(tzinfo=None))
        begun, over = tell(target, alerts, lambda line: print(line, flush=True))
    except (BuildError, ConfigurationError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 2
    for alert in alerts if not begun else []:
        print(as_text(alert, "STILL A PROBLEM").replace("\n", "; "))
    print(f"{len(alerts)} problems, {begun} of them new; {over} over")
    return 1 if alerts else 0


if __name__ == "__main__":
    sys.exit(main())
