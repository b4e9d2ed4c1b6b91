"""The accounts service: people's accounts, from a REST API that is asked for what was modified.

See README.md beside this file for what it loads, how it is configured, and what it can't see.
"""

from ingestion.sources.accounts.source import extracts, is_configured

__all__ = ["extracts", "is_configured"]
