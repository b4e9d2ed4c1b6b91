"""What the tests of the clock share with those of the warehouse."""

from tests.warehouse.conftest import built, company, postgres_database  # noqa: F401 (fixtures)
