"""The first star of a scaffolded source: what is chosen, and that it follows its source."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingestion.contract.contracts import contract_file
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target, current_target
from ingestion.domains import variables
from tests.domains.clones import without_domains
from tests.project import evaluator
from tests.project.evaluated import Graph
from tests.project.test_evaluator import exceptions, excepts
from tests.project.test_quality_rules import CATALOGUE, disagreements, known_tests
from tests.warehouses import settings
from warehouse import dbt
from warehouse.build.build import Request, build
from warehouse.database import open_database
from warehouse.errors import BuildError
from warehouse.project.scaffold.decide import decide
from warehouse.project.scaffold.proposal import propose
from warehouse.project.scaffold.scaffold import scaffold
from warehouse.project.scaffold.star.choice import Star, first_star
from warehouse.project.scaffold.star.names import Names, plain_columns
from warehouse.project.scaffold.survey import survey

SHOP = """
create table customers (id integer primary key, name text, city text, created_at timestamp);
create table invoices (
    id integer primary key, customer_id integer references customers, payer_id integer references customers,
    invoice_date date not null, due_date date, status text, total numeric(10,2)
);
create table invoice_lines (
    id integer primary key, invoice_id integer not null references invoices, item_code text, quantity integer,
    unit_price numeric(10,2), line_no integer
);
create table payments (
    id integer primary key, invoice_id integer references invoices, customer_id integer references customers,
    amount numeric(10,2), paid_at timestamp
);
create table tags (invoice_id integer references invoices, tag integer, primary key (invoice_id, tag));
insert into customers values (1, 'Ada', 'London', '2024-01-01'), (2, 'Bob', 'Leeds', '2024-01-01');
insert into invoices values (1, 1, 2, '2024-03-01', null, 'open', 9), (2, 2, null, '2024-03-02', null, 'open', 9);
insert into invoice_lines values (1, 1, 'A', 2, 1.25, 1), (2, 1, 'B', 1, 9.99, 2), (3, 2, 'A', 4, 1.25, 1);
insert into payments values (1, 1, 1, 5.00, '2024-03-05 10:00:00'), (2, null, 2, 7.50, null);
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "erp.sqlite"
    change(file, SHOP)
    monkeypatch.setenv("SOURCES__ERP__CREDENTIALS", f"sqlite:///{file}")
    return file


