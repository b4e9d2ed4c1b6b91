"""Settings: environment variables for a while, and what is said where one is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message says which, and what to set."""


@dataclass
class ExitStatus:
    """How a command ends: 0 done, 1 failed, 2 wrongly asked."""

    code: int = 0


@contextmanager
def exiting(*failures: type[Exception]) -> Iterator[ExitStatus]:
    """Have a wrong setting, or one of these failures, end a command's work: it is said on standard error."""
    status = ExitStatus()
    try:
        yield status
    except ConfigurationError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        status.code = 2
    except failures as error:
        print(f"FAILED: {error}", file=sys.stderr)
        status.code = 1


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set these variables; afterwards they are what they were before, or not there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
