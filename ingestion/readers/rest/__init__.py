"""HTTP APIs with listings by page number, asked for what was modified since the last load.

A source's package declares its listings as endpoints and yields `extract` of each. README.md says how such a source is
configured, and what it can't see.
"""

from ingestion.readers.rest.endpoint import Endpoint, Reply
from ingestion.readers.rest.reader import extract, is_configured

__all__ = ["Endpoint", "Reply", "extract", "is_configured"]
