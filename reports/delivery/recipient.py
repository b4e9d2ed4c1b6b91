"""The warehouse as a recipient sees it: on Postgres by the recipient's own login, on DuckDB by its file."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from ingestion.destination.roles import has_roles
from ingestion.destination.target import Target
from reports.delivery.subscriptions import Group
from warehouse.errors import BuildError
from warehouse.people.extract import GRANARY, NOBODY, extract_tenant
from warehouse.publish.access import REPORTER, TENANT, tenant_named
from warehouse.reading.query import TIMEOUT, ask, open_published, sealing

# A session of one of these, or of a superuser, sees what is no reader's.
_PRIVILEGED = """
    select rolname from pg_roles
    where
        (rolname in ('granary_loader', 'granary_transformer', 'granary_privacy', 'granary_auditor')
            and pg_has_role(session_user, oid, 'member'))
        or (rolname = session_user and (rolsuper or rolbypassrls or rolcreaterole))"""


@contextmanager
def open_as_recipient(target: Target, group: Group) -> Iterator[Any]:
    """Open what the recipients of a group may read, and nothing else. Yields a connection by the DB API.

    On Postgres the session is the group's own login: row policies go by it, and no setting of the sender's changes
    what it sees. What the login may do is compared with what the subscription says of it.

    Raises:
        BuildError: the login can't sign in, may do more or less than the subscription says, or nothing is published.
    """
    if target.engine == "duckdb":
        with tempfile.TemporaryDirectory(prefix="granary_report_") as folder:
            file = None
            if group.tenants:
                file = extract_tenant(target, list(group.tenants), Path(folder), lambda line: None)
            with open_published(target, file=file, runs=not group.tenants) as connection:
                connection.execute(sealing(target))
                yield connection
        return
    if not group.login:
        raise BuildError(f"{group.name} names no login: on Postgres a report is read by its recipients' own (`login:`)")
    with open_published(target, login=group.login, password=_password(group.login)) as connection:
        ask(connection, f"set statement_timeout = '{TIMEOUT}'")
        _require_reader(connection, group)
        yield connection


def _password(login: str) -> str:
    """The password of a login: REPORTS__LOGINS__<LOGIN>, or `reports.logins` in secrets.toml; else libpq's own file."""
    import dlt

    return str(dlt.secrets.get(f"reports.logins.{login}") or "")


def _require_reader(connection: Any, group: Group) -> None:
    if not has_roles(connection):
        raise BuildError("this database has no roles, so nobody's rows are kept apart: run `make migrate TARGET=prod`")
    privileged = ask(connection, _PRIVILEGED)[1]
    if privileged:
        raise BuildError(
            f"{group.login} may do more than read what is published ({privileged[0][0]}): name a login of its "
            "recipients, made by `make login ROLE=reporter` or ROLE=tenant"
        )
    role = TENANT if group.tenants else REPORTER
    if not ask(connection, f"select pg_has_role(session_user, '{role}', 'member')")[1][0][0]:
        wanted = f"ROLE=tenant TENANTS={','.join(group.tenants)}" if group.tenants else "ROLE=reporter"
        raise BuildError(f"{group.login} is no {role}: `make login LOGIN={group.login} {wanted}`, or mend `tenants:`")
    if not group.tenants:
        return
    named = [GRANARY, *("|".join(tenant_named(each)) for each in group.tenants)]
    expected = {UUID(hashlib.md5(each.encode(), usedforsecurity=False).hexdigest()) for each in named}
    seen = {UUID(str(row[0])) for row in ask(connection, "select unnest(access.my_tenants())")[1]}
    if seen != expected | {UUID(each) for each in NOBODY}:
        raise BuildError(
            f"{group.login} sees other tenants than {', '.join(group.tenants)}: put `tenants:` and `make login` in step"
        )


def generation_of(connection: Any, target: Target) -> int:
    """The number of the published generation."""
    rows = ask(connection, f"select generation_number from {target.schema('ops')}.generation")[1]
    if not rows:
        raise BuildError("nothing is published yet: run `make build` first")
    return int(rows[0][0])


def is_closed_file(connection: Any) -> bool:
    """Whether a connection is to a file, which no publish changes under it."""
    return isinstance(connection, duckdb.DuckDBPyConnection)
