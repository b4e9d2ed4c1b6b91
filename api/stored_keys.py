"""DuckDB, which has no logins: keys in a file beside the warehouse's, hashed, for its owner alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from warehouse.errors import BuildError

FILE = "api_keys.json"


@dataclass(frozen=True)
class StoredKey:
    """A key. `digest`: of its secret, long and random; `tenants`: whose rows it reads, none where it reads all."""

    name: str
    login: str
    tenants: tuple[str, ...]
    digest: str
    expires_at: datetime


def stored_keys(folder: Path) -> list[StoredKey]:
    """The keys of the warehouse in this folder. Raises BuildError where the file is damaged."""
    file = folder / FILE
    if not file.exists():
        return []
    try:
        return [
            StoredKey(
                **each | {"tenants": tuple(each["tenants"]), "expires_at": datetime.fromisoformat(each["expires_at"])}
            )
            for each in json.loads(file.read_text(encoding="utf-8"))
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise BuildError(f"{file} is damaged: delete it, and make its keys again with `make api-key`") from error


def found_key(folder: Path, token: str) -> StoredKey | None:
    """The key that this token is; None where it is none."""
    name, _, secret = token.partition(".")
    for each in _kept(folder, stamp_of(folder / FILE)):
        if each.name == name:
            return each if hmac.compare_digest(each.digest, _digest(secret)) else None
    return None


@lru_cache(maxsize=8)
def _kept(folder: Path, stamp: tuple[int, int]) -> list[StoredKey]:
    """The keys of a file that was not written since: every question asks for one of them."""
    return stored_keys(folder)


def stamp_of(file: Path) -> tuple[int, int]:
    """Which file this is, as it was last written; no other has it. (0, 0) where there is none."""
    with suppress(FileNotFoundError):
        found = file.stat()
        return found.st_ino, found.st_mtime_ns
    return 0, 0


def make_stored_key(folder: Path, login: str, tenants: Iterable[str], days: int) -> tuple[StoredKey, str]:
    """Make a key. Returns it, and its secret, which is kept nowhere. Raises BuildError."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,62}", login):
        raise BuildError(f"'{login}' can't be a login: lower-case letters, digits and _, such as LOGIN=anna")
    secret = secrets.token_urlsafe(32)
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    name = f"{login[:40]}_key_{secrets.token_hex(4)}"
    key = StoredKey(name, login, tuple(sorted(tenants)), _digest(secret), expires)
    _write(folder, [*stored_keys(folder), key])
    return key, secret


def revoke_stored_key(folder: Path, name: str) -> StoredKey:
    """Take a key away. Raises BuildError where there is none of this name."""
    keys = stored_keys(folder)
    found = [each for each in keys if each.name == name]
    if not found:
        raise BuildError(f"there is no key {name}: `make api-key` lists them")
    _write(folder, [each for each in keys if each.name != name])
    return found[0]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _write(folder: Path, keys: list[StoredKey]) -> None:
    if not folder.is_dir():
        raise BuildError(f"there is no warehouse in {folder} yet: run `make build` first")
    partial = folder / f"{FILE}.writing"
    partial.unlink(missing_ok=True)
    rows = [asdict(each) | {"expires_at": each.expires_at.isoformat()} for each in keys]
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    partial.replace(folder / FILE)
