"""What the project says of what is published. It is read anew once a publish may have changed that.

dbt reads it in a process of its own: that takes seconds and memory, and sets variables of the environment meanwhile.
"""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from api.catalogue import Catalogue, catalogue_of
from api.measures import Measures
from ingestion.destination.target import Target
from warehouse import dbt
from warehouse.build.inputs import project_fingerprint
from warehouse.errors import BuildError

log = logging.getLogger("api")


@dataclass(frozen=True)
class Said:
    """What a project says. `fingerprint`: of its files and what else dbt makes it of."""

    fingerprint: str
    catalogue: Catalogue
    measures: Measures


class Project:
    """The project as it was read last.

    Raises:
        BuildError: it doesn't parse, or a published model doesn't say who reads it.
    """

    def __init__(self, target: Target):
        self.target = target
        self.said = _said(target, project_fingerprint(target))
        self._generation = 0

    def look(self, generation: int) -> bool:
        """Read the project anew where files changed before this generation was published. Returns whether it was."""
        if generation == self._generation:
            return False
        fingerprint = project_fingerprint(self.target)
        is_changed = fingerprint != self.said.fingerprint
        if is_changed:
            try:
                self.said = _said(self.target, fingerprint)
            except BuildError as error:
                log.warning("generation %d was published, and what it says can't be read: %s", generation, error)
                is_changed = False
        self._generation = generation
        return is_changed


def _said(target: Target, fingerprint: str) -> Said:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        catalogue, artifacts, has_metrics = pool.submit(_read, target).result()
    return Said(fingerprint, catalogue, Measures(target, artifacts, has_metrics))


def _read(target: Target) -> tuple[Catalogue, Path, bool]:
    """The catalogue, where dbt's artifacts lie, and whether there are metrics."""
    manifest = dbt.parse(target, published=True, artifacts=True)
    return catalogue_of(manifest, target), Path(dbt.target_path(target, published=True)), bool(manifest.metrics)
