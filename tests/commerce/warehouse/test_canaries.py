"""Canaries: a value of its own in every identifier of every source, good records and bad, is found nowhere but in the
crosswalk: in no relation, published or not, no file, no log, no page."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingestion.contract.contracts import Table
from ingestion.contract.reading import read_contract, source_names
from ingestion.destination.target import current_target
from ingestion.duck import connect, load_extension
from ingestion.project import PROJECT_ROOT
from reports.site.build import build_site
from tests.commerce.warehouse.small_shop import SmallShop, account, user_id
from tests.commerce.warehouse.test_history_builds import ENGINES
from tests.crosswalks import identifiers
from tests.warehouses import as_environment
from warehouse.errors import BuildError
from warehouse.ops.status import print_status

pytestmark = pytest.mark.slow

BIRD = "canary"
USER = {"email": f"{BIRD}.{{}}@example.com", "first_name": f"{BIRD} first {{}}", "last_name": f"{BIRD} last {{}}"}


def birds(number: int) -> dict[str, str]:
    """A user's, or an account's, identifiers."""
    return {name: value.format(number) for name, value in USER.items()}


@dataclass(frozen=True)
class Planted:
    shop: SmallShop
    values: set[str]
    said: list[str]


@pytest.fixture(scope="module", params=ENGINES)
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A shop full of canaries, built and published twice, with a build that failed in between."""
    folder = tmp_path_factory.mktemp("canaries")
    engine: dict[str, str] = {}
    if request.param == "postgres":
        engine = {"TARGET": "prod", **as_environment(request.getfixturevalue("new_postgres_database")())}
    shop = SmallShop(folder, engine)
    values: set[str] = set()

    def user(number: int, at: str, **broken: Any) -> None:
        said = {**birds(number), **broken}
        values.update(said[name] for name in USER)
        shop.log("users", at, id=user_id(number), **said)

    def person(number: int, at: str, **broken: Any) -> dict[str, Any]:
        profile = {
            "bio": f"{BIRD} bio {number}", "avatar": f"https://{BIRD}.example/{number}", "phone": f"{BIRD} {number}",
            "location": f"{BIRD} town {number}", "preferences": {"theme": "dark"},
        }  # fmt: skip
        said = {**birds(number), "profile": profile, **broken}
        values.update(said[name] for name in USER)
        return account(number, at, **said)

    user(1, "06-01 00:00:00")
    user(2, "06-01 00:00:00", status="no state")  # a reject
    user(3, "06-01 00:00:00", email=f"{BIRD} is no address")  # a reject
    for number in (1, 2):
        lines = {"line_1": f"{BIRD} street {number}", "line_2": f"{BIRD} floor {number}"}
        values.update(lines.values())
        shop.put("06-01 00:00:00", id=number, user_id=user_id(number), kind="shipping" if number == 1 else "?", **lines)
    shop.log("categories", "06-01 00:00:00", id=1, name="Tea")
    shop.log("products", "06-01 00:00:00", id=1, sku="P1", name="Mug", category_id=1)
    shop.log("orders", "06-10 12:00:00", id=1, user_id=user_id(1), placed_at="06-10 12:00:00", shipping_address_id=1)
    shop.log("order_items", "06-10 12:00:00", id=1, order_id=1, product_id=1)
    shop.accounts = [
        person(1, "06-02T00:00:00"),
        person(4, "06-02T00:00:00", status="no state"),  # a reject
        person(5, "06-02T00:00:00", email=f"{BIRD}@home"),  # a reject
        person(6, "06-02T00:00:00", profile=f"{BIRD} text"),
    ]
    said = shop.publish("06-20T00:00:00", tested=True)
    with pytest.raises(BuildError) as failure:
        broken_build(shop)
    said.append(str(failure.value))
    user(7, "06-21 00:00:00")
    said += shop.publish("06-22T00:00:00")
    return Planted(shop, values, said)


def broken_build(shop: SmallShop) -> None:
    """A build that fails while it has the canaries' records in hand: the source breaks off."""
    shop.accounts.append({"id": "acc_9", "email": f"{BIRD}.9@example.com", "updated_at": "2025-06-21T00:00:00Z"})
    shop._run("alter table addresses rename column line_1 to street")
    try:
        shop.publish("06-21T00:00:00")
    finally:
        shop._run("alter table addresses rename column street to line_1")


def identifying_tables() -> list[Table]:
    return [table for source in source_names() for table in read_contract(source).tables if table.identifiers]


