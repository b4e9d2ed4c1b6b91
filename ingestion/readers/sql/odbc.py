"""SQL Server, over ODBC: which driver, how it is told where to read, and one state of the database if there is one."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, unquote

import duckdb

from ingestion.duck import load_extension
from ingestion.load.extracts import Reader, SourceError, first_line
from ingestion.readers.settings import variable
from ingestion.readers.sql.database import Database

_PORT = "1433"


def attach(reader: Reader, parts: SplitResult, schema: str | None) -> Database:
    """Connect to a SQL Server for reading; what `Database` asks goes over this connection.

    Args:
        reader: what a load works with.
        parts: of `mssql://user:password@host:port/database?driver=…`. What else stands behind the `?` are settings of
            the driver, such as `Encrypt=yes`.
        schema: the schema that holds the tables; `dbo` unless given.

    Raises:
        SourceError: there is no driver, or the database refuses.
    """
    source, connection = reader.contract.name, reader.connection
    load_extension(connection, "odbc_scanner")
    settings = dict(parse_qsl(parts.query))
    driver = settings.pop("driver", None) or _driver(connection, source)
    host, port = parts.hostname or "localhost", str(parts.port or _PORT)
    # FreeTDS has a port of its own; Microsoft's driver wants it behind the host.
    place = {"Server": host, "Port": port} if "tds" in driver.lower() else {"Server": f"{host},{port}"}
    told = {
        "Driver": driver,
        **place,
        "Database": unquote(parts.path.lstrip("/")),
        "UID": unquote(parts.username or ""),
        "PWD": unquote(parts.password or ""),
        **settings,
    }
    text = ";".join(f"{name}={_quoted(value)}" for name, value in told.items() if value)
    try:
        connection.execute("set variable source = odbc_connect(?)", [text])
        database = Database(connection, "sqlserver", schema or "dbo")
        _read_one_state(database, reader)
    except duckdb.Error as error:
        reason = first_line(error).split("diagnostics: ")[-1]
        raise SourceError(
            f"{source}: the database at {host} refuses: {reason}; check that it runs and that "
            f"{variable(source, 'credentials')} names it with a user that may read"
        ) from error
    return database


def _quoted(value: str) -> str:
    """A value of a connection string, in braces where it needs them."""
    return value if re.fullmatch(r"[\w./:@,+ -]*", value) else f"{{{value.replace('}', '}}')}}}"


def _driver(connection: duckdb.DuckDBPyConnection, source: str) -> str:
    """The first of the machine's ODBC drivers that is one for SQL Server."""
    found = [
        str(row[0]) for row in connection.execute("select name from odbc_list_drivers() order by 1 desc").fetchall()
    ]
    for name in found:
        if "SQL Server" in name or "FreeTDS" in name:
            return name
    raise SourceError(
        f"{source}: no ODBC driver for SQL Server is installed (of drivers there are {', '.join(found) or 'none'}): "
        "install Microsoft's or FreeTDS (Debian: tdsodbc), or name its file in "
        f"{variable(source, 'credentials')}: …?driver=/path"
    )


def _read_one_state(database: Database, reader: Reader) -> None:
    """Begin the transaction in which all is read; say where the database doesn't hold still for it."""
    connection = database.connection
    query = "select snapshot_isolation_state as n from sys.databases where name = db_name()"
    row = connection.execute(f"from odbc_query(getvariable('source'), '{query}')").fetchone()
    if row and str(row[0]) == "1":
        connection.execute(
            "from odbc_query(getvariable('source'), 'set transaction isolation level snapshot')"
        ).fetchall()
        connection.execute("select odbc_begin_transaction(getvariable('source'))").fetchall()
    else:
        reader.say(
            f"  {reader.contract.name}: its tables are read one after the other, not in one state: "
            "alter database … set allow_snapshot_isolation on"
        )
