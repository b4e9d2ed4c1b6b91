"""A database that nobody designed for a warehouse becomes a source: scaffolded, built, changed, built again."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ingestion.contract.contracts import contract_file
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target, current_target
from tests.domains.clones import edit, without_domains
from tests.project import layering
from tests.warehouses import as_environment, settings
from warehouse.build.build import Request, build
from warehouse.database import open_database
from warehouse.errors import BuildError
from warehouse.project.scaffold.decide import decide
from warehouse.project.scaffold.scaffold import preview, scaffold

HOSTILE = """
create schema "Sales";
set search_path = "Sales";
create type mood as enum ('happy', 'Sad', 'don''t know');
create domain posint as int check (value > 0);
create table "Customers" (
    "CustomerID" serial primary key, "Customer Name" text not null, "E-Mail" varchar(80), born date, "group" text,
    credit money, mood mood, country text default 'DE',
    created timestamptz default now(), full_text text generated always as ("group") stored
);
comment on table "Customers" is 'Käufer: wer kauft';
comment on column "Customers"."group" is 'Gruppe des Kunden: A, B';
create table products (
    id int primary key, name text, tags text[], price numeric, weight double precision, photo bytea, size int4range,
    spec jsonb, active bool default true
);
create table "order" (
    id bigint primary key, customer_id int references "Customers", parent_id bigint references "order",
    placed_at timestamp, total numeric(12,2), updated_at timestamp,
    status varchar(10) not null default 'new' check (status in ('new', 'paid'))
);
create table order_lines (
    order_id bigint references "order", line_no smallint, product_id int references products, qty posint,
    price numeric(10,2), note text, primary key (order_id, line_no)
);
create table measures (taken_on date, id int, primary key (id, taken_on)) partition by range (taken_on);
create table measures_2025 partition of measures for values from ('2025-01-01') to ('2026-01-01');
create table loads (id int primary key, "user" text, "end" time, span interval, loc point, ip inet, uid uuid);
create table nokey (a int, b text);
create table gadgets (label text, code text);
insert into gadgets select 'Gadget', 'G' || i from generate_series(1, 30) as i;
create schema "购买";
create table "购买".products (
    "编号" int references products primary key, "Größe (cm)" numeric(6, 1), at date, "Straße" text
);
comment on table "购买".products is '商品：{{ this is text }} {% if %} اختيار # "quoted": yes';
comment on column "购买".products.at is 'Когда: {# да #}';
create view big_orders as select * from "order" where total > 100;
insert into "Customers" ("Customer Name", "E-Mail", born, "group", credit, mood)
    select 'Ada ' || i, 'a' || i || '@x.org', case when i > 1 then date '1990-01-01' else '1938-02-01' end, 'A', 12.5,
    (array['happy', 'Sad', 'don''t know']::mood[])[i % 3 + 1] from generate_series(1, 30) as i;
insert into products
    select i, 'Mug ' || i, array['a', 'b'], i + 0.25, i / 3.0, '\\x00ff', '[1,5)', '{"a": 1}'
    from generate_series(1, 20) as i;
insert into "购买".products values (1, 20.5, '2025-01-01', 'a'), (2, null, null, null);
insert into "order" select i, i % 30 + 1, null, timestamp '2024-01-01' + i * interval '1 hour', i * 10,
    timestamp '2024-01-01' + i * interval '1 hour', 'new' from generate_series(1, 50) as i;
insert into order_lines select i, j, (i + j) % 20 + 1, j, 9.99, 'note ' || i
    from generate_series(1, 50) as i, generate_series(1, 3) as j;
insert into measures select date '2025-01-01' + i, i from generate_series(1, 9) as i;
insert into loads select i, 'u', '10:00', '1 day', '(1,2)', '10.0.0.1', gen_random_uuid()
    from generate_series(1, 5) as i