def cells(shop: SmallShop) -> dict[str, int]:
    """Rows with a canary in them, by relation; and how many relations were looked at, as ``."""
    with closing(connect()) as connection, shop.entered():
        if shop.engine:
            load_extension(connection, "postgres_scanner")
            connection.execute("attach '' as there (type postgres, read_only)")
        else:
            # As a build has them: its views name the generation that is being built.
            for file, name in (("build", "build"), ("warehouse__next", "marts"), ("warehouse", "published"),
                               ("runs", "runs")):  # fmt: skip
                connection.execute(f"attach '{shop.warehouse / file}.duckdb' as {name} (read_only)")
        tables = connection.execute(
            "select database_name, schema_name, table_name from duckdb_tables() where not internal "
            "union all select database_name, schema_name, view_name from duckdb_views() where not internal"
        ).fetchall()
        found = {"": 0}
        for parts in tables:
            name = ".".join(f'"{part}"' for part in parts)
            found[""] += 1
            row = connection.execute(
                f"select count(*) from (select cast(t as varchar) as text from {name} as t) where text ilike '%{BIRD}%'"
            ).fetchone()
            if row and row[0]:
                found[name] = int(row[0])
    return found


def files_with_a_canary(*folders: Path) -> tuple[list[str], int]:
    """The files in which a canary can be read as it was written, and how many were looked at."""
    found, looked = [], 0
    for folder in folders:
        for file in (each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()):
            looked += 1
            if BIRD.encode() in file.read_bytes().lower():
                found.append(str(file))
    return found, looked


def test_every_identifier_has_its_canary(planted: Planted) -> None:
    """What follows would hold of an empty warehouse too: here they are, each behind its token."""
    known = {value.lower() for value in identifiers().values()}
    assert {value.lower() for value in planted.values} <= known
    assert any(f"{BIRD} bio 1" in value and f"{BIRD} town 1" in value for value in known)
    columns = {(table.source, column.name) for table in identifying_tables() for column in table.identifiers}
    assert columns == {
        ("shop", "email"), ("shop", "first_name"), ("shop", "last_name"), ("shop", "line_1"), ("shop", "line_2"),
        ("accounts", "email"), ("accounts", "first_name"), ("accounts", "last_name"), ("accounts", "profile"),
    }, "a new identifier needs a canary of its own"  # fmt: skip
    rows = planted.shop.ask(lambda database: f"select count(*) from {database.raw('shop', 'rejects')}")
    assert rows == [(3,)]


def test_no_relation_has_a_canary(planted: Planted, capsys: pytest.CaptureFixture[str]) -> None:
    found = cells(planted.shop)
    looked = found.pop("")
    assert found == {} and looked > 100
    with capsys.disabled():
        print(f"\n{len(planted.values)} canaries, {looked} relations, 0 found")


def test_no_file_has_a_canary(planted: Planted, tmp_path: Path) -> None:
    """Neither the warehouse's own, nor a page of the site, its reports and dbt's docs among them, nor a log."""
    pages = tmp_path / "site"
    with planted.shop.entered():
        build_site(current_target(), pages, lambda line: None)
    assert (pages / "business.html").exists() and (pages / "docs" / "index.html").exists()
    assert "commerce.fct_sales" in (pages / "index.html").read_text(encoding="utf-8")
    logs = [Path(os.environ.get(name, PROJECT_ROOT / "target")) for name in ("DBT_TARGET_PATH", "DBT_LOG_PATH")]
    found, looked = files_with_a_canary(planted.shop.warehouse, pages, *logs, PROJECT_ROOT / "logs")
    assert [name for name in found if not name.endswith(".py")] == [] and looked > 10


def test_nobody_says_a_canary(planted: Planted) -> None:
    said = list(planted.said)
    with planted.shop.entered():
        print_status(current_target(), said.append)
    assert len(said) > 20 and not [line for line in said if BIRD in line.lower()]


def test_customers_are_matched_by_their_tokens(planted: Planted) -> None:
    rows = planted.shop.ask(
        lambda database: (
            f"select customer_id, account_id, email_token from {database.published('commerce', 'dim_customers')} "
            f"where is_current and customer_id = '{user_id(1)}'"
        )
    )
    assert [row[:2] for row in rows] == [(user_id(1), "acc_1")]
    assert identifiers()[rows[0][2]] == f"{BIRD}.1@example.com"
