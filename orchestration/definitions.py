"""What Dagster loads: everything below `defs/`."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """The sources, the warehouse and the clock."""
    return dg.load_from_defs_folder(project_root=Path(__file__).resolve().parent.parent)