"""
# Rows as the source has them: tables of the contract.
TABLES = {
    "customers": 30,
    "products": 20,
    "order": 50,
    "order_lines": 150,
    "measures": 9,
    "sales_loads": 5,
    "gadgets": 30,
    "gou_mai_products": 2,
}
# The lines with what they come to, and when and by whom they were ordered.
LINES = """
    select count(*), sum(lines.qty), sum(lines.qty * lines.price), min(orders.placed_at), max(customers."CustomerID")
    from "Sales".order_lines as lines
    inner join "Sales"."order" as orders on lines.order_id = orders.id
    left join "Sales"."Customers" as customers on orders.customer_id = customers."CustomerID"
"""
FACT = """
    select count(*), sum(facts.qty), sum(facts.order_line_amount), min(facts.placed_at), max(customers.customer_id)
    from erp.fct_order_lines as facts
    inner join erp.dim_customers as customers on facts.customer_version_key = customers.customer_version_key
"""


class Erp:
    """A company's database on Postgres, and a project with nothing in it but what is scaffolded."""

    def __init__(self, clone: Target, database: dict[str, str], engine: dict[str, str]):
        self.clone, self.database, self.engine = clone, database, engine
        without_domains(clone.project, keep_list=True)

    def run(self, *statements: str) -> None:
        with closing(psycopg2.connect(**self.database)) as connection, connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def source(self, question: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(**self.database)) as connection, connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchall()

    @contextmanager
    def entered(self, observed_at: str = "2025-06-01") -> Iterator[Target]:
        known = self.database
        places = {
            "SOURCES__ERP__CREDENTIALS": f"postgresql://{known['user']}@/{known['dbname']}?host={known['host']}"
            f"&port={known['port']}",
            "GRANARY_PROJECT_DIR": str(self.clone.project),
            "WAREHOUSE_DIR": str(self.clone.folder),
            "GRANARY_OBSERVED_AT": observed_at,
            "DBT_WRITE_JSON": "false",
            "DOMAINS": "erp",
        }
        with settings({"TARGET": "dev", **self.engine, **places}):
            yield current_target()

    def build(self, observed_at: str) -> list[str]:
        lines: list[str] = []
        with self.entered(observed_at) as target:
            build(target, Request(), lines.append)
        return lines

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        with self.entered() as target, open_database(target) as database:
            return database.run(re.sub(r"\berp\.(\w+)", lambda match: database.published("erp", match[1]), question))


@pytest.fixture(params=["duckdb", "postgres"])
def erp(request: pytest.FixtureRequest, clone: Target, new_postgres_database: Callable[[], dict[str, str]]) -> Erp:
    engine = {} if request.param == "duckdb" else {**as_environment(new_postgres_database()), "TARGET": "prod"}
    found = Erp(clone, new_postgres_database(), engine)
    found.run(HOSTILE)
    return found


