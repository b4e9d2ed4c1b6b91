"""Granary's demo: for each domain that has one, a simulated company whose systems the embedded default build reads.

A domain's simulator is the package `ingestion.demo.<domain>`. It has `simulate(folder, days, seed, scale)`,
`next_day(folder, days)` and `serving(folder)`, a context manager that gives the environment variables that point the
domain's sources at the company's systems. One whose database's log a drill can follow has `create_schema(cursor,
dialect)`, and in its module `work` what is worked with, `WORK`, and somebody who does, `working(seed)`. What any of
them needs lies beside them: `clock`, `agenda`, `keeping`. Nothing but this package's own command and the tests imports
any of it.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["DemoError", "simulated_domains"]


class DemoError(Exception):
    """The folder can't be used as asked; the message says what to do."""


def simulated_domains() -> list[str]:
    """The domains that have a simulator, in alphabetical order."""
    return sorted(each.parent.name for each in Path(__file__).parent.glob("*/__init__.py"))
