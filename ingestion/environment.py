"""Settings: environment variables for a while, and what is said where one is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message says which, and what to set."""


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
