"""What the cluster asks of the machine: programs, the server's user, files that belong to it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from warehouse.errors import BuildError

SERVER_USER = "postgres"
# What the cluster needs of the machine, and the Debian package that has it.
TOOLS = {
    "initdb": "postgresql", "pg_ctl": "postgresql", "pg_basebackup": "postgresql", "pg_rewind": "postgresql",
    "pgbackrest": "pgbackrest", "pgbouncer": "pgbouncer", "openssl": "openssl",
}  # fmt: skip
LIBRARIES = {"pgaudit.so": "postgresql-15-pgaudit", "wal2json.so": "postgresql-15-wal2json"}
SECONDS = 60.0
LIMIT = 600.0  # seconds for a command; what copies the warehouse or reads it whole has none
NO_LIMIT = None
REPLAY_SECONDS = 86_400  # of a restored server, until it has all of the log


def require_tools() -> None:
    """Raise BuildError where the machine lacks a package, with the line that installs it."""
    missing = {package for tool, package in TOOLS.items() if not _found(tool)}
    libraries = Path(_library_folder())
    missing |= {package for library, package in LIBRARIES.items() if not (libraries / library).exists()}
    if missing:
        raise BuildError(f"this machine lacks packages: apt-get install {' '.join(sorted(missing))}")


def as_server(command: list[str], said: str = "", seconds: float | None = LIMIT, **environment: str) -> str:
    """Run a command as the server's user. Returns what it printed.

    Args:
        command: the command; everybody on the machine can read it.
        said: what it reads, which nobody else can.
        seconds: how long it may take; `NO_LIMIT` for what has no limit.
        environment: variables for it.

    Raises:
        BuildError: it ended with an error, or not in time.
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    try:
        ended = subprocess.run(
            as_user(command),
            env={**plain, **environment},
            input=said,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{Path(command[0]).name} did not end within {seconds:.0f} s") from error
    if ended.returncode:
        last = (ended.stderr or ended.stdout).strip().splitlines()[-3:]
        raise BuildError(f"{Path(command[0]).name} failed: {' '.join(last)}")
    return ended.stdout.strip()


def wait_for(condition: Callable[[], bool], otherwise: str, seconds: float = SECONDS) -> None:
    """Wait until something is so. Raises BuildError with `otherwise` where it takes too long."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise BuildError(otherwise)
        time.sleep(0.1)


def write(path: Path, text: str) -> None:
    """Write a file whole, for the server's user alone."""
    partial = path.with_name(path.name + ".new")
    partial.touch(mode=0o600)
    partial.write_text(text, encoding="utf-8")
    own(partial)
    partial.replace(path)


def own(path: Path) -> None:
    """Give a file or folder to the server's user."""
    if os.geteuid() == 0:
        shutil.chown(path, SERVER_USER, pwd.getpwnam(SERVER_USER).pw_gid)


def as_user(command: list[str]) -> list[str]:
    """A command as the server's user runs it: Postgres refuses to be run by root."""
    return ["runuser", "-u", SERVER_USER, "--", *command] if os.geteuid() == 0 else command


def _found(tool: str) -> bool:
    return bool(shutil.which(tool)) or Path(binary(tool)).exists()


def binary(tool: str) -> str:
    """Debian keeps the server's own programs out of the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return str(versions[-1] / tool) if versions and (versions[-1] / tool).exists() else tool


def _library_folder() -> str:
    return str(Path(binary("postgres")).parent.parent / "lib")
