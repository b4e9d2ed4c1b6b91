"""The company's reports by mail: its metrics with the week before, its page as PDF, each tenant's own sales."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser

from infra.logins import make_login
from infra.migrate import migrate
from ingestion.destination.target import current_target
from reports.commerce import site
from reports.delivery.run import deliver
from reports.delivery.subscriptions import Group, Subscription, read_subscriptions
from reports.site.charts import chart, shown
from reports.site.measures import Measures
from reports.site.pages import Figure, Page
from reports.site.project import Project
from tests.commerce.companies import give_rights
from tests.commerce.warehouse.test_metrics import ENGINES
from tests.reports.delivery.post import Server, printed, seen, sheets
from tests.warehouses import connected, settings

pytestmark = pytest.mark.slow
SALES = """
    select sum(net_reporting_amount) from commerce.fct_sales as sales
    inner join core.dim_sources as sources on sales.source_key = sources.source_key
    where is_net_sales and business_date between '{}' and '{}' and source_id in ('{}')"""


# On Postgres whom the reports are read as; PAGE is one that tenants may read, beside the example's.
LOGINS = {"sales_reports": [], "retail_reports": ["retail"], "shop_reports": ["shop"]}
PAGE = "own_sales"


def own_sales(measures: Measures, project: Project) -> Page:
    """A page of what a tenant may read."""
    rows = [row for row in measures.ask_for("net_sales by month") if row[0]]
    month, value = rows[-2]
    figure = Figure(f"Net sales, {month:%B %Y}", shown(value, measures.unit("net_sales")))
    drawn = chart(PAGE, "Net sales", ["month", "net sales"], rows, kind="bar", unit=measures.currency)
    return Page(PAGE, "Own sales", "What was sold.", [figure], [drawn])


@pytest.fixture(scope="module", params=ENGINES)
def warehouse(
    request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The variables of a copy of the company's marts, on Postgres with the logins that its reports are read as."""
    folder = tmp_path_factory.mktemp("mail") / "warehouse"
    if request.param == "duckdb":
        shutil.copytree(built, folder)
        yield {"TARGET": "dev", "WAREHOUSE_DIR": str(folder)}
        return
    folder.mkdir()
    admin = request.getfixturevalue("marts_on_postgres")() | {"WAREHOUSE_DIR": str(folder)}
    with settings(admin):
        migrate("head", lambda line: None)
        for login, tenants in LOGINS.items():
            make_login(login, "tenant" if tenants else "reporter", tenants, "a test's password", lambda line: None)
        give_rights()
    yield admin
    with closing(connected(admin)) as connection, connection.cursor() as cursor:
        cursor.execute(f"drop role {', '.join(LOGINS)}")


def to_tenants(subscription: Subscription, name: str, page: str) -> Subscription:
    """A page's subscription, for two tenants."""
    groups = tuple(Group(login, tuple(of), (f"{of[0]}@example.com",)) for login, of in LOGINS.items() if of)
    return replace(subscription, name=name, title="Own sales", asked=page, groups=groups)


@pytest.fixture(scope="module")
def sent(warehouse: dict[str, str]) -> Iterator[dict[tuple[str, str], EmailMessage]]:
    """All of the company's reports, and a page for two tenants, by subject and recipient."""
    server = Server()
    with server.running(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(site.REPORTS, PAGE, own_sales)
        for name, value in server.settings.items():
            patch.setenv(name, value)
        with settings(warehouse):
            target = current_target()
            found = {each.name: each for each in read_subscriptions(target.project).values() if each.domain}
            page = to_tenants(found["business_of_the_month"], PAGE, PAGE)
            lines: list[str] = []
            counts = deliver(target, [*found.values(), page], datetime.now(UTC), lines.append, by_hand=True)
            assert set(counts) == {"sent"}, lines
            # What reads more than a tenant may is nobody's report: no mail, and a reason.
            beyond = to_tenants(found["business_of_the_month"], "beyond", "business_report")
            counts = deliver(target, [beyond], datetime.now(UTC), lines.append, by_hand=True)
            assert counts == {"failed": 2} and "agg_" in lines[-1], lines[-2:]
        yield {(mail["Subject"].partition(":")[0], mail["To"]): mail for mail in server.mails}


def asked(built: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def money(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


@pytest.mark.parametrize("to", ["sales@example.com", "retail@example.com", "shop@example.com"])
def test_net_sales_of_the_week(
    sent: dict[tuple[str, str], EmailMessage], built: Path, browser: Browser, tmp_path: Path, to: str
) -> None:
    """A hundred days from 1 January 2024: the last whole week is the fourteenth, for each tenant its own."""
    mail = sent["Net sales of the week", to]
    assert mail["Subject"] == "Net sales of the week: week 14, 1 April 2024 to 7 April 2024"
    shown = seen(mail, browser, tmp_path)
    sources = {"sales": "shop', 'retail", "retail": "retail", "shop": "shop"}[to.partition("@")[0]]
    ((now,),) = asked(built, SALES.format("2024-04-01", "2024-04-07", sources))
    ((before,),) = asked(built, SALES.format("2024-03-25", "2024-03-31", sources))
    assert (
        f"Net sales, GBP\n{money(now)}\n{money(before)} the week before, {float(now / before - 1):+.1%}" in shown.text
    )
    ((head, *rows),) = shown.tables
    assert head[:4] == ["country", "net sales", "before", "change"]
    paid = sum(Decimal(row[1].replace(",", "")) for row in rows if row[1] != "–")
    assert abs(paid - now) < Decimal("0.01") * len(rows)
    assert shown.left == [] and shown.pictures[0] > 1000


@pytest.mark.parametrize("tenant", ["retail", "shop"])
def test_a_page_for_two_tenants_shows_each_its_own(
    sent: dict[tuple[str, str], EmailMessage], built: Path, tenant: str
) -> None:
    text = " ".join(" ".join(printed(sent["Own sales", f"{tenant}@example.com"])).split())
    months = {each: asked(built, SALES.format("2024-03-01", "2024-03-31", each))[0][0] for each in ("retail", "shop")}
    other = months["shop" if tenant == "retail" else "retail"]
    assert f"Net sales, March 2024 {money(months[tenant])}" in text and money(other) not in text


def test_products_of_the_month(sent: dict[tuple[str, str], EmailMessage], built: Path) -> None:
    book = sheets(sent["Products of the month", "sales@example.com"])
    head, *rows = book["Products of the month"]
    assert head[:3] == ("product", "net sales amount, GBP", "before, GBP")
    expected = asked(
        built,
        "select product_name, sum(net_reporting_amount) from commerce.fct_sales inner join commerce.dim_products "
        "using (product_version_key) where is_net_sales and business_date between '2024-03-01' and '2024-03-31' "
        "group by 1",
    )
    assert {(row[0], Decimal(str(row[1])).quantize(Decimal("0.0001"))) for row in rows} == set(expected)
    assert len(rows) > 100


def test_the_business_as_pdf(sent: dict[tuple[str, str], EmailMessage], built: Path) -> None:
    text = " ".join(" ".join(printed(sent["The business, month by month", "board@example.com"])).split())
    ((march,),) = asked(built, SALES.format("2024-03-01", "2024-03-31", "shop', 'retail"))
    assert f"Net sales, March 2024 {money(march)}" in text and "Period: March 2024" in text
