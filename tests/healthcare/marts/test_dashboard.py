"""The dashboard of care in Superset shows the catalogue's metrics."""

from __future__ import annotations

import pytest

from ingestion.project import PROJECT_ROOT
from tests.healthcare.marts.care import Warehouse
from tests.reports.metrics import compare_datasets, opened_marts

pytestmark = pytest.mark.slow


def test_what_a_dataset_calls_a_metric_is_that_metric(care: Warehouse) -> None:
    environment = {**care} if isinstance(care, dict) else {"TARGET": "dev", "WAREHOUSE_DIR": str(care)}
    with opened_marts({**environment, "DOMAINS": "healthcare"}) as marts:
        assert compare_datasets(marts, PROJECT_ROOT / "reports/healthcare/superset") == 11
