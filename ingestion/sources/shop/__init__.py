"""The shop: an operational SQL database (Postgres, MySQL or MariaDB, SQLite), by URL.

See README.md beside this file for what it loads, how it is configured, and what polling can't see.
"""

from ingestion.sources.shop.source import extracts, is_configured, kept_log

__all__ = ["extracts", "is_configured", "kept_log"]
