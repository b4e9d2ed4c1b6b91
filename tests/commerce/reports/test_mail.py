"""The company's reports by mail: its metrics with the week before, its page as PDF, each tenant's own sales."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser

from ingestion.destination.target import current_target
from reports.delivery.run import deliver
from reports.delivery.subscriptions import read_subscriptions
from tests.reports.delivery.post import Server, printed, seen, sheets
from tests.warehouses import settings

pytestmark = pytest.mark.slow
SALES = """
    select sum(net_reporting_amount) from commerce.fct_sales as sales
    inner join core.dim_sources as sources on sales.source_key = sources.source_key
    where is_net_sales and business_date between '{}' and '{}' and source_id in ('{}')"""


@pytest.fixture(scope="module")
def sent(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], EmailMessage]]:
    """All of the company's reports, by subject and recipient."""
    folder, server = tmp_path_factory.mktemp("mail") / "warehouse", Server()
    shutil.copytree(built, folder)
    with server.running(), pytest.MonkeyPatch.context() as patch:
        for name, value in server.settings.items():
            patch.setenv(name, value)
        with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(folder)}):
            target = current_target()
            found = [each for each in read_subscriptions(target.project).values() if each.domain]
            lines: list[str] = []
            counts = deliver(target, found, datetime.now(UTC), lines.append, by_hand=True)
            assert set(counts) == {"sent"}, lines
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
