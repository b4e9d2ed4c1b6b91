"""One crosswalk for all warehouses of a run of tests: tokens are random, and what is compared must have the same."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from ingestion.duck import connect
from ingestion.privacy.crosswalk import SCHEMA

VARIABLE = "PRIVACY__CROSSWALK"


def share_crosswalk() -> str:
    """Have every warehouse of this process and those that it starts, on either engine, take tokens from one file.

    Returns:
        The file.
    """
    folder = tempfile.mkdtemp(prefix="granary_crosswalk_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = str(Path(folder) / "crosswalk.duckdb")
    return os.environ[VARIABLE]


def identifiers() -> dict[str, str]:
    """What each token of the shared crosswalk stands for."""
    with closing(connect()) as connection:
        connection.execute(f"attach '{os.environ[VARIABLE]}' as crosswalk (read_only)")
        rows = connection.execute(f"select token, value from crosswalk.{SCHEMA}.identifiers").fetchall()
    return {str(token): str(value) for token, value in rows}
