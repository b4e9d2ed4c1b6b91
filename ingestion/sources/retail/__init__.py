"""Daily sales files of a retail business, from a folder or an object store.

See README.md beside this file for what it loads and what its files look like.
"""

from ingestion.readers.files import is_configured
from ingestion.sources.retail.source import extracts

__all__ = ["extracts", "is_configured"]
