"""The parts of the project that are off, which dbt is kept from reading.

dbt leaves out what `.dbtignore` names, whatever kind of file it is. It stands in the project's folder while a parse
goes on, and is empty at other times: linters, and dbt called by hand, see everything.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ingestion.contract.contracts import OWN_SOURCE
from ingestion.domains import domains, source_ids

# Where each domain has a folder, or a file, of its name, and where each source has.
OF_DOMAINS = ("models/intermediate", "models/marts", "macros/domains", "seeds", "tests/data")
OF_SOURCES = ("models/staging", "macros/staging", "snapshots")
# What is no domain's and no source's, and always on: conformed dimensions, and what the warehouse tells of its runs.
CORE = "core"


def ignored(project: Path) -> list[str]:
    """What dbt isn't to read, as lines of `.dbtignore`: the folders of domains and sources that are not on.

    Raises:
        ConfigurationError: DOMAINS names a domain that isn't there.
    """
    on = {domain.name for domain in domains(project)} | {CORE}
    read = {*source_ids(project), OWN_SOURCE}
    return sorted(
        f"/{folder}/{each.name}{'/' if each.is_dir() else ''}"
        for folders, names in ((OF_DOMAINS, on), (OF_SOURCES, read))
        for folder in folders
        if (project / folder).is_dir()
        for each in (project / folder).iterdir()
        if each.stem not in names and (each.is_dir() or folder.startswith("macros/"))
    )


@contextmanager
def what_is_off_ignored(project: Path) -> Iterator[None]:
    """Keep dbt from reading what is off, for as long as it parses.

    Commands that want the same of one folder parse side by side; one that wants something else waits for them.
    """
    wanted = "\n".join(ignored(project))
    with (project / ".dbtignore").open("a+", encoding="utf-8") as file:
        while True:
            fcntl.flock(file, fcntl.LOCK_SH)
            if _text(file) == wanted:
                break
            fcntl.flock(file, fcntl.LOCK_EX)
            _write(file, wanted)
        try:
            yield
        finally:
            with suppress(BlockingIOError):  # somebody else parses still, and will do it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _write(file, "")


def _text(file: TextIO) -> str:
    file.seek(0)
    return file.read()


def _write(file: TextIO, text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()
