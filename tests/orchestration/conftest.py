"""What the tests of the clock share with those of the warehouse."""

from tests.warehouse.conftest import built, company, postgres_database, running  # noqa: F401 (fixtures)
from tests.warehouse.test_runs import shop  # noqa: F401 (a fixture)
