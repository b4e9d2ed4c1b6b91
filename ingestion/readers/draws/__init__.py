"""Keys drawn at random for the persons whom other sources know. See README.md."""

from ingestion.readers.draws.reader import DERIVED, extracts, is_configured

__all__ = ["DERIVED", "extracts", "is_configured"]
