"""Where the warehouse is: which engine, which files or database, and which schema names.

`TARGET` chooses between four, which profiles.yml has by the same names:

- dev: DuckDB files in `WAREHOUSE_DIR` (default `data/`)
- prod: the Postgres that libpq's variables name (`PGHOST`, `PGUSER`, `PGDATABASE`, …)
- sandbox: the same Postgres, but a developer's own schemas, whose names start with `<SANDBOX_NAME>_`
- lake: DuckLake, its files under `LAKE_URL` and its catalogs in the Postgres that libpq's variables name
"""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import duckdb

from ingestion.destination.lake import BUILD, MARTS, PUBLISHED, Lake, current_lake
from ingestion.duck import load_extension
from ingestion.encryption import attach
from ingestion.environment import ConfigurationError
from ingestion.keys import files_key
from ingestion.project import PROJECT_ROOT, current_project
from ingestion.sql import literal

TARGETS = ("dev", "prod", "sandbox", "lake")


@dataclass(frozen=True)
class Target:
    """One warehouse.

    engine: whose SQL it is built by: duckdb or postgres.
    prefix: stands before every schema name.
    project: the folder of the dbt project that it is built from.
    lake: where DuckDB keeps it, unless in files of its own.
    """

    name: str
    engine: str
    folder: Path
    prefix: str = ""
    project: Path = PROJECT_ROOT
    lake: Lake | None = None

    @property
    def in_files(self) -> bool:
        """Whether it is DuckDB's own files."""
        return self.engine == "duckdb" and self.lake is None

    @property
    def in_postgres(self) -> bool:
        """Whether Postgres has it, or the catalogs of the lake that it is: others may share it then."""
        return self.engine == "postgres" or (self.lake is not None and self.lake.folder is None)

    @property
    def has_published(self) -> bool:
        """DuckDB: whether anything is published. Raises ConfigurationError where a lake's catalogs can't be asked."""
        return self.lake.has(PUBLISHED) if self.lake else self.published_file.exists()

    @property
    def build_file(self) -> Path:
        """DuckDB: raw, snapshots and everything else that readers don't see."""
        return self.folder / "build.duckdb"

    @property
    def published_file(self) -> Path:
        """DuckDB: the marts that readers see."""
        return self.folder / "warehouse.duckdb"

    @property
    def next_file(self) -> Path:
        """DuckDB: the marts that the next build works in."""
        return self.folder / "warehouse__next.duckdb"

    def schema(self, name: str) -> str:
        """A schema's name in this warehouse."""
        return f"{self.prefix}{name}"


def current_target() -> Target:
    """The warehouse that the environment names.

    Raises:
        ConfigurationError: TARGET is unknown, or Postgres is meant and nothing says which.
    """
    name = os.environ.get("TARGET", "dev")
    if name not in TARGETS:
        raise ConfigurationError(f"TARGET={name} is unknown: use one of {', '.join(TARGETS)}")
    project = current_project()
    folder = (project / os.environ.get("WAREHOUSE_DIR", "data")).resolve()
    if name == "dev":
        return Target(name, "duckdb", folder, project=project)
    if name == "lake":
        return Target(name, "duckdb", folder, project=project, lake=current_lake(folder))
    if not os.environ.get("PGHOST") and not os.environ.get("PGSERVICE"):
        raise ConfigurationError(
            f"TARGET={name} builds in Postgres, but PGHOST is not set: export PGHOST, PGUSER, PGPASSWORD and PGDATABASE"
        )
    prefix = f"{sandbox_name()}_" if name == "sandbox" else ""
    return Target(name, "postgres", folder, prefix, project)


def sandbox_name() -> str:
    """The first part of a sandbox's schema names: SANDBOX_NAME, else `sandbox_` and the user's login."""
    name = os.environ.get("SANDBOX_NAME") or f"sandbox_{getpass.getuser()}"
    return re.sub(r"[^a-z0-9_]", "_", name.lower())


def libpq() -> dict[str, str]:
    """Postgres connection settings from libpq's environment variables, with libpq's defaults."""
    user = os.environ.get("PGUSER") or getpass.getuser()
    return {
        "host": os.environ.get("PGHOST", "localhost"),
        "port": os.environ.get("PGPORT", "5432"),
        "user": user,
        "password": os.environ.get("PGPASSWORD", ""),
        "dbname": os.environ.get("PGDATABASE") or user,
    }


