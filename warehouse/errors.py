"""How a build fails: in one line."""

from __future__ import annotations


class BuildError(Exception):
    """A build that can't go on. The message says what failed, where to look, and what to do."""
