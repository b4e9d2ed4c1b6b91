"""A simulated clinic: exports of its health records and messages of its laboratory. See README.md."""

from ingestion.demo import DemoError

from .folder import next_day, serving, simulate

__all__ = ["DemoError", "next_day", "serving", "simulate"]