@pytest.mark.slow
@pytest.mark.postgres
def test_a_database_becomes_a_source_with_history(erp: Erp) -> None:
    said: list[str] = []
    with erp.entered():
        scaffold(erp.clone.project, "erp", "", ["Sales", "购买"], [], said.append)
    assert said[:5] == [
        "left out: big_orders is a view: TABLES=big_orders takes it",
        "left out: nokey has neither a primary nor a unique key, and nothing in its rows is one: give it one there",
        "gadgets: the database holds no key; code is unique in all 30 rows",
        "products: weight is a binary float, and taken as its text",
        "first star: erp.fct_order_lines, one row for each of order_lines of order, by placed_at",
    ]
    purchases = read_contract("erp", erp.clone.project).table("gou_mai_products")
    bought = {column.at_source: column.name for column in purchases.columns}
    assert bought == {"编号": "bian_hao", "Größe (cm)": "grosse_cm", "at": "at", "Straße": "strasse"}
    persons = {table.name: table.meta.get("person") for table in read_contract("erp", erp.clone.project).tables}
    assert {name: column for name, column in persons.items() if column} == {
        "customers": "customer_id",
        "order": "customer_id",
    }
    status = next(
        each for each in read_contract("erp", erp.clone.project).table("order").columns if each.name == "status"
    )
    assert status.accepted_values == ("new", "paid"), "as the check says"
    assert layering.long_models(erp.clone.project) == layering.undescribed_models(erp.clone.project) == []
    with pytest.raises(BuildError, match=r"what erp\.\w+\.\w+ and \d more tells of a person is undecided"):
        erp.build("2025-06-01")
    decide(erp.clone.project, "erp.*.*", "none", said.append)
    lines = erp.build("2025-06-01")
    total = sum(TABLES.values())
    assert f"records: {total} read = {total} loaded + 0 known + 0 rejected" in lines
    [tests] = [line for line in lines if line.startswith("tests: ")]
    assert " 0 warned, 0 failed" in tests
    assert erp.ask(FACT) == erp.source(LINES)
    # One table tells when it changed; the others are compared.
    erp.run(
        'set search_path = "Sales"',
        """update "Customers" set "group" = 'B' where "CustomerID" = 1""",
        """update "Customers" set born = '1899-02-01' where "CustomerID" = 30""",
        "update \"order\" set status = 'paid', updated_at = '2025-06-02' where id = 2",
        "delete from order_lines where order_id = 3 and line_no = 3",
        "insert into products (id, name) values (99, 'Bowl')",
        "insert into order_lines values (4, 9, 99, 7, 2.50, 'late')",
        "update order_lines set qty = 40 where order_id = 5 and line_no = 1",
    )
    lines = erp.build("2025-06-03")
    [records] = [line for line in lines if line.startswith("records: ")]
    assert re.fullmatch(r"records: \d+ read = 5 loaded \+ \d+ known \+ 1 rejected", records)
    erp.run('set search_path = "Sales"', """update "Customers" set "group" = 'A' where "CustomerID" = 1""")
    erp.build("2025-06-05")
    history = erp.ask(
        "select customer_group, cast(valid_from as date) from snapshots.snap_erp__customers "
        "where customer_id = 1 order by valid_from"
    )
    assert [(group, str(day)) for group, day in history] == [
        ("A", "1900-01-01"),
        ("B", "2025-06-03"),
        ("A", "2025-06-05"),
    ]
    orders = "select status, is_current from snapshots.snap_erp__order where order_id = 2 order by valid_from"
    assert erp.ask(orders) == [("new", False), ("paid", True)]
    gone = "select line_no from staging.stg_erp__order_lines where order_id = 3 and is_deleted"
    assert erp.ask(gone) == [(3,)]
    assert erp.ask("select count(*) from snapshots.snap_erp__products where is_current") == [(21,)]
    assert erp.ask(FACT) == erp.source(LINES)
    # An order is what its customer was then: the group that came later is not theirs.
    groups = (
        "select distinct customers.customer_group from erp.fct_order_lines as facts "
        "inner join erp.dim_customers as customers on facts.customer_version_key = customers.customer_version_key"
    )
    assert erp.ask(groups) == [("A",)]
    days = "select sum(order_line_count), sum(qty) from erp.agg_order_lines__daily"
    assert erp.ask(days) == erp.source('select count(*), sum(qty) from "Sales".order_lines')
    # The source changes: what is new is added, what a person wrote stays.
    erp.run(
        'set search_path = "Sales"',
        "alter table products add column colour text",
        "update products set colour = ' red ' where id < 3",
        'create table returns (id int primary key, order_id bigint references "order", why varchar(20))',
        "insert into returns values (1, 5, 'broken')",
        "drop view big_orders",
        'alter table "order" alter column total type numeric(14, 3)',
    )
    contract = erp.clone.project / contract_file("erp")
    edit(contract, "description: The table products of erp.", "description: What we sell.  # as the shop says")
    edit(contract, "earliest: '1930-01-01'", "earliest: '1890-01-01'")
    said.clear()
    with erp.entered():
        scaffold(erp.clone.project, "erp", "", [], [], said.append)
        decide(erp.clone.project, "erp.*", "none", said.append)
    assert [line for line in said if line.startswith(("new", "changed", "gone"))] == [
        "new: erp.products.colour, text, undecided",
        "new: the table Sales.returns, with 3 columns",
        "changed: erp.order.total is numeric(14, 3) at the source, numeric(12,2) in the contract: change it there",
    ]
    assert "description: What we sell.  # as the shop says" in contract.read_text(encoding="utf-8")
    lines = erp.build("2025-06-07")
    [tests] = [line for line in lines if line.startswith("tests: ")]
    assert " 0 warned, 0 failed" in tests
    assert erp.ask("select colour from snapshots.snap_erp__products where product_id = 1 and is_current") == [("red",)]
    assert erp.ask("select why from staging.stg_erp__returns") == [("broken",)]
    # What the contract lets in since is no open reject any more.
    with erp.entered() as target, open_database(target) as database:
        rejects = database.run(f"select reasons, is_resolved from {database.published('ops', 'ops_rejects')}")
    assert rejects == [('["range:born"]', True)]
    with erp.entered():
        said.clear()
        scaffold(erp.clone.project, "erp", "", [], [], said.append)
    assert said[-1] == "erp: its contract has all 51 columns of 9 tables", "and nothing is written"


