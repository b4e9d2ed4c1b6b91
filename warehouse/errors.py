"""How a build fails: in one line."""

from __future__ import annotations


class BuildError(Exception):
    """A build that can't go on. The message says what failed, where to look, and what to do."""


class PassingError(BuildError):
    """One that may pass by itself: a source, or the warehouse's own server, can't be reached."""
