"""The lake: DuckLake's catalogs and the files that they name, and how DuckDB attaches them.

`TARGET=lake` has in DuckLake what `TARGET=dev` has in DuckDB files: Parquet files under LAKE_URL, and catalogs that say
which of them a table consists of. There are three, as there are three files:

- build: raw, history and everything else that readers don't see
- marts: the generation that is being built; at the snapshot that was published last, it is what readers see
- published: the readers' own, which names the published files that they may read, and no others

They lie in the Postgres that libpq's variables name, a schema each, where many machines build and read; where PGHOST
names none, in files of the warehouse's folder, for one user. Files are written encrypted, each with a key of its own
that stands in the catalog: who reads the bucket without a catalog, or with the readers', reads nothing else in it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import duckdb
import psycopg2

from ingestion.duck import extension_file, guard
from ingestion.environment import ConfigurationError
from ingestion.keys import KEY, files_key
from ingestion.sql import literal, quoted

BUILD, MARTS, PUBLISHED = "build", "marts", "published"
# The schema beside the catalogs in which a build hands out its nodes, where they lie in Postgres
# (warehouse/build/workers).
WORK = "lake_work"
# How often a commit is tried again after another one came first to something else.
RETRIES = 100
_LIBPQ = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE"}


@dataclass(frozen=True)
class Lake:
    """Where a lake is.

    url: the folder, or the place in an object store, under which its files lie.
    folder: where the catalogs' files lie; None where they lie in Postgres.
    """

    url: str
    folder: Path | None

    def schema(self, catalog: str) -> str:
        """Postgres: the schema of a catalog."""
        return f"lake_{catalog}"

    def file(self, catalog: str) -> Path:
        """The file of a catalog that lies in one."""
        assert self.folder is not None
        return self.folder / f"{catalog}.ducklake"

    def has(self, catalog: str) -> bool:
        """Whether there is such a catalog.

        Raises:
            ConfigurationError: the catalogs' Postgres can't be asked.
        """
        if self.folder is not None:
            return self.file(catalog).exists()
        return bool(self._asked(f"select to_regclass('{self.schema(catalog)}.ducklake_snapshot') is not null"))

    def published_snapshot(self) -> int | None:
        """Postgres: the snapshot of the marts that is published; None where none is.

        Raises:
            ConfigurationError: the catalogs' Postgres can't be asked.
        """
        if not self.has(PUBLISHED):
            return None
        return self._asked(f"select max(snapshot_id) from {self.schema(PUBLISHED)}.ducklake_snapshot")

    def _asked(self, query: str) -> int | None:
        try:
            with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
                cursor.execute(query)
                row = cursor.fetchone()
        except psycopg2.Error as error:
            raise ConfigurationError(
                f"the lake's catalogs can't be asked: {str(error).strip().splitlines()[0]}; check that their Postgres "
                "runs and that PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE name it"
            ) from error
        return int(row[0]) if row and row[0] is not None else None

    def database(self, purpose: str = "") -> str:
        """The database in memory, which all connections of this process share, that a lake is attached to.

        To load the extensions takes half a second, which a build of a few rows would else pay a dozen times. Catalogs
        that are files one database has at a time, and lets go when it is closed: they have one for each connection.

        Args:
            purpose: another one, for what attaches something else under the same names.
        """
        if self.folder is not None:
            return ":memory:"
        told = [self.url, *(os.environ.get(name, "") for name in ("PGUSER", *_LIBPQ.values()))]
        return f":memory:granary{purpose}_{hashlib.md5(repr(told).encode(), usedforsecurity=False).hexdigest()}"

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep that database for as long as this goes on, whoever opens and closes it meanwhile."""
        with closing(self.connected()):
            yield

    def connected(self) -> duckdb.DuckDBPyConnection:
        """A connection to that database."""
        connection = duckdb.connect(self.database())
        guard(connection)
        return connection

    def opening(self) -> list[str]:
        """The statements after which a connection can attach the lake. They may hold a secret of the object store."""
        extensions = ["httpfs", "ducklake", *([] if self.folder else ["postgres_scanner"])]
        statements = [f"load {literal(str(extension_file(name)))}" for name in extensions]
        statements.append(f"set ducklake_max_retry_count = {RETRIES}")
        return statements + ([_secret(self.url)] if urlparse(self.url).scheme == "s3" else [])

    def attaching(self, catalog: str, alias: str, *, read_only: bool = False, snapshot: int | None = None) -> str:
        """The statement that attaches a catalog, which is made where it isn't there and may be written.

        `published` is the marts as they are published, all of them: what a builder sees of what readers see.
        """
        if catalog == PUBLISHED and self.folder is None:
            catalog, snapshot, read_only = MARTS, self.published_snapshot(), True
        options = [f"data_path {literal(self.data_path(catalog))}", "encrypted", "data_inlining_row_limit 0"]
        if read_only:
            options = ["read_only"]
        if snapshot is not None:
            options.append(f"snapshot_version {snapshot}")
        if self.folder is None:
            where = "ducklake:postgres:"
            options.append(f"metadata_schema {literal(self.schema(catalog))}")
        else:
            where = f"ducklake:{self.file(catalog)}"
        return f"attach if not exists {literal(where)} as {quoted(alias)} ({', '.join(options)})"

    def own_tables(self, catalog: str) -> str:
        """Where DuckLake's own tables of a catalog are, in a connection to which it is attached under its name."""
        return f"__ducklake_metadata_{catalog}.{'main' if self.folder else self.schema(catalog)}"

    def data_path(self, catalog: str) -> str:
        """Where a catalog's files lie; what readers have lies among the marts'."""
        return f"{self.url.rstrip('/')}/{MARTS if catalog == PUBLISHED else catalog}/"

    def readers_line(self) -> str:
        """What readers say to DuckDB to have what is published as `warehouse`; libpq's variables say the rest."""
        if self.folder is not None:
            return f"attach 'ducklake:{self.file(PUBLISHED)}' as warehouse (read_only)"
        given = (f"{word}={os.environ[name]}" for word, name in _LIBPQ.items() if os.environ.get(name))
        where = " ".join(given)
        return (
            f"attach 'ducklake:postgres:{where}' as warehouse (metadata_schema '{self.schema(PUBLISHED)}', read_only)"
        )

    def attach(
        self, connection: duckdb.DuckDBPyConnection, catalog: str, alias: str, *, read_only: bool = False
    ) -> None:
        """Attach a catalog as `attaching` says. Raises duckdb.Error, ConfigurationError."""
        if self.folder is not None and not read_only:
            self.folder.mkdir(parents=True, exist_ok=True)
        for statement in [*self.opening(), self.attaching(catalog, alias, read_only=read_only)]:
            connection.execute(statement)


