"""dbt's way into DuckDB files that are encrypted, and into a lake: a plugin of dbt-duckdb, which profiles.yml names.

The key comes from the environment when a connection is made: it stands in no profile, and so in nothing that dbt shows,
hashes or keeps of one. Of files in the clear the plugin does nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin

from ingestion.destination.lake import BUILD, PUBLISHED, current_lake
from ingestion.duck import guard
from ingestion.encryption import attach, spill_beside
from ingestion.keys import files_key
from ingestion.sql import quoted

IN_MEMORY = ":memory:"


class Plugin(BasePlugin):
    """Attaches the profile's files to a database in memory, in the place of opening the first one."""

    file: Path | None = None

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Before dbt-duckdb connects: have it connect to a database in memory."""
        if (files_key() or creds.is_ducklake) and not creds.path.startswith(IN_MEMORY):
            self.file, creds.path = Path(creds.path), IN_MEMORY
            if creds.is_ducklake:
                is_published = any(each.path == PUBLISHED for each in creds.attach or [])
                creds.path = current_lake(self.file.parent).database(PUBLISHED if is_published else "")

    def configure_connection(self, conn: Any) -> None:
        """Once it has, and before it attaches: attach the files. What it finds attached, it leaves as it is."""
        if self.file is None or self.creds is None:
            return
        self.creds.path = str(self.file)
        guard(conn)
        spill_beside(conn, self.file)
        if self.creds.is_ducklake:
            lake = current_lake(self.file.parent)
            lake.attach(conn, BUILD, self.creds.database)
            for each in self.creds.attach or []:
                lake.attach(conn, each.path, str(each.alias), read_only=each.path == PUBLISHED)
            return
        attach(conn, self.file, self.creds.database)
        for each in self.creds.attach or []:
            attach(conn, Path(each.path), each.alias or Path(each.path).stem, read_only=each.read_only)

    def configure_cursor(self, cursor: Any) -> None:
        """A cursor begins in memory."""
        if self.file is not None and self.creds is not None:
            cursor.execute(f"use {quoted(self.creds.database)}")
