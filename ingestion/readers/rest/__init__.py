"""HTTP APIs with listings: by page number, offset, token or link, of all records or of what was modified since.

A source's contract says where its listings lie and how they speak (`config.meta.reader: rest`, `config.meta.rest`).
README.md says what it may say, and what such a source can't see.
"""

from ingestion.readers.rest.reader import extracts, is_configured

__all__ = ["extracts", "is_configured"]
