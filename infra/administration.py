"""The server's logins and roles, as whoever administers it sees and changes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import cursor as _Cursor  # noqa: N812 (it is a class)

from warehouse.errors import BuildError


@contextmanager
def administered(table: str, missing: str, failed: str) -> Iterator[_Cursor]:
    """A cursor on the database that libpq's variables name, all of whose changes are made, or none.

    Args:
        table: what a migration has to have made.
        missing: what is said where it is not there.
        failed: what is said before the server's own words, where it refuses something.

    Raises:
        BuildError: the database can't be opened, lacks the table, or refuses something.
    """
    try:
        connection = psycopg2.connect("")
    except psycopg2.Error as error:
        raise BuildError(f"the warehouse can't be opened: {str(error).strip().splitlines()[0]}") from error
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass(%s)", [table])
            if (cursor.fetchone() or [None])[0] is None:
                raise BuildError(missing)
            yield cursor
    except psycopg2.Error as error:
        raise BuildError(f"{failed}: {str(error).strip().splitlines()[0]}") from error
    finally:
        connection.close()


def roles_of(cursor: _Cursor, role: str) -> set[str]:
    """The roles that another was given; none where that isn't there."""
    cursor.execute(
        "select r.rolname from pg_auth_members as m join pg_roles as r on r.oid = m.roleid "
        "join pg_roles as u on u.oid = m.member where u.rolname = %s",
        [role],
    )
    return {str(row[0]) for row in cursor.fetchall()}
