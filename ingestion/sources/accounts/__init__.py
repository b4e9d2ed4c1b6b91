"""The accounts service: people's accounts, from a REST API that is asked for what was modified.

See README.md beside this file for what it loads and how it is asked.
"""

from ingestion.readers.rest import is_configured
from ingestion.sources.accounts.source import extracts

__all__ = ["extracts", "is_configured"]
