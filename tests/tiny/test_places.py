"""Where a warehouse may lie: schemas of one's own, a server that isn't there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny.club import Club
from tests.warehouses import connected
from warehouse.errors import BuildError


@pytest.mark.postgres
def test_a_sandbox_has_schemas_of_its_own(postgres_database: dict[str, str], tmp_path: Path) -> None:
    club = Club(tmp_path / "club", {**postgres_database, "TARGET": "sandbox", "SANDBOX_NAME": "sandbox_ana"})
    club.visit(1, "01-02 10:00")
    club.deliver()
    club.build()
    with connected(postgres_database) as connection, connection.cursor() as cursor:
        cursor.execute("select nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public)'")
        names = {row[0] for row in cursor.fetchall()}
        assert {"sandbox_ana_tiny", "sandbox_ana_ops", "sandbox_ana_raw_club"} <= names
        assert all(name.startswith("sandbox_ana_") for name in names), names
        cursor.execute("select count(*) from sandbox_ana_tiny.fct_visits")
        assert cursor.fetchone() == (1,)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = {"TARGET": "prod", "PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "nobody"}
    with pytest.raises((BuildError, Exception), match=r"PGHOST|refused|connect"):
        Club(tmp_path / "club", nowhere).build()
