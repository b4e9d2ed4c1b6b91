"""`python -m reports.site`: write the site of what is published."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from ingestion.project import PROJECT_ROOT
from reports.site.build import build_site
from warehouse.errors import BuildError
from warehouse.reading.domains import leave_out_unused


def main() -> int:
    """Write the site. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m reports.site", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=PROJECT_ROOT / "site", help="where it goes; what is there goes away"
    )
    arguments = parser.parse_args()
    try:
        target = current_target()
        leave_out_unused(target)
        pages = build_site(target, arguments.folder.resolve(), lambda line: print(line, flush=True))
    except (BuildError, ConfigurationError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    print(f"{pages} pages are in {arguments.folder}: open {arguments.folder / 'index.html'} in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
