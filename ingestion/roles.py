"""Whom a session acts as on a Postgres whose roles are made: the loader while it loads, else the transformer.

A database without Granary's roles is its login's, who then acts as itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2

from ingestion.destination import Target

LOADER, TRANSFORMER = "granary_loader", "granary_transformer"


def has_roles(connection: psycopg2.extensions.connection) -> bool:
    """Whether this database's migrations are done."""
    with connection.cursor() as cursor:
        cursor.execute("select to_regnamespace('access') is not null")
        row = cursor.fetchone()
    return bool(row and row[0])


@contextmanager
def acting_as(target: Target, role: str) -> Iterator[None]:
    """Sessions that are opened meanwhile act as this role.

    Raises:
        psycopg2.Error: the warehouse can't be opened.
    """
    if target.name != "prod":
        yield
        return
    with closing(psycopg2.connect("")) as connection:
        there = has_roles(connection)
    before = os.environ.get("PGOPTIONS")
    if there:
        os.environ["PGOPTIONS"] = f"{before or ''} -c role={role}".strip()
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PGOPTIONS", None)
        else:
            os.environ["PGOPTIONS"] = before
