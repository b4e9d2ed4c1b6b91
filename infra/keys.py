"""Postgres: keys of the HTTP API, each a login beside the one that it is for (migration 0008)."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg2.extensions import cursor as _Cursor  # noqa: N812 (it is a class)
from psycopg2.extensions import encrypt_password, quote_ident

from infra.administration import administered, roles_of
from warehouse.errors import BuildError

KEYS = "granary_api_key"
# Who may have keys: those who read what is published, and do nothing else.
READERS = ("granary_reporter", "granary_tenant", "granary_clinician", "granary_researcher")
# What a session of a key begins with, whoever opens it: it reads, in UTC, and no statement of it lasts for ever.
SETTINGS = {"default_transaction_read_only": "on", "timezone": "'UTC'", "statement_timeout": "'5min'"}
_LONGEST = 40  # characters of a login that the names of its keys begin with


@dataclass(frozen=True)
class Key:
    """A key as it is listed. `name`: what it signs in as; `login`: whom it is for."""

    name: str
    login: str
    expires_at: datetime


def make_key(login: str, days: int) -> tuple[Key, str]:
    """Make a key for a login that reads. Returns it, and its secret, which is kept nowhere.

    Raises:
        BuildError: there is no such login, or it doesn't read alone, or the server refuses; nothing was changed then.
    """
    secret = secrets.token_urlsafe(32)
    name = f"{login[:_LONGEST]}_key_{secrets.token_hex(4)}"
    key = Key(name, login, datetime.now(UTC).replace(microsecond=0) + timedelta(days=days))
    with _database() as cursor:
        cursor.execute("select 1 from pg_roles where rolname = %s and rolcanlogin", [login])
        roles = roles_of(cursor, login) if cursor.fetchone() else set()
        if KEYS in roles:
            raise BuildError(f"{login} is a key itself: say LOGIN=… as in `make login`")
        others = sorted(each for each in roles if each.startswith("granary_") and each not in READERS)
        if not roles.intersection(READERS) or others:
            what = f"has {', '.join(others)}" if others else "is no login that reads"
            may = ", ".join(each.removeprefix("granary_") for each in READERS)
            raise BuildError(f"{login} {what}: keys are for logins whose ROLE is one of {may}")
        own = quote_ident(name, cursor)
        # The server gets a verifier of the secret, so that no log has it.
        verifier = encrypt_password(secret, name, cursor.connection, "scram-sha-256")
        until = key.expires_at.isoformat()
        cursor.execute(f"create role {own} login password %s valid until %s", [verifier, until])
        for setting, value in SETTINGS.items():
            cursor.execute(f"alter role {own} set {setting} = {value}")
        _grant(cursor, name, roles)
        cursor.execute(
            "insert into access.api_keys (key_name, login_name, expires_at) values (%s, %s, %s)",
            [name, login, until],
        )
        _audited(cursor, "made", key)
    return key, secret


def keys_of(login: str = "") -> list[Key]:
    """The keys of a login, or of all, by login and expiry. Raises BuildError."""
    with _database() as cursor:
        return _listed(cursor, login)


def revoke_key(name: str) -> Key:
    """Take a key away; its sessions end. Raises BuildError where there is none of this name."""
    with _database() as cursor:
        found = [each for each in _listed(cursor) if each.name == name]
        if not found:
            raise BuildError(f"there is no key {name}: `make api-key` lists them")
        drop_keys(cursor, found)
    return found[0]


def follow_login(cursor: _Cursor, login: str) -> None:
    """Give a login's keys the roles that it has now; where it does more than read, or reads no more, they go."""
    cursor.execute("select to_regclass('access.api_keys')")
    if (cursor.fetchone() or [None])[0] is None:
        return
    if not (found := _listed(cursor, login)):
        return
    roles = roles_of(cursor, login)
    if not roles.intersection(READERS) or any(each.startswith("granary_") and each not in READERS for each in roles):
        drop_keys(cursor, found)
        return
    for key in found:
        for each in roles_of(cursor, key.name) - roles - {KEYS}:
            cursor.execute(f"revoke {quote_ident(each, cursor)} from {quote_ident(key.name, cursor)}")
        _grant(cursor, key.name, roles)


def drop_keys(cursor: _Cursor, keys: list[Key]) -> None:
    """Take keys away, and end their sessions."""
    for key in keys:
        cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [key.name])
        cursor.execute("delete from access.api_keys where key_name = %s", [key.name])
        cursor.execute(f"drop role if exists {quote_ident(key.name, cursor)}")
        _audited(cursor, "revoked", key)


def _listed(cursor: _Cursor, login: str = "") -> list[Key]:
    cursor.execute(
        "select key_name, login_name, expires_at from access.api_keys "
        "where login_name = %s or %s = '' order by login_name, expires_at, key_name",
        [login, login],
    )
    return [Key(str(name), str(of), expires) for name, of, expires in cursor.fetchall()]


def _grant(cursor: _Cursor, name: str, roles: set[str]) -> None:
    for each in sorted(roles | {KEYS}):
        cursor.execute(f"grant {quote_ident(each, cursor)} to {quote_ident(name, cursor)}")


def _audited(cursor: _Cursor, what: str, key: Key) -> None:
    cursor.execute(
        "insert into audit.events (event_name, details) "
        "values ('api key', jsonb_build_object('what', %s, 'key', %s, 'login', %s, 'expires_at', %s))",
        [what, key.name, key.login, key.expires_at.isoformat()],
    )


def _database() -> AbstractContextManager[_Cursor]:
    unmigrated = "this database knows no keys yet: run `make migrate TARGET=prod` first"
    return administered("access.api_keys", unmigrated, "nothing was changed")