def postgres_url() -> str:
    """The warehouse's Postgres as a URL that dlt takes: a socket directory goes into the query part."""
    settings = libpq()
    query: dict[str, str] = {}
    host = settings["host"]
    if host.startswith("/"):
        host, query["host"] = "localhost", settings["host"]
    if os.environ.get("PGSSLMODE"):
        query["sslmode"] = os.environ["PGSSLMODE"]
    if os.environ.get("PGOPTIONS"):  # dlt sets options of its own, in whose presence libpq doesn't look here
        query["options"] = os.environ["PGOPTIONS"]
    # dlt refuses an empty password even where the server asks for none; libpq then ignores the one it gets.
    password = quote(settings["password"] or "none", safe="")
    tail = f"?{urlencode(query)}" if query else ""
    user = quote(settings["user"], safe="")
    return f"postgresql://{user}:{password}@{host}:{settings['port']}/{settings['dbname']}{tail}"


def dlt_destination(target: Target) -> Any:
    """The warehouse as a dlt destination."""
    import dlt
    from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
    from dlt.destinations.impl.postgres.configuration import PostgresCredentials

    if target.lake:
        from ingestion.destination.attached import lake_credentials

        return _settled(dlt.destinations.duckdb, lake_credentials(target.lake, target.build_file))
    if target.engine == "duckdb":
        # Without an order to keep, DuckDB writes a load straight to its place; else the checkpoint writes it again.
        settings = {"preserve_insertion_order": "false"}
        if files_key():
            from ingestion.destination.attached import attached_credentials

            return _settled(dlt.destinations.duckdb, attached_credentials(target.build_file, settings))
        credentials = DuckDbCredentials(str(target.build_file), global_config=settings)
        return _settled(dlt.destinations.duckdb, credentials)
    return _settled(dlt.destinations.postgres, PostgresCredentials(postgres_url()))


def _settled(destination: Any, credentials: Any) -> Any:
    """A dlt destination of which nothing is left to look up: dlt asks for all of it anew, dozens of times in a load."""
    from dlt.common.configuration.specs.base_configuration import is_hint_not_resolvable

    credentials.resolve()
    defaults = destination(credentials=credentials).spec()
    given = {
        name: getattr(defaults, name)
        for name, hint in defaults.get_resolvable_fields().items()
        if name not in ("credentials", "destination_name") and not is_hint_not_resolvable(hint)
    }
    return destination(credentials=credentials, **given)


def attach_warehouse(connection: duckdb.DuckDBPyConnection, target: Target, *, writable: bool = False) -> None:
    """Attach the warehouse as `warehouse` to a DuckDB in memory, Postgres for reading unless `writable` says more.

    Raises:
        ConfigurationError, duckdb.Error: as `ingestion.encryption.attach`.
    """
    if target.engine == "duckdb":
        attach_part(connection, target, BUILD, "warehouse")
    else:
        attach_postgres(connection, "warehouse", writable=writable)


def attach_part(
    connection: duckdb.DuckDBPyConnection, target: Target, part: str, alias: str, *, read_only: bool = False
) -> None:
    """Attach a part of a warehouse that DuckDB builds: `build`, `marts` (the generation being built) or `published`.

    Raises:
        ConfigurationError, duckdb.Error: as `ingestion.encryption.attach`.
    """
    if target.lake:
        target.lake.attach(connection, part, alias, read_only=read_only)
    else:
        files = {BUILD: target.build_file, MARTS: target.next_file, PUBLISHED: target.published_file}
        attach(connection, files[part], alias, read_only=read_only)


def attach_postgres(connection: duckdb.DuckDBPyConnection, alias: str, *, writable: bool = False) -> None:
    """Attach the Postgres that libpq's variables name. Raises duckdb.Error."""
    load_extension(connection, "postgres_scanner")
    given = {key: value.replace("\\", "\\\\").replace("'", "\\'") for key, value in libpq().items() if value}
    dsn = " ".join(f"{key}='{value}'" for key, value in given.items())
    mode = "" if writable else ", read_only"
    connection.execute(f"attach {literal(dsn)} as {alias} (type postgres{mode})")
