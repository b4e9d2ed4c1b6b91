"""Whether somebody collects the lineage of this warehouse's runs, and who tells of one then."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ingestion.destination.target import Target

if TYPE_CHECKING:
    from warehouse.runs.openlineage import Teller
    from warehouse.runs.runs import Run, Say


def teller(target: Target, run: Run, say: Say) -> Teller | None:
    """Who tells of this run by OpenLineage; None where its client has no settings, or isn't there, which is said."""
    wanted = any(name.startswith("OPENLINEAGE_") for name in os.environ) or Path("openlineage.yml").exists()
    if not wanted or os.environ.get("OPENLINEAGE_DISABLED", "").lower() == "true":
        return None
    if find_spec("openlineage") is None:
        say("note: no lineage is told, though OPENLINEAGE_… says where to: `make setup-site` installs the client")
        return None
    try:
        from warehouse.runs.openlineage import Teller

        return Teller(target, run, say)
    except Exception as error:
        say(f"note: no lineage is told, since the client refuses its settings: {error}")
    return None
