"""`python -m orchestration`: start Dagster with its page, on the loopback."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from ingestion.project import PROJECT_ROOT
from warehouse.errors import BuildError
from warehouse.ports import require_free
from warehouse.reading.domains import leave_out_unused


def main() -> NoReturn:
    """Become Dagster. Ends with status 2 where the warehouse isn't named, 1 where the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m orchestration", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    arguments = parser.parse_args()
    try:
        target = current_target()
        leave_out_unused(target)
    except ConfigurationError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        require_free(arguments.port, "make serve")
    except BuildError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
    home = Path(os.environ.get("DAGSTER_HOME") or target.folder / "dagster")
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT_ROOT / "orchestration" / "dagster.yaml", home / "dagster.yaml")
    os.environ |= {"DAGSTER_HOME": str(home), "WAREHOUSE_DIR": str(target.folder), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    print(f"Dagster is at http://127.0.0.1:{arguments.port}; its home is {home}. Ctrl-C ends it", flush=True)
    program = str(Path(sys.executable).with_name("dagster"))
    os.chdir(PROJECT_ROOT)
    os.execv(
        program,
        [program, "dev", "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(arguments.port)],
    )


if __name__ == "__main__":
    main()
