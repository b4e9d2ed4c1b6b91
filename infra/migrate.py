"""Bring a Postgres to the newest migration, or back to an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from warehouse.errors import BuildError

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD, BASE = "head", "base"
VERSIONS = {"version_table": "granary_migrations", "version_table_schema": "public"}


def migrate(revision: str, say: Callable[[str], None]) -> None:
    """Go up or down to a revision, in one transaction: `head`, `base`, or a number such as `0002`.

    The login has to be one that may make roles and owns the database, or a superuser; builds need neither.

    Raises:
        BuildError: there is no such revision, or the server refuses; nothing was changed then.
    """
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(configuration)
    engine = sqlalchemy.create_engine("postgresql+psycopg2://")  # libpq reads its own variables
    try:
        with engine.begin() as connection:
            configuration.attributes.update(connection=connection, versions=VERSIONS)
            present = _present(connection)
            goal = script.get_current_head() if revision == HEAD else None if revision == BASE else revision
            known = [each.revision for each in reversed(list(script.walk_revisions()))]
            if goal is not None and goal not in known:
                raise BuildError(f"there is no migration {goal}: there are {', '.join(known)}, {HEAD} and {BASE}")
            is_up = goal is not None and (present is None or known.index(goal) >= known.index(present))
            (command.upgrade if is_up else command.downgrade)(configuration, revision)
            now = _present(connection)
            if now is None:
                connection.execute(sqlalchemy.text("drop table if exists public.granary_migrations"))
    except (sqlalchemy.exc.DBAPIError, CommandError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise BuildError(f"migrating failed, and nothing was changed: {reason}") from error
    finally:
        engine.dispose()
    if present == now:
        say(f"the database is at migration {now or BASE} already")
    else:
        say(f"the database was at migration {present or BASE}, and is at {now or BASE} now")


def _present(connection: sqlalchemy.Connection) -> str | None:
    context = MigrationContext.configure(connection, opts=VERSIONS)
    return context.get_current_revision()
