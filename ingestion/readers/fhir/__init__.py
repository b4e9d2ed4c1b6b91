"""Health records as FHIR R4 resources: exports and bundles in a folder or an object store, or a server.

A source's contract says which types of resources it loads, and of each which elements (`config.meta.reader: fhir`).
README.md says how, and what such a source can't see.
"""

from ingestion.readers.fhir.reader import extracts, is_configured, watch

__all__ = ["extracts", "is_configured", "watch"]
