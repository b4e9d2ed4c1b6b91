"""Every driver that can run here reads the same number from the published marts, as docs/connect.md says to connect it.

A role reads that may do nothing else. JDBC and ODBC know no unix sockets, on which the tests' server listens: a port of
the loopback stands before it.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi
import duckdb
import jaydebeapi
import pyarrow.compute
import pyarrow.parquet
import pytest
import sqlalchemy

from ingestion.destination.target import current_target
from ingestion.duck import load_extension
from tests.absent import package
from tests.warehouses import connected, opened, settings
from warehouse.reading.export import Wanted, export

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

QUESTION = "select count(*) as lines, sum(net_reporting_amount) as net_sales from commerce.fct_sales"
PSQL, JAVA = "/usr/bin/psql", "/usr/bin/java"
JDBC = "/usr/share/java/postgresql.jar"
ODBC, ODBC_MANAGER = "/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so", "/usr/lib/x86_64-linux-gnu/libodbc.so.2"
# What a driver needs of the machine: the files, and Debian's packages.
NEEDS = {
    "by_psql": [(PSQL, "postgresql-client")],
    "by_jdbc": [(JAVA, "default-jre-headless"), (JDBC, "libpostgresql-jdbc-java")],
    "by_odbc": [(ODBC, "odbc-postgresql"), (ODBC_MANAGER, "libodbc2")],
}


@dataclass(frozen=True)
class Login:
    """Where a reader finds the warehouse."""

    host: str
    port: int
    database: str
    user: str


@pytest.fixture(scope="module")
def login(request: pytest.FixtureRequest, built: Path) -> Iterator[Login]:
    """The company's published marts on Postgres, a role that may read them, and a port on the loopback."""
    server = request.getfixturevalue("marts_on_postgres")()
    with closing(connected(server)) as owner, owner.cursor() as cursor:
        cursor.execute("create role granary_tools login; grant usage on schema commerce to granary_tools")
        cursor.execute("grant select on all tables in schema commerce to granary_tools")
    with port_before(f"{server['PGHOST']}/.s.PGSQL.{server['PGPORT']}") as port:
        yield Login("127.0.0.1", port, server["PGDATABASE"], "granary_tools")
    with closing(connected(server)) as owner, owner.cursor() as cursor:
        cursor.execute("drop owned by granary_tools; drop role granary_tools")


@contextmanager
def port_before(path: str) -> Iterator[int]:
    """A port of the loopback that hands on what it gets to a unix socket, and back."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(path)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=copy, args=(source, target), daemon=True).start()

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])


def by_psql(login: Login) -> Any:
    words = f"host={login.host} port={login.port} dbname={login.database} user={login.user}"
    done = subprocess.run([PSQL, words, "-At", "-F", ",", "-c", QUESTION], capture_output=True, text=True, check=True)
    return done.stdout.strip().split(",")


def by_sqlalchemy(login: Login) -> Any:
    url = f"postgresql+psycopg2://{login.user}@{login.host}:{login.port}/{login.database}"
    with sqlalchemy.create_engine(url).connect() as connection:
        return connection.execute(sqlalchemy.text(QUESTION)).one()


def by_adbc(login: Login) -> Any:
    url = f"postgresql://{login.user}@{login.host}:{login.port}/{login.database}"
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(QUESTION)
        table = cursor.fetch_arrow_table()
        return [column[0].as_py() for column in table.columns]


def by_jdbc(login: Login) -> Any:
    url = f"jdbc:postgresql://{login.host}:{login.port}/{login.database}"
    with closing(jaydebeapi.connect("org.postgresql.Driver", url, {"user": login.user}, JDBC)) as connection:
        cursor = connection.cursor()
        cursor.execute(QUESTION)
        return [str(value) for value in cursor.fetchone()]


def by_odbc(login: Login) -> Any:
    import pyodbc  # fails without the driver manager, which Debian has and the wheel has not

    words = f"Driver={ODBC};Server={login.host};Port={login.port};Database={login.database};Uid={login.user}"
    with closing(pyodbc.connect(words, readonly=True)) as connection:
        return connection.execute(QUESTION).fetchone()


def by_duckdb(login: Login) -> Any:
    with closing(duckdb.connect()) as connection:
        load_extension(connection, "postgres_scanner")
        words = f"host={login.host} port={login.port} dbname={login.database} user={login.user}"
        connection.execute(f"attach '{words}' as warehouse (type postgres, read_only); use warehouse")
        return connection.execute(QUESTION).fetchone()


@pytest.fixture(scope="module")
def truth(built: Path) -> tuple[int, Decimal]:
    with opened(built) as connection:
        row = connection.execute(QUESTION).fetchone()
    assert row is not None and row[0] > 1000
    return int(row[0]), Decimal(row[1])


@pytest.mark.parametrize(
    "ask", [by_psql, by_sqlalchemy, by_adbc, by_jdbc, by_odbc, by_duckdb], ids=lambda f: f.__name__
)
def test_a_driver_reads_the_marts(
    ask: Callable[[Login], Any], login: Login, truth: tuple[int, Decimal], request: pytest.FixtureRequest
) -> None:
    for path, name in NEEDS.get(ask.__name__, []):
        package(request, path, name, f"{ask.__name__.removeprefix('by_')} ON THE PUBLISHED MARTS")
    lines, amount = ask(login)
    assert (int(lines), Decimal(amount)) == truth


def test_a_duckdb_client_reads_the_published_file(built: Path, truth: tuple[int, Decimal]) -> None:
    with closing(duckdb.connect(str(built / "warehouse.duckdb"), read_only=True)) as connection:
        row = connection.execute(QUESTION).fetchone()
    assert row is not None and (row[0], Decimal(row[1])) == truth


def test_a_parquet_file_is_read_by_arrow(built: Path, tmp_path: Path, truth: tuple[int, Decimal]) -> None:
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(built)}):
        path = export(current_target(), Wanted("commerce.fct_sales", "parquet", folder=tmp_path), lambda line: None)
    table = pyarrow.parquet.read_table(path)
    assert (table.num_rows, pyarrow.compute.sum(table["net_reporting_amount"]).as_py()) == truth
