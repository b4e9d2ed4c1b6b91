"""Granary's demo: a simulated company whose three systems the embedded default build reads. See README.md.

Nothing but this package's own command and the tests imports it.
"""

from .folder import DemoError, next_day, simulate
from .server import Fault, serving

__all__ = ["DemoError", "Fault", "next_day", "serving", "simulate"]