def current_lake(folder: Path) -> Lake:
    """The lake that the environment names.

    Args:
        folder: the warehouse's own, where the lake lies unless LAKE_URL says where.

    Raises:
        ConfigurationError: LAKE_URL is of no kind that DuckDB writes to, or what must be encrypted wouldn't be.
    """
    url = os.environ.get("LAKE_URL") or str(folder / "lake")
    scheme = urlparse(url).scheme
    if scheme not in ("", "s3"):
        raise ConfigurationError(f"LAKE_URL={url}: name a folder, or a place in an object store as s3://bucket/prefix")
    if not scheme:
        url = str(Path(url).resolve())
    in_postgres = os.environ.get("PGHOST") or os.environ.get("PGSERVICE")
    if files_key() and not in_postgres:
        raise ConfigurationError(
            f"{KEY} is set, and catalogs that are files hold the keys of a lake's files in the clear: have them "
            "in a Postgres that PGHOST names"
        )
    return Lake(url, None if in_postgres else folder)


def _secret(url: str) -> str:
    """The statement that has a connection know the object store, by the variables that its own tools read."""
    given = os.environ.get
    endpoint = urlparse(given("AWS_ENDPOINT_URL_S3") or given("AWS_ENDPOINT_URL") or "")
    options = {
        "key_id": given("AWS_ACCESS_KEY_ID"),
        "secret": given("AWS_SECRET_ACCESS_KEY"),
        "session_token": given("AWS_SESSION_TOKEN"),
        "region": given("AWS_REGION") or given("AWS_DEFAULT_REGION"),
        "endpoint": endpoint.netloc,
        "url_style": "path" if endpoint.netloc else None,
        "use_ssl": "false" if endpoint.scheme == "http" else None,
        "scope": url,
    }
    listed = ", ".join(f"{name} {literal(value)}" for name, value in options.items() if value)
    return f"create or replace secret lake (type s3, {listed})"
