"""The business page, from saved queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ingestion.domains import variables
from reports.site.charts import SHARE, Chart, chart, shown
from reports.site.measures import Measures
from reports.site.pages import Figure, Page
from reports.site.project import Project


def business(measures: Measures, project: Project) -> Page:
    """Sales, customers, products, delivery and stock."""
    currency = str(variables(measures.target.project)["reporting_currency"])
    names, months = measures.saved("sales_by_month")
    column = {name: number for number, name in enumerate(names)}
    last_day = measures.rows("select max(date_day) from {core}.dim_time_spine")[0][0]
    as_of = f"Data until {last_day}."
    page = Page(
        "business",
        "Business",
        f"How the company does, by the metrics of the catalogue. Amounts are in {currency}. {as_of}",
    )
    # The last month is whole only if the data end with it.
    whole = [row for row in months if _end_of_month(row[0]) <= last_day]
    for metric, unit in (("net_sales", currency), ("orders", ""), ("average_order_value", currency),
                         ("active_customers", ""), ("return_rate", SHARE)):  # fmt: skip
        if not whole:
            break
        now = whole[-1][column[metric]]
        before = f"{shown(whole[-2][column[metric]], unit)} the month before" if len(whole) > 1 else ""
        label = f"{project.metrics[metric].label}, {whole[-1][0]:%B %Y}"
        page.figures.append(Figure(label, shown(now, unit), before, f"metrics.html#{metric}"))

    def monthly(name: str, title: str, metrics: list[str], unit: str, kind: str = "line", axis: str = "") -> Chart:
        rows = [[row[0], *(row[column[metric]] for metric in metrics)] for row in months]
        labels = ["month", *(project.metrics[metric].label for metric in metrics)]
        return chart(name, title, labels, rows, unit=unit, kind=kind, axis=axis, note=as_of)

    page.charts += [
        monthly("net-sales", "Net sales by month", ["net_sales"], currency, "bar", f"net sales, {currency}"),
        monthly("orders", "Orders and active customers by month", ["orders", "active_customers"], "", axis="number"),
        monthly("order-value", "Average order value by month", ["average_order_value"], currency, axis=currency),
        monthly("return-rate", "Share of units that came back, by month", ["return_rate"], SHARE),
    ]
    page.charts.append(_stacked_by_channel(measures, currency, as_of))
    names, days = measures.saved("sales_by_day")
    running = [[row[0], row[names.index("net_sales_last_28_days")]] for row in days][-180:]
    page.charts.append(
        chart("last-28-days", "Net sales of the last 28 days, day by day", ["day", "net sales of 28 days"], running,
              unit=currency, axis=currency, note=as_of)
    )  # fmt: skip
    for name, title, text in (
        ("countries", "Net sales by country, the first 15", "net_sales by country order by -net_sales limit 15"),
        ("products", "Net sales by product, the first 15", "net_sales by product order by -net_sales limit 15"),
    ):
        rows = measures.ask_for(text)
        page.charts.append(
            chart(name, title, [name.rstrip("s").replace("ie", "y"), "net sales"], rows, kind="across", unit=currency,
                  axis=f"net sales, {currency}", note=as_of)
        )  # fmt: skip
    names, firsts = measures.saved("new_customers_by_month")
    page.charts.append(
        chart("new-customers", "New customers by month", ["month", "new customers"],
              [[row[0], row[names.index("new_customers")]] for row in firsts if row[0]], kind="bar", note=as_of)
    )  # fmt: skip
    _, cohorts = measures.saved("retention_by_month")
    page.charts.append(
        chart("retention", "Share of customers who buy again, by months since the first order",
              ["months since the first order", "retention"], sorted(cohorts), unit=SHARE, note=as_of)
    )  # fmt: skip
    names, delivered = measures.saved("delivery_by_month")
    page.charts.append(
        chart("on-time", "Share of deliveries in time, by month of the order", ["month", "on time"],
              [[row[0], row[names.index("on_time_delivery")]] for row in delivered], unit=SHARE, note=as_of)
    )  # fmt: skip
    names, risks = measures.saved("stock_by_risk")
    page.charts.append(
        chart("stock", "Units in stock by risk of running out", ["risk", "units on hand"],
              [[row[0], row[names.index("units_on_hand")]] for row in risks], kind="bar", axis="units", note=as_of)
    )  # fmt: skip
    return page


def _end_of_month(first: Any) -> Any:
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def _stacked_by_channel(measures: Measures, currency: str, as_of: str) -> Chart:
    _, rows = measures.saved("sales_by_month_and_channel")
    totals: dict[str, float] = {}
    for _, channel, value in rows:
        totals[channel or "none"] = totals.get(channel or "none", 0) + float(value or 0)
    channels = sorted(totals, key=lambda name: -totals[name])
    months = {month: {} for month, _, _ in rows}  # type: dict[Any, dict[str, Any]]
    for month, channel, value in rows:
        months[month][channel or "none"] = value
    table = [[month, *(values.get(name) for name in channels)] for month, values in sorted(months.items())]
    return chart("channels", "Net sales by month and channel", ["month", *channels], table, kind="stacked",
                 unit=currency, axis=f"net sales, {currency}", note=as_of)  # fmt: skip


REPORTS = {"business_report": business}
