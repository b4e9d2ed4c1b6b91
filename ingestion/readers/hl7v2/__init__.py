"""HL7 version 2 messages in files of a folder or an object store.

A source's contract says which segment a table has and where its columns stand (`config.meta.reader: hl7v2`). README.md
says what it may say, and what happens to bad messages.
"""

from __future__ import annotations

from ingestion.readers.files.reader import is_configured, watch
from ingestion.readers.hl7v2.reader import extracts

__all__ = ["extracts", "is_configured", "watch"]
