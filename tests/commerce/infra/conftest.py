"""A Postgres whose roles are made, as for the tests of `infra`."""

from tests.infra.conftest import _crosswalk_in_postgres, new_migrated_database

__all__ = ["_crosswalk_in_postgres", "new_migrated_database"]
