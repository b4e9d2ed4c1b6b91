"""Daily sales files of a retail business, from a folder or an object store.

See README.md beside this file for what it loads, how it is configured, and what happens to bad files.
"""

from ingestion.sources.retail.source import extracts, is_configured

__all__ = ["extracts", "is_configured"]
