"""SQL Server over ODBC. No server of its protocol can be had: a Postgres behind its own ODBC driver stands for it.

What is run is all of the way but T-SQL itself: DuckDB's ODBC extension, the connection, polling, comparing, types. The
Postgres is given what it lacks of SQL Server's catalogue. That each statement is T-SQL, a parser of it says.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import psycopg2
import pytest
import sqlglot

from ingestion.contract.contracts import Column, Source, Table
from ingestion.destination.target import Target
from ingestion.duck import connect
from ingestion.load.extracts import Loaded, SourceError
from ingestion.load.loading import load
from ingestion.readers.sql import extracts
from ingestion.readers.sql.database import Database, Relation
from tests.absent import package
from tests.ingestion.loads import NOON, ask, check_balance, counts

DRIVER = "/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so"
COLUMNS = (
    Column("id", "bigint", required=True),
    Column("customer_name", "text", source_name="Customer Name"),
    Column("price_amount", "numeric(18,4)", source_name="Price"),
    Column("paid_amount", "numeric(18,4)"),
    Column("placed_on", "date"),
    Column("updated_at", "timestamp"),
)
ORDERS = Table("erp", "orders", COLUMNS, ("id",), ("id",), meta={"source_name": "Orders"})
ERP = Source("erp", "raw_erp", (ORDERS,))


class Server:
    def __init__(self, settings: dict[str, str]):
        self.settings = settings

    def run(self, *statements: str) -> None:
        with closing(psycopg2.connect(**self.settings)) as connection, connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@pytest.fixture
def server(request: pytest.FixtureRequest, postgres: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Server:
    package(request, DRIVER, "odbc-postgresql", "SQL SERVER'S WAY OVER ODBC")
    found = Server(postgres)
    found.run(
        "create schema sys",
        "create view sys.databases as select cast(current_database() as text) as name, 0 as snapshot_isolation_state",
        "create function db_name() returns text language sql as 'select cast(current_database() as text)'",
        "create domain datetime2 as timestamp",
        "create schema dbo",
        """create table dbo."Orders" (id bigint primary key, "Customer Name" text, "Price" numeric(18, 4),
            paid_amount money, placed_on date, updated_at timestamp)""",
    )
    where = f"driver={DRIVER}&Server={postgres['host']}&Port={postgres['port']}"
    url = f"mssql://{postgres['user']}@/{postgres['dbname']}?{where}"
    monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", url)
    return found


def run(warehouse: Target, hours: int = 0, source: Source = ERP) -> tuple[Loaded, list[str]]:
    lines: list[str] = []
    (loaded,) = load(source, extracts, warehouse, NOON + timedelta(hours=hours), lines.append)
    check_balance("erp", warehouse)
    return loaded, lines


def test_a_table_is_polled(server: Server, warehouse: Target) -> None:
    server.run(
        """insert into dbo."Orders" select i, 'Käufer ' || i, 1234567890.1234, 2.5, date '2025-05-01',
            timestamp '2025-06-01 10:00:00.123456' + i * interval '1 hour' from generate_series(1, 30) as i"""
    )
    first, lines = run(warehouse)
    assert counts(first) == (30, 30, 0, 0, 0)
    assert "allow_snapshot_isolation on" in lines[0]
    moment = datetime.fromisoformat("2025-06-01 11:00:00.123456")
    assert ask(warehouse, "select * exclude (_observed_at, _load_id, _revision) from raw_erp.orders where id = 1") == [
        (1, "Käufer 1", Decimal("1234567890.1234"), Decimal("2.5"), date(2025, 5, 1), moment, "U", moment)
    ]
    server.run(
        """update dbo."Orders" set "Price" = 9.99, updated_at = '2025-06-09' where id = 3""",
        """delete from dbo."Orders" where id = 4""",
    )
    second, _ = run(warehouse, 1)
    assert (second.loaded, second.deleted) == (1, 1)
    assert ask(warehouse, "select price_amount from raw_erp.orders where id = 3 order by _effective_at") == [
        (Decimal("1234567890.1234"),),
        (Decimal("9.99"),),
    ]


def test_a_table_without_a_time_is_compared(server: Server, warehouse: Target) -> None:
    untimed = replace(ERP, tables=(replace(ORDERS, meta={**ORDERS.meta, "modified_at": None}),))
    server.run("""insert into dbo."Orders" (id, "Customer Name") select i, 'x' from generate_series(1, 30) as i""")
    assert run(warehouse, 0, untimed)[0].loaded == 30
    server.run(
        """update dbo."Orders" set "Customer Name" = 'y' where id = 3""", """delete from dbo."Orders" where id = 4"""
    )
    assert counts(run(warehouse, 1, untimed)[0]) == (29, 1, 28, 0, 1)


def test_what_keeps_it_from_being_read(
    server: Server, warehouse: Target, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    server.run('alter table dbo."Orders" drop column "Price"')
    with pytest.raises(SourceError, match="table Orders has lost the column Price"):
        run(warehouse)
    monkeypatch.setenv("SOURCES__ERP__FOLLOW", "changes")
    with pytest.raises(SourceError, match="change tables of a SQL Server are not read yet"):
        run(warehouse)
    monkeypatch.delenv("SOURCES__ERP__FOLLOW")
    driver = package(
        request, "/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so", "tdsodbc", "SQL SERVER'S WAY BY ITS OWN DRIVER"
    )
    monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", f"mssql://ann:hu}}sh@127.0.0.1:9/erp?driver={driver}")
    refused = r"the database at 127\.0\.0\.1 refuses: .*FreeTDS.*Unable to connect"
    with pytest.raises(SourceError, match=refused) as error:
        run(warehouse)
    assert "hu}sh" not in str(error.value)


KINDS = (
    "bigint bit int smallint tinyint decimal numeric money smallmoney float real date datetime datetime2 "
    "datetimeoffset smalldatetime time char varchar text nchar nvarchar ntext binary varbinary image timestamp "
    "uniqueidentifier xml sql_variant hierarchyid geography"
).split()


def test_what_is_asked_is_t_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def remote(database: Database, query: str) -> str:
        asked.append(query)
        return "(select 0 as n)"

    names = [f"c {kind}" for kind in KINDS]
    monkeypatch.setattr(Database, "columns", lambda self, table: dict(zip(names, KINDS, strict=True)))
    monkeypatch.setattr(Database, "_remote", remote)
    with closing(connect()) as connection:
        database = Database(connection, "sqlserver", "dbo")
        orders = Relation("Orders", "dbo", {})
        database.rows(orders, names, "\"updated_at\" >= '2025-06-01 10:00:00.5+00'")
        database.count(orders)
    for query in asked:
        (parsed,) = sqlglot.parse(query, read="tsql")
        assert parsed is not None
    assert "cast('2025-06-01 10:00:00.5' as datetime2)" in asked[0]
    assert 'cast(cast("c money" as decimal(19, 4)) as varchar(60)) as "c money"' in asked[0]
    assert 'convert(varchar(max), cast("c image" as varbinary(max)), 2)' in asked[0]
