"""What isn't on this machine: the tests that need it say loudly that they were not run, and fail in CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest


def absent(request: pytest.FixtureRequest, message: str) -> NoReturn:
    """End a test, or all tests of a fixture, with this message."""
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{message}")
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def package(request: pytest.FixtureRequest, path: str, name: str, untested: str) -> Path:
    """A file of a Debian package that this test needs."""
    if not Path(path).exists():
        absent(request, f"{path} IS NOT HERE: {untested} NOT TESTED (apt-get install {name})")
    return Path(path)