def change(file: Path, statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(statements)


def chosen(fact: str = "") -> Star | None:
    return first_star("erp", propose(survey("erp")).tables, fact, ["dim_customers"])


def test_what_is_chosen(shop: Path) -> None:
    star = chosen("invoices")
    assert star is not None and star.parent is not None
    assert (star.fact, star.lines.name, star.parent.name) == ("fct_invoice_lines", "invoice_lines", "invoices")
    assert (star.event.alias, star.event_of_parent) == ("invoice_date", True)
    roles = [(role.name, role.dimension.name, role.reference) for role in star.roles]
    assert roles == [
        ("customer", "dim_erp_customers", "documents.customer_id"),
        ("payer", "dim_erp_customers", "documents.payer_id"),
    ]
    assert [column.alias for column in star.measures] == ["quantity"], "neither a price nor a line's number adds up"
    assert star.amount and [column.alias for column in star.amount] == ["quantity", "unit_price"]
    shown = [column.alias for column, _ in star.attributes]
    assert "status" in shown and "total" not in shown, "an invoice's total would be there once for each line"
    assert star.may_move and [column.alias for column in star.touched] == ["invoice_id"]
    payments = chosen("payments")
    assert payments is not None and payments.parent is None
    assert [role.name for role in payments.roles] == ["invoice", "customer"]
    assert chosen("none") is None
    change(
        shop,
        """
        create table visits (
            at timestamp not null, who integer references customers, line integer not null, primary key (at, line)
        );
        insert into visits values ('2024-03-01 09:00:00', 1, 1)""",
    )
    visits = chosen("visits")
    assert visits is not None and [role.name for role in visits.roles] == ["customer"], "no name of its own"
    names = Names("erp", "erp", visits, {}, {}, frozenset())
    assert (names.star.event_at, names.star.event_date) == ("visit_at", "visit_date")
    assert [column.alias for column, _ in plain_columns(names)] == ["line"], "the key's time is there once"
    proposed = chosen()
    assert proposed is not None and proposed.fact == "fct_invoice_lines", "as many dimensions, more rows"


def test_a_time_that_is_text_finds_no_changes(shop: Path, clone: Target) -> None:
    change(
        shop,
        """
        create table things (id integer primary key, name text, updated_at text);
        insert into things values (1, 'Bowl', 'yesterday')""",
    )
    said: list[str] = []
    scaffold(clone.project, "erp", "", [], ["things"], said.append, fact="none")
    assert "things: updated_at is text, not a time: it is compared as a whole" in said
    assert read_contract("erp", clone.project).table("things").modified_at is None


def test_what_is_guessed_of_a_new_table_is_said(shop: Path, clone: Target) -> None:
    scaffold(clone.project, "erp", "", [], [], lambda line: None)
    change(shop, "create table loose (code text, n integer); insert into loose values ('a', 1), ('b', 1)")
    said: list[str] = []
    scaffold(clone.project, "erp", "", [], [], said.append, dry=True)
    assert said[:2] == [
        "new: the table main.loose, with 2 columns",
        "loose: the database holds no key; code is unique in all 2 rows",
    ]


def test_a_star_that_comes_later_goes_by_what_was_changed_since(shop: Path, clone: Target) -> None:
    """A column that got another name in staging, and a key that the contract has otherwise."""
    without_domains(clone.project, keep_list=True)
    scaffold(clone.project, "erp", "", [], [], lambda line: None, fact="none")
    staging = clone.project / "models/staging/erp/stg_erp__invoice_lines.sql"
    text = staging.read_text(encoding="utf-8")
    renamed = text.replace("        quantity,\n", "        quantity as pieces,\n", 1)
    assert renamed != text
    staging.write_text(renamed, encoding="utf-8")
    contract = clone.project / contract_file("erp")
    text = contract.read_text(encoding="utf-8")
    lines = text.index("- name: invoice_lines")
    contract.write_text(
        text[:lines] + text[lines:].replace("key: [id]", "key: [invoice_id, line_no]", 1), encoding="utf-8"
    )
    read_contract.cache_clear()
    scaffold(clone.project, "erp", "", [], [], lambda line: None, fact="invoice_lines")
    fact = (clone.project / "models/marts/erp/fct_invoice_lines.sql").read_text(encoding="utf-8")
    assert "pieces" in fact
    assert "quantity" not in fact
    described = (clone.project / "models/marts/erp/fct_invoice_lines.yml").read_text(encoding="utf-8")
    assert "Key: `invoice_line_key`, made from `invoice_id`, `line_no`." in described


def test_what_is_scaffolded_keeps_the_rules_of_the_project(shop: Path, clone: Target) -> None:
    change(shop, "alter table customers add column country text")
    places = {"WAREHOUSE_DIR": str(clone.folder), "GRANARY_PROJECT_DIR": str(clone.project), "TARGET": "dev"}
    with settings({**places, "SOURCES__ERP__CREDENTIALS": f"sqlite:///{shop}"}):
        for fact in ("invoice_lines", "payments"):
            scaffold(clone.project, "erp", "", [], [], lambda line: None, fact=fact)
        dbt.parse(current_target(), artifacts=True)
        manifest = json.loads(Path(dbt.target_path(current_target()), "manifest.json").read_text(encoding="utf-8"))
    graph = Graph(manifest, variables(clone.project)["dbt_project_evaluator"])
    findings = [(rule.__name__, finding) for rule in evaluator.RULES for finding in rule(graph)]
    assert [each for each in findings if not any(excepts(exception, *each) for exception in exceptions())] == []
    texts = [path.read_text(encoding="utf-8") for each in CATALOGUE for path in sorted(clone.project.glob(each))]
    tests = {name: each for name, each in known_tests(clone.project).items() if name.endswith("is_there_once")}
    missing = [line for line in disagreements(tests, "\n".join(texts)) if "not in the catalogue" in line]
    assert missing == []


def test_few_values_of_a_status_are_accepted_as_seen(shop: Path, clone: Target) -> None:
    values = ("new", "Paid", "it''s late")
    rows = ", ".join(f"({number}, '{values[number % 3]}', 'R{number}')" for number in range(60))
    change(shop, f"create table jobs (id integer primary key, status text, kind text); insert into jobs values {rows}")
    said: list[str] = []
    scaffold(clone.project, "erp", "", [], ["jobs"], said.append, fact="none")
    assert said[0] == (
        "jobs: status accepts Paid, it's late, new, which all 60 rows have: anything else will be a reject; its "
        "contract says so"
    )
    jobs = read_contract("erp", clone.project).table("jobs")
    accepted = {column.name: column.accepted_values for column in jobs.columns}
    assert accepted == {"id": (), "status": ("paid", "it's late", "new"), "kind": ()}


@pytest.mark.parametrize(
    ("fact", "message"),
    [("orders", "FACT=orders is no table that is taken: those are customers, "), ("tags", None)],
)
def test_what_is_no_fact_is_said(fact: str, message: str | None, shop: Path) -> None:
    if message:
        with pytest.raises(BuildError, match=message):
            chosen(fact)
    else:
        star = chosen(fact)
        assert star is not None and star.event.alias == "invoice_date", "what tags belong to says when"
    change(shop, "create table things (id integer primary key, name text)")
    with pytest.raises(BuildError, match="nothing says when what things has happened"):
        chosen("things")


@pytest.mark.slow
def test_lines_that_move_and_dimensions_that_change_are_followed(shop: Path, clone: Target) -> None:
    without_domains(clone.project, keep_list=True)
    places = {
        "GRANARY_PROJECT_DIR": str(clone.project), "WAREHOUSE_DIR": str(clone.folder), "TARGET": "dev",
        "DOMAINS": "erp", "DBT_WRITE_JSON": "false",
        "SOURCES__ERP__CREDENTIALS": f"sqlite:///{shop}",
    }  # fmt: skip

    def asked(question: str) -> list[tuple[Any, ...]]:
        with open_database(current_target()) as database:
            return database.run(question.format(*(database.published("erp", name) for name in NAMES)))

    by_invoice = (
        "select facts.invoice_id, sum(facts.quantity), sum(facts.invoice_line_amount), max(payers.customer_id) "
        "from {0} as facts inner join {1} as payers on facts.payer_version_key = payers.customer_version_key "
        "group by facts.invoice_id order by facts.invoice_id"
    )
    with settings(places):
        scaffold(clone.project, "erp", "", [], [], lambda line: None, fact="invoices")
        decide(clone.project, "erp.*", "none", lambda line: None)
        build(current_target(), Request(), lambda line: None)
        assert [tuple(map(str, row)) for row in asked(by_invoice)] == [
            ("1", "3", "12.4900", "2"),
            ("2", "4", "5.0000", "None"),
        ]
        change(
            shop, "update invoice_lines set invoice_id = 2 where id = 2; update invoices set payer_id = 9 where id = 2"
        )
        build(current_target(), Request(), lambda line: None)
        assert [tuple(map(str, row)) for row in asked(by_invoice)] == [
            ("1", "2", "2.5000", "2"),
            ("2", "5", "14.9900", "9"),
        ]
        assert asked("select is_inferred from {1} where customer_id = 9") == [(True,)]
        days = asked("select invoice_date, quantity from {2} order by invoice_date")
        assert [tuple(map(str, row)) for row in days] == [("2024-03-01", "2"), ("2024-03-02", "5")]


NAMES = ("fct_invoice_lines", "dim_customers", "agg_invoice_lines__daily")
