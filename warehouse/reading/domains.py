"""Which domains are on where nobody says: those that have a source here, and those that readers have."""

from __future__ import annotations

import os

from ingestion.destination.target import Target
from ingestion.domains import domains
from ingestion.load.run import configured_sources
from warehouse.build.demo import holds_demo
from warehouse.errors import BuildError
from warehouse.publish.schemas import OPS, TABLE
from warehouse.reading.query import ask, open_published


def leave_out_unused(target: Target) -> list[str]:
    """Switch off published domains that have neither a source that is configured nor anything that readers see.

    Where no source is configured and nothing is published, all stay on: the demo is theirs. Once a source is
    configured, what the demo published is nobody's. What is off is off for this process and its children; DOMAINS of
    the environment says otherwise.

    Returns:
        The domains that are off now, by name.
    """
    if "DOMAINS" in os.environ:
        return []
    configured, listed = set(configured_sources(target.project)), domains(target.project)
    of_demo = set() if configured else {each.name for each in listed}
    seen = of_demo if holds_demo(target) else _published(target)
    kept = [each.name for each in listed if each.name in seen or configured & set(each.sources) or not each.sources]
    if len(kept) == len(listed) or not (configured or seen):
        return []
    os.environ["DOMAINS"] = ",".join(kept)
    return [each.name for each in listed if each.name not in kept]


def _published(target: Target) -> set[str]:
    """The schemas that readers see; none where nothing is published, or the warehouse can't be asked."""
    try:
        with open_published(target) as connection:
            return {
                str(name) for (name,) in ask(connection, f"select schema_name from {target.schema(OPS)}.{TABLE}")[1]
            }
    except BuildError:
        return set()
