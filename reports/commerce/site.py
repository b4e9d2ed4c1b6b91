"""The business page, from saved queries."""

from __future__ import annotations

from typing import Any

from reports.site.charts import Chart, Follows, chart, shown
from reports.site.measures import Measures
from reports.site.pages import Figure, Page, whole_months
from reports.site.project import Project

FIRST = 15  # of what there is too much of to draw
LAST_DAYS = 180


def business(measures: Measures, project: Project) -> Page:
    """Sales, customers, products, delivery and stock."""
    currency = measures.currency
    names, months = measures.saved("sales_by_month")
    column = {name: number for number, name in enumerate(names)}
    _, last_day = measures.days()
    as_of = f"Data until {last_day}."
    page = Page(
        "business",
        "Business",
        f"How the company does, by the metrics of the catalogue. Amounts are in {currency.code}. {as_of}",
    )
    whole = whole_months(months, last_day)
    for metric in ("net_sales", "orders", "average_order_value", "active_customers", "return_rate"):
        if not whole:
            break
        now, unit = whole[-1][column[metric]], measures.unit(metric)
        before = f"{shown(whole[-2][column[metric]], unit)} the month before" if len(whole) > 1 else ""
        label = f"{project.metrics[metric].label}, {whole[-1][0]:%B %Y}"
        page.figures.append(
            Figure(label, shown(now, unit), before, f"metrics.html#{metric}", Follows("sales_by_month", (metric,)))
        )

    def over_time(name: str, title: str, query: str, metric: str, *, kind: str = "line", axis: str = "") -> Chart:
        names, rows = measures.saved(query)
        label, unit = project.metrics[metric].label, measures.unit(metric)
        values = [[row[0], row[names.index(metric)]] for row in rows if row[0]]
        return chart(name, title, ["month", label], values, unit=unit, kind=kind, axis=axis or label, note=as_of,
                     follows=Follows(query, (metric,)))  # fmt: skip

    def largest(name: str, title: str, thing: str, query: str, text: str) -> Chart:
        rows = [(label or "none", value) for label, value in measures.ask_for(text)]
        return chart(name, title, [thing, "net sales"], rows, kind="across", unit=currency,
                     axis=f"net sales, {currency.code}", note=as_of,
                     follows=Follows(query, ("net_sales",), first=FIRST))  # fmt: skip

    page.charts += [
        over_time("net-sales", "Net sales", "sales_by_month", "net_sales", kind="bar",
                  axis=f"net sales, {currency.code}"),
        over_time("orders", "Orders", "sales_by_month", "orders"),
        over_time("active-customers", "Active customers", "sales_by_month", "active_customers"),
        over_time("order-value", "Average order value", "sales_by_month", "average_order_value", axis=currency.code),
        over_time("return-rate", "Share of units that came back", "sales_by_month", "return_rate"),
        _stacked_by_channel(measures, as_of),
    ]  # fmt: skip
    names, days = measures.saved("sales_by_day")
    running = [[row[0], row[names.index("net_sales_last_28_days")]] for row in days][-LAST_DAYS:]
    page.charts += [
        chart("last-28-days", "Net sales of the last 28 days, day by day", ["day", "net sales of 28 days"], running,
              unit=currency, axis=currency.code, note=as_of,
              follows=Follows("sales_by_day", ("net_sales_last_28_days",), last=LAST_DAYS)),
        largest("countries", f"Net sales by country, the first {FIRST}", "country", "sales_by_country",
                f"net_sales by country order by -net_sales limit {FIRST}"),
        largest("categories", f"Net sales by category of products, the first {FIRST}", "category", "sales_by_category",
                f"net_sales by category order by -net_sales limit {FIRST}"),
        largest("products", f"Net sales by product, the first {FIRST}", "product", "sales_by_product",
                f"net_sales by product order by -net_sales limit {FIRST}"),
        over_time("new-customers", "New customers", "new_customers_by_month", "new_customers", kind="bar"),
    ]  # fmt: skip
    _, cohorts = measures.saved("retention_by_month")
    page.charts += [
        chart("retention", "Share of customers who buy again, by months since the first order",
              ["months since the first order", "retention"], sorted(cohorts), unit=measures.unit("retention"),
              note=as_of, follows=Follows("retention_by_month", ("retention",))),
        over_time("on-time", "Share of deliveries in time, by order's day", "delivery_by_month", "on_time_delivery"),
    ]  # fmt: skip
    names, risks = measures.saved("stock_by_risk")
    page.charts.append(
        chart("stock", "Units in stock by risk of running out", ["risk", "units on hand"],
              [[row[0], row[names.index("units_on_hand")]] for row in risks], kind="bar", axis="units", note=as_of)
    )  # fmt: skip
    return page


def _stacked_by_channel(measures: Measures, as_of: str) -> Chart:
    query, currency = "sales_by_month_and_channel", measures.currency
    _, rows = measures.saved(query)
    totals: dict[str, float] = {}
    for _, channel, value in rows:
        totals[channel or "none"] = totals.get(channel or "none", 0) + float(value or 0)
    channels = sorted(totals, key=lambda name: -totals[name])
    months: dict[Any, dict[str, Any]] = {month: {} for month, _, _ in rows}
    for month, channel, value in rows:
        months[month][channel or "none"] = value
    table = [[month, *(values.get(name) for name in channels)] for month, values in sorted(months.items())]
    return chart("channels", "Net sales by channel", ["month", *channels], table, kind="stacked", unit=currency,
                 axis=f"net sales, {currency.code}", note=as_of, follows=Follows(query, ("net_sales",)))  # fmt: skip


REPORTS = {"business_report": business}
