"""What the tests of the clock share with those of the warehouse."""

from tests.warehouse.test_runs import shop  # noqa: F401 (a fixture)
