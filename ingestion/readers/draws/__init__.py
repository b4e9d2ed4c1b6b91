"""Keys drawn at random for the persons whom other sources know. See README.md."""

from ingestion.readers.draws.reader import BESIDE, extracts, is_configured

__all__ = ["BESIDE", "extracts", "is_configured"]
