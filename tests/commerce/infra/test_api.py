"""The API over the simulated company: every mart whole, a tenant's rows alone, every metric as `make metric` has it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from infra.logins import make_login
from infra.migrate import migrate
from ingestion.destination.target import current_target
from tests.api.served import Served, ask_keys_for_secrets, served
from tests.api.test_rows import rows_of
from tests.commerce.companies import give_rights
from tests.commerce.warehouse.test_metrics import BY_HAND, ENGINES
from tests.tiny.test_rights import ask
from tests.warehouses import connected
from warehouse.people.extract import extract_tenant
from warehouse.reading.metrics import Metrics
from warehouse.reading.query import ask as ask_published
from warehouse.reading.query import open_published

pytestmark = pytest.mark.slow

ALL, RETAIL, SHOP = "company_reporter", "company_retail", "company_shop"
LOGINS: dict[str, list[str]] = {ALL: [], RETAIL: ["retail"], SHOP: ["shop", "accounts"]}
PASSWORD = "a password of this test"


@pytest.fixture(scope="module", params=ENGINES)
def company_api(
    request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """An API over a copy of the company's marts, for a reporter and tenants; on Postgres with a publish's rights."""
    folder = tmp_path_factory.mktemp("company_api")
    if request.param == "duckdb":
        shutil.copytree(built, folder / "warehouse")
        world = SimpleNamespace(folder=folder, place={}, warehouse=folder / "warehouse")
        with served(world, {}, LOGINS) as made:
            yield made
        return
    (folder / "warehouse").mkdir()
    admin = dict(request.getfixturevalue("marts_on_postgres")())
    made_by = Served(SimpleNamespace(place={}, warehouse=folder / "warehouse"), admin, "", folder, None, {}, {})
    with made_by.entered():
        migrate("head", lambda line: None)
        for login, tenants in LOGINS.items():
            make_login(login, "tenant" if tenants else "reporter", tenants, PASSWORD, lambda line: None)
        give_rights()
    ask_keys_for_secrets(admin)
    world = SimpleNamespace(folder=folder, place={}, warehouse=folder / "warehouse")
    with served(world, admin, LOGINS) as made:
        yield made
    with closing(connected(admin)) as connection:
        names = [str(name) for (name,) in ask(connection, "select key_name from access.api_keys")]
        ask(connection, f"drop role {', '.join([*LOGINS, *names])}")


def test_every_mart_is_there_whole(company_api: Served, built: Path) -> None:
    catalog = company_api.get("/catalog", ALL).json()
    assert len(catalog["marts"]) >= 24 and all(
        each["grain"].startswith("One row for each") for each in catalog["marts"]
    )
    rows = 0
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as connection:
        for mart in catalog["marts"]:
            answer = company_api.get(mart["path"], ALL, params={"format": "arrow"})
            table = pa.ipc.open_stream(answer.content).read_all()
            found = connection.execute(f"from {mart['name']}")
            names = [str(column[0]) for column in found.description or ()]
            assert table.column_names == names, mart["name"]
            wanted = rows_of([dict(zip(names, row, strict=True)) for row in found.fetchall()])
            assert rows_of(table.to_pylist()) == wanted, mart["name"]
            rows += table.num_rows
    assert rows > 10_000


def test_a_tenant_reads_its_rows(company_api: Served, built: Path) -> None:
    path = "/marts/commerce/fct_sales?format=arrow&select=sales_line_key,source_key"
    found = pa.ipc.open_stream(company_api.get(path, RETAIL).content).read_all()
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as connection:
        wanted = connection.execute("""
            select cast(sales_line_key as text) from commerce.fct_sales join core.dim_sources using (source_key)
            where source_id = 'retail'""").fetchall()
    assert Counter(found.column(0).to_pylist()) == Counter(key for (key,) in wanted) and wanted
    names = {each["name"] for each in company_api.get("/catalog", RETAIL).json()["marts"]}
    assert names < {each["name"] for each in company_api.get("/catalog", ALL).json()["marts"]}


@pytest.mark.parametrize("login", [RETAIL, SHOP])
def test_a_tenants_metrics_are_those_of_its_rows(company_api: Served, login: str, tmp_path: Path) -> None:
    """Each metric that a tenant may ask, by month, is what SQL says in the tenant's own session, or of its extract."""
    listed = {each["name"] for each in company_api.get("/catalog", login).json()["metrics"]}
    of_all = {each["name"] for each in company_api.get("/catalog", ALL).json()["metrics"]}
    assert {"net_sales", "orders", "average_order_value"} <= listed < of_all
    alike = 0
    with company_api.entered():
        target = current_target()
        file = None if company_api.admin else extract_tenant(target, LOGINS[login], tmp_path, lambda line: None)
        with open_published(target, file=file, login=login, password=PASSWORD) as connection:
            for name in sorted(listed & BY_HAND.keys()):
                wanted = by_month(ask_published(connection, BY_HAND[name])[1])
                asked = {"metrics": name, "group_by": "month"}
                own, whole = (company_api.get("/metrics-query", each, params=asked) for each in (login, ALL))
                assert own.status_code == 200, own.text
                assert by_month([row.values() for row in own.json()["rows"]]) == pytest.approx(wanted, rel=1e-9), name
                alike += by_month([row.values() for row in whole.json()["rows"]]) == wanted
    assert alike < len(listed) / 2, "a tenant's metrics differ from everybody's"
    refused = company_api.get("/metrics-query", login, params={"metrics": (of_all - listed).pop()})
    assert refused.status_code == 400


def by_month(rows: Iterable[Iterable[Any]]) -> dict[str, float]:
    """Values by month. A month without any has none, or a sum of nothing: which of the two is all the same here."""
    pairs = [tuple(row) for row in rows]
    return {str(month): float(value) for month, value in pairs if month is not None and value and float(value)}


def test_every_metric_is_what_the_command_says(company_api: Served) -> None:
    listed = company_api.get("/catalog", ALL).json()["metrics"]
    assert len(listed) >= 25
    with company_api.entered():
        metrics = Metrics(current_target())
        with open_published(current_target()) as connection:
            for each in listed:
                names, wanted = metrics.answer(connection, metrics.read(f"{each['name']} by month"))
                answer = company_api.get("/metrics-query", ALL, params={"metrics": each["name"], "group_by": "month"})
                assert answer.status_code == 200, answer.text
                found = answer.json()["rows"]
                assert [as_number(row) for row in found] == [
                    as_number(dict(zip(names, row, strict=True))) for row in wanted
                ]
    chosen = {
        "metrics": "orders,net_sales",
        "group_by": "channel",
        "channel.in": ["Web", "App"],
        "order_by": "-net_sales",
    }
    rows = company_api.get("/metrics-query", ALL, params=chosen).json()["rows"]
    assert rows and {row["channel_name"] for row in rows} <= {"Web", "App"}
    refused = company_api.get("/metrics-query", ALL, params={"metrics": "nothing"})
    assert refused.status_code == 400 and "there are " in refused.json()["detail"]
    injected = {"metrics": "orders", "group_by": "month", "channel.eq": "{{ 1 }}"}
    assert company_api.get("/metrics-query", ALL, params=injected).status_code == 400


def as_number(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers to twelve digits, for doubles are written differently; all else as text."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    try:
        return None if value is None else float(f"{float(value):.12g}")
    except (TypeError, ValueError):
        return str(value)
