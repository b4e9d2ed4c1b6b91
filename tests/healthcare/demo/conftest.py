"""The simulated clinic, as a build without configured sources has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.demo.healthcare import simulate
from tests.healthcare.demo import clinics


@pytest.fixture(scope="package")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two years of it. For reading only."""
    root = tmp_path_factory.mktemp("demo") / "clinic"
    simulate(root, 730)
    return root


@pytest.fixture(scope="package")
def versions(clinic: Path) -> dict[clinics.Key, list[clinics.Resource]]:
    """The good versions of its resources, as its files have them."""
    return clinics.versions(clinic)


@pytest.fixture(scope="package")
def persons(clinic: Path) -> dict[str, str]:
    """Who a record is of."""
    return dict(clinics.truth(clinic, "select patient_id, person_id from truth_patients"))