def test_a_preview_writes_nothing(clone: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(tmp_path / "erp.sqlite")) as connection, connection:
        connection.executescript("""
            create table Customers (
                CustomerID integer primary key, "Full Name" text, Phone text, City text, Rating real
            );
            insert into Customers values (1, 'Ada King', '+44 20 7946 0000', 'London', 4.5)""")
    monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", f"sqlite:///{tmp_path / 'erp.sqlite'}")
    before, lines = {path: path.stat().st_mtime_ns for path in clone.project.rglob("*")}, list[str]()
    preview("erp", [], [], lines.append)
    assert lines == [
        "main.Customers: 1 rows, with history, followed by change table or log, else comparing",
        "  key: customer_id",
        "  none: customer_id, rating",
        "  direct_identifier: full_name, phone",
        "  quasi_identifier: city",
        "Customers: rating is a binary float, and taken rounded to 6 decimals",
    ]
    assert {path: path.stat().st_mtime_ns for path in clone.project.rglob("*")} == before
    scaffold(clone.project, "erp", "commerce", [], [], lines.append)
    table = read_contract("erp", clone.project).table("customers")
    kinds = {column.name: (column.at_source, column.data_type) for column in table.columns}
    assert kinds["customer_id"] == ("CustomerID", "bigint") and kinds["rating"] == ("Rating", "numeric(18,6)")
    lines.clear()
    scaffold(clone.project, "erp", "", [], [], lines.append)
    assert lines == ["erp: its contract has all 5 columns of 1 tables"]


@pytest.mark.parametrize(
    ("url", "schemas", "tables", "message"),
    [
        ("", [], [], "where erp lies isn't said: set SOURCES__ERP__CREDENTIALS"),
        ("oracle://x", [], [], "begins with none of sqlite, postgres"),
        ("sqlite:///{}", ["sales"], [], "erp has no schema sales: it has main"),
        ("sqlite:///{}", [], ["users"], "erp has no table users in main: it has none"),
        ("sqlite:///{}", [], [], "nothing of erp can be followed: it has no tables"),
        ("postgresql://nobody@127.0.0.1:1/x", [], [], "the database of erp refuses: .*; check that it runs"),
    ],
)
def test_what_cannot_be_scaffolded_is_said(
    url: str, schemas: list[str], tables: list[str], message: str, clone: Target, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", url.format(tmp_path / "empty.sqlite"))
    with pytest.raises(BuildError, match=message):
        scaffold(clone.project, "erp", "erp", schemas, tables, lambda line: None)
    assert not (clone.project / contract_file("erp")).exists()
