"""Any SQL database (Postgres, MySQL or MariaDB, SQLite), by URL: by its change tables, by its log, or by polling.

A source whose contract says `reader: sql` is read by this. README.md says how it is configured, and what each way can't
see.
"""

from ingestion.readers.sql.reader import columns_of, extracts, is_configured, kept_log
from ingestion.readers.sql.watching import watch

__all__ = ["columns_of", "extracts", "is_configured", "kept_log", "watch"]
