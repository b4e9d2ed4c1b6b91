"""CSV files that are delivered to a folder or an object store, each a version of what it is of, such as a day.

A source's package declares the layout of its files and yields `extracts` of it. README.md says how such a source is
configured, and what happens to bad files.
"""

from ingestion.readers.files.layout import Layout
from ingestion.readers.files.reader import extracts, is_configured

__all__ = ["Layout", "extracts", "is_configured"]
