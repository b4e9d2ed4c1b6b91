from collections.abc import Iterator
from ingestion.loading import Extract, Reader
def is_configured() -> bool: return False
def extracts(reader: Reader) -> Iterator[Extract]: yield from ()
