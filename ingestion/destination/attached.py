"""dlt's way into what DuckDB can only attach to a database in memory: a file that is encrypted, and a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from ingestion.destination.lake import BUILD, Lake
from ingestion.duck import extension_file
from ingestion.encryption import attach_statement, open_file
from ingestion.keys import files_key
from ingestion.sql import literal, quoted


class AttachedCredentials(DuckDbCredentials):
    """What dlt attaches each time it opens it, and knows by a path all the while."""

    shared = ":memory:"

    def _conn_str(self) -> str:
        return self.shared


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
    return _attached(file, settings, opened)


def lake_credentials(lake: Lake, file: Path) -> DuckDbCredentials:
    """Credentials of a lake: its catalog of what readers don't see, which dlt knows by the path of no file, `file`."""
    opened = [*lake.opening(), lake.attaching(BUILD, file.stem)]
    if files_key():
        opened.append("set temp_file_encryption = true")
    credentials = _attached(file, {"preserve_insertion_order": "false"}, opened)
    credentials.shared = lake.database()
    return credentials


def _attached(file: Path, settings: dict[str, Any], opened: list[str]) -> AttachedCredentials:
    return AttachedCredentials(
        str(file),
        global_config={**settings, "temp_directory": f"{file}.tmp"},
        # dlt keeps these as secrets are kept: neither its state nor its traces have them.
        statements=opened,
        # A cursor begins in memory; dlt then looks for its schema in the catalog where it stands.
        pragmas=[f"search_path = {literal(f'{quoted(file.stem)}.main')}"],
    )
