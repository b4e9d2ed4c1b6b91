"""`python -m ingestion [source …]`: load sources into raw, without building."""

from __future__ import annotations

import argparse
import sys

from ingestion.contract.reading import source_names
from ingestion.destination.lock import LockError, build_lock
from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from ingestion.load.run import load_all
from ingestion.project import current_project
from ingestion.signals import end_by_signals, said_ended


def main() -> int:
    """Load the sources named on the command line, or all. Returns the exit status."""
    end_by_signals()
    parser = argparse.ArgumentParser(prog="python -m ingestion", description=__doc__)
    names = source_names(current_project())
    parser.add_argument("sources", nargs="*", choices=[[], *names], help="all configured ones unless named")
    arguments = parser.parse_args()
    try:
        target = current_target()
        with build_lock(target):
            _, failures = load_all(target, lambda line: print(line, flush=True), arguments.sources)
    except ConfigurationError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 2
    except LockError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, RuntimeError) as error:
        return said_ended(error)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
