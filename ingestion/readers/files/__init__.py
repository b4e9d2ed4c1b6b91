"""Files that are delivered to a folder or an object store: CSV, JSON, NDJSON, Parquet, Excel.

A source's contract says how its files are laid out (`config.meta.reader: files`, `config.meta.files`). README.md says
what it may say, and what happens to bad files.
"""

from ingestion.readers.files.reader import extracts, is_configured, watch

__all__ = ["extracts", "is_configured", "watch"]
