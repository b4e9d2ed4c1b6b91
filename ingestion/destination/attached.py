"""dlt's way into a DuckDB file that is encrypted: attached to a database in memory, since a path can't have a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from ingestion.duck import extension_file
from ingestion.encryption import attach_statement, open_file
from ingestion.keys import files_key
from ingestion.sql import literal, quoted


class AttachedCredentials(DuckDbCredentials):
    """A DuckDB file that dlt attaches each time it opens it, and that it knows by its path all the while."""

    def _conn_str(self) -> str:
        return ":memory:"


def attached_credentials(file: Path, settings: dict[str, Any]) -> DuckDbCredentials:
    """Credentials of an encrypted file.

    Args:
        file: the file; it is made where it isn't there.
        settings: DuckDB's settings for each connection.

    Raises:
        ConfigurationError, duckdb.Error: as `ingestion.encryption.attach`; dlt would say it in pages.
    """
    open_file(file).close()
    opened = [
        f"load {literal(str(extension_file('httpfs')))}",
        "set temp_file_encryption = true",
        attach_statement(file, file.stem, key=files_key()),
    ]
    return AttachedCredentials(
        str(file),
        global_config={**settings, "temp_directory": f"{file}.tmp"},
        # dlt keeps these as secrets are kept: neither its state nor its traces have them.
        statements=opened,
        # A cursor begins in memory; dlt then looks for its schema in the catalog where it stands.
        pragmas=[f"search_path = {literal(f'{quoted(file.stem)}.main')}"],
    )
