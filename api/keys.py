"""Keys of either engine: made, listed, revoked, by `make api-key`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from api.stored_keys import make_stored_key, revoke_stored_key, stored_keys
from infra.keys import keys_of, make_key, revoke_key
from ingestion.destination.target import Target
from warehouse.errors import BuildError

LONGEST_DAYS = 3660


def make(target: Target, login: str, tenants: list[str], days: int, say: Callable[[str], None]) -> str:
    """Make a key, and print it, once. Returns it.

    Raises:
        BuildError: there is no such login, or the warehouse refuses.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise BuildError(f"a key is good for 1 to {LONGEST_DAYS} days: DAYS={days}")
    if target.name == "sandbox":
        raise BuildError("a sandbox is its owner's alone, and has no logins: TARGET=dev or TARGET=prod")
    if target.engine == "postgres":
        if tenants:
            raise BuildError(
                f"what {login} sees is said by `make login LOGIN={login} ROLE=tenant TENANTS=…`: leave TENANTS out"
            )
        key, secret = make_key(login, days)
        name, expires = key.name, key.expires_at
    else:
        stored, secret = make_stored_key(target.folder, login, tenants, days)
        name, expires = stored.name, stored.expires_at
    sees = f"the rows of {', '.join(tenants)}" if tenants else "what a reporter reads"
    say(
        f"{name} is a key for {login}, until {expires:%Y-%m-%d}"
        + ("" if target.engine == "postgres" else f", for {sees}")
    )
    say(f"the key itself, which is shown this once:\n{name}.{secret}")
    return f"{name}.{secret}"


def listed(target: Target, login: str, say: Callable[[str], None]) -> None:
    """Print the keys of a login, or of all. Raises BuildError."""
    if target.engine == "postgres":
        rows = [(each.name, each.login, each.expires_at) for each in keys_of(login)]
    else:
        rows = [(each.name, each.login, each.expires_at) for each in stored_keys(target.folder)]
        rows = [row for row in rows if login in ("", row[1])]
    for name, of, expires in rows:
        is_over = " (over)" if expires <= datetime.now(UTC) else ""
        say(f"{name}  for {of}, until {expires:%Y-%m-%d}{is_over}")
    say(f"{len(rows)} keys" + ("" if login else "; make one: make api-key LOGIN=…; end one: make api-key REVOKE=…"))


def revoke(target: Target, name: str, say: Callable[[str], None]) -> None:
    """Take a key away. Raises BuildError where there is none of this name."""
    login = revoke_key(name).login if target.engine == "postgres" else revoke_stored_key(target.folder, name).login
    say(f"{name}, a key for {login}, is revoked: what still comes with it is refused")
