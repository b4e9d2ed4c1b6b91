"""Whom a session acts as on a Postgres whose roles are made: the loader while it loads, else the transformer.

A database without Granary's roles is its login's, who then acts as itself.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import psycopg2

from ingestion.environment import variables

AS_LOADER, AS_TRANSFORMER = "-c role=granary_loader", "-c role=granary_transformer"


def has_roles(connection: psycopg2.extensions.connection) -> bool:
    """Whether this database's migrations are done."""
    with connection.cursor() as cursor:
        cursor.execute("select to_regnamespace('access') is not null")
        row = cursor.fetchone()
    return bool(row and row[0])


def acting_as_loader() -> AbstractContextManager[None]:
    """Sessions that are opened meanwhile act as the loader, where those of the build act as the transformer."""
    options = os.environ.get("PGOPTIONS", "")
    # The last of several options counts.
    return variables({"PGOPTIONS": f"{options} {AS_LOADER}"}) if AS_TRANSFORMER in options else nullcontext()
