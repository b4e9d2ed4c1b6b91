"""Where a source's database lies: as its settings say, or asked for, and then kept where git doesn't look."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tomlkit

from ingestion.readers.settings import setting, variable

SECRETS = Path(".dlt", "secrets.toml")


@contextmanager
def address_of(project: Path, source: str) -> Iterator[None]:
    """Ask for a source's address, without echo, where none is set and somebody is there.

    Where what follows succeeds, it is kept as dlt reads it, in a file for its owner alone, and is never printed.
    """
    if setting(source, "credentials", secret=True) or not sys.stdin.isatty():
        yield
        return
    given = getpass.getpass(
        f"Where does {source} lie? (not shown; such as postgresql://user:password@host:5432/database): "
    ).strip()
    if not given:
        yield
        return
    os.environ[variable(source, "credentials")] = given
    yield
    print(f"kept in {_kept(project, source, given)}, for its owner alone", flush=True)


def _kept(project: Path, source: str, address: str) -> Path:
    path = project / SECRETS
    path.parent.mkdir(exist_ok=True)
    document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    sources = document.setdefault("sources", tomlkit.table(is_super_table=True))
    sources.setdefault(source, tomlkit.table())["credentials"] = address
    # Before it has anything to hide: nobody else may have it open.
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    path.chmod(0o600)
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return SECRETS
