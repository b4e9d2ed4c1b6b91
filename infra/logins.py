"""Logins: somebody or something that signs in, in one of Granary's roles."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from psycopg2.extensions import encrypt_password, quote_ident

from infra.administration import administered, roles_of
from infra.keys import KEYS, follow_login
from warehouse.errors import BuildError
from warehouse.publish.access import tenant_named

ROLES = (
    "loader",
    "transformer",
    "builder",
    "reporter",
    "tenant",
    "clinician",
    "researcher",
    "privacy",
    "auditor",
    "monitor",
    "operator",
)
# A builder loads, transforms, and tells of a replica that is late; an operator reads what is published, and how the
# server does.
SEVERAL = {"builder": ("loader", "transformer", "monitor"), "operator": ("reporter", "monitor")}
# Whose statements may hold what identifies a person, and what keeps these out of the log.
IDENTIFYING = {"granary_loader", "granary_privacy"}
UNSAID = {"pgaudit.log_statement": "off", "log_min_duration_statement": "-1"}
_NAME = re.compile(r"[a-z][a-z0-9_]{1,62}")


def make_login(name: str, role: str, tenants: list[str], password: str, say: Callable[[str], None]) -> None:
    """Make a login, or give one that exists another role, other tenants or another password.

    Args:
        name: what it signs in as.
        role: one of `ROLES`; some are several of the others, see `SEVERAL`.
        tenants: for a tenant: whose rows it sees, each a source's name, or `kind:id` for another kind of tenant.
        password: its password; one is made and shown where this is empty. It reaches the server as a SCRAM verifier.
        say: takes lines of progress.

    Raises:
        BuildError: something is missing or wrong, or the server refuses; nothing was changed then.
    """
    if role not in ROLES:
        raise BuildError(f"there is no role {role}: say ROLE={', '.join(ROLES[:-1])} or {ROLES[-1]}")
    if not _NAME.fullmatch(name) or name.startswith(("granary_", "pg_")):
        raise BuildError(f"'{name}' can't be a login: lower-case letters, digits and _, and not granary_… or pg_…")
    if (role == "tenant") != bool(tenants):
        raise BuildError(
            "a login with ROLE=tenant needs TENANTS=…, whose rows it sees; another sees what its role sees"
        )
    made = password or secrets.token_urlsafe(18)
    wanted = {f"granary_{each}" for each in SEVERAL.get(role, (role,))}
    unmigrated = "this database has no roles yet: run `make migrate TARGET=prod` first"
    with administered("access.tenant_logins", unmigrated, "the login was not made") as cursor:
        login = quote_ident(name, cursor)
        cursor.execute("select 1 from pg_roles where rolname = %s", [name])
        is_new = cursor.fetchone() is None
        verb = "create" if is_new else "alter"
        cursor.execute(f"{verb} role {login} login")
        if is_new or password:
            verifier = encrypt_password(made, name, cursor.connection, "scram-sha-256")
            cursor.execute(f"alter role {login} password %s", [verifier])
        present = {each for each in roles_of(cursor, name) if each.startswith("granary_")}
        if KEYS in present:
            raise BuildError(f"{name} is a key of the API: change the login that it is for, which it follows")
        # The log says that these looked at identifiers, and not for whose: a statement may name somebody.
        for setting, value in UNSAID.items():
            change = f"set {setting} = {value}" if wanted & IDENTIFYING else f"reset {setting}"
            cursor.execute(f"alter role {login} {change}")
        for each in sorted(present - wanted):
            cursor.execute(f"revoke {each} from {login}")
        for each in sorted(wanted - present):
            cursor.execute(f"grant {each} to {login}")
        cursor.execute("delete from access.tenant_logins where login_name = %s", [name])
        for tenant in tenants:
            cursor.execute(
                "insert into access.tenant_logins (login_name, tenant_kind, tenant_id) values (%s, %s, %s)",
                [name, *tenant_named(tenant)],
            )
        follow_login(cursor, name)
        cursor.execute(
            "insert into audit.events (event_name, details) "
            "values ('login', jsonb_build_object('login', %s, 'role', %s, 'tenants', %s::text[]))",
            [name, role, tenants],
        )
    say(f"{name} is a {role}" + (f" and sees {', '.join(tenants)}" if tenants else ""))
    if is_new and not password:
        say(f"its password is {made}; it is kept nowhere else")
