"""MongoDB: collections of documents, followed by its change streams, else compared as a whole.

A source's contract names the reader (`config.meta.reader: mongodb`); README.md says what it may say.
"""

from ingestion.readers.mongodb.reader import extracts, is_configured

__all__ = ["extracts", "is_configured"]
