"""The kind of source that is no system: which records are one person's, as `make match` and `make unmatch` say."""

from __future__ import annotations

from ingestion.readers.matches.log import log_file
from ingestion.readers.matches.reader import BESIDE, extracts, is_configured, watch

__all__ = ["BESIDE", "extracts", "is_configured", "log_file", "watch"]
