"""What dashboards ask of the published marts, and how long it takes: p50 and p95 of every single run."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from typing import Any

import duckdb
import psycopg2

from bench.measuring import Measurement, percentile, say
from bench.server import LOGINS
from ingestion.destination.target import Target, libpq

RUNS, RUNS_ON_FACTS = 30, 10  # of each query, in turns
P95_AT_MOST = 0.1  # seconds, over all runs of all queries on aggregates
PLANS = 3

AGGREGATES = {
    "last 30 days by channel": """
        select s.business_date, c.channel_name, sum(s.net_sales_amount), sum(s.document_count)
        from commerce.agg_sales__daily as s inner join commerce.dim_channels as c on s.channel_key = c.channel_key
        where s.business_date > (select max(business_date) - 30 from commerce.agg_sales__daily)
        group by s.business_date, c.channel_name order by s.business_date, c.channel_name""",
    "months by country": """
        select d.month_start_date, c.country_name, sum(s.net_sales_amount)
        from commerce.agg_sales__daily as s
        inner join core.dim_dates as d on s.business_date = d.date_day
        inner join core.dim_countries as c on s.country_key = c.country_key
        group by d.month_start_date, c.country_name order by d.month_start_date, 3 desc""",
    "this year against last, by month": """
        select extract(month from business_date), extract(year from business_date), sum(net_sales_amount)
        from commerce.agg_sales__daily group by 1, 2 order by 1, 2""",
    "share of returns by channel": """
        select c.channel_name, sum(s.returned_amount), sum(s.net_sales_amount)
        from commerce.agg_sales__daily as s inner join commerce.dim_channels as c on s.channel_key = c.channel_key
        group by c.channel_name order by c.channel_name""",
    "top 20 products of the last month": """
        select p.product_name, m.net_sales_amount, m.sales_rank
        from commerce.agg_products__monthly as m
        inner join commerce.dim_products as p on m.product_key = p.product_key and p.is_current
        where
            m.month_start_date = (select max(month_start_date) from commerce.agg_products__monthly)
            and m.sales_rank <= 20
        order by m.sales_rank""",
    "one product over the months": """
        select month_start_date, sold_quantity, net_sales_amount, sales_rank from commerce.agg_products__monthly
        where product_key = (
            select product_key from commerce.agg_products__monthly
            where month_start_date = (select max(month_start_date) from commerce.agg_products__monthly)
            order by sales_rank limit 1
        )
        order by month_start_date""",
    "customers by segment": """
        select segment, customer_count, lifetime_value_amount from commerce.agg_customers__segments
        order by segment""",
    "the hundred best customers": """
        select customer_key, lifetime_value_amount, last_order_date from commerce.agg_customers__lifetime
        order by lifetime_value_amount desc, customer_key limit 100""",
    "cohort triangle": """
        select cohort_month_start_date, months_since_first_order, active_customer_count, retention_rate
        from commerce.agg_cohorts__monthly order by cohort_month_start_date, months_since_first_order""",
    "products at risk of running out": """
        select p.product_name, r.on_hand_quantity, r.days_of_cover from commerce.agg_stock_risk__products as r
        inner join commerce.dim_products as p on r.product_key = p.product_key and p.is_current
        where r.risk_class in ('out', 'high') order by r.days_of_cover, r.product_key limit 50""",
}
ON_FACTS = {
    "sales lines of one month by channel and day": """
        select f.business_date, c.channel_name, count(*), sum(f.net_reporting_amount)
        from commerce.fct_sales as f inner join commerce.dim_channels as c on f.channel_key = c.channel_key
        where f.business_date >= date '2025-11-01' and f.business_date < date '2025-12-01' and f.is_net_sales
        group by f.business_date, c.channel_name""",
    "sales lines of one month by product, the top 20": """
        select f.product_key, sum(f.quantity), sum(f.net_reporting_amount)
        from commerce.fct_sales as f
        where f.business_date >= date '2025-11-01' and f.business_date < date '2025-12-01' and f.is_net_sales
        group by f.product_key order by 3 desc limit 20""",
}


def measure(target: Target, plans: dict[str, list[str]]) -> list[Measurement]:
    """Ask the published marts of one engine what a dashboard asks, many times, over one open connection.

    On Postgres as a reporter and as a tenant, with row security on; a tenant asks what its rights allow.

    Args:
        target: the warehouse.
        plans: gets the plans of the slowest queries (Postgres).
    """
    say(f"{target.engine}: queries")
    if target.engine == "duckdb":
        with closing(duckdb.connect(str(target.published_file), read_only=True)) as connection:
            found = _ask(connection, target.engine, "aggregates", AGGREGATES, P95_AT_MOST)
            return found + _ask(connection, target.engine, "fct_sales, one month", ON_FACTS, None)
    found = []
    for login, (role, _) in LOGINS.items():
        settings: Any = {key: value for key, value in libpq().items() if value} | {"user": login}
        with closing(psycopg2.connect(**settings)) as connection:
            connection.autocommit = True
            aggregates, facts = (_allowed(connection, queries) for queries in (AGGREGATES, ON_FACTS))
            found += _ask(connection, target.engine, "aggregates", aggregates, P95_AT_MOST, f"{role}: ")
            found += _ask(connection, target.engine, "fct_sales, one month", facts, None, f"{role}: ")
            if role == "reporter":
                plans |= _plans(connection, found, aggregates | facts)
    return found


def _allowed(connection: Any, queries: dict[str, str]) -> dict[str, str]:
    """The queries that this login may ask."""
    allowed = {}
    for name, query in queries.items():
        with suppress(psycopg2.errors.InsufficientPrivilege), connection.cursor() as cursor:
            cursor.execute(f"explain {query}")
            allowed[name] = query
    return allowed


def _plans(connection: Any, found: list[Measurement], queries: dict[str, str]) -> dict[str, list[str]]:
    """The plans of the slowest queries, by p95."""
    seconds = {each.what: each.seconds or 0.0 for each in found}
    slowest = sorted(queries, key=lambda name: -seconds.get(f"reporter: {name}: p95", 0.0))[:PLANS]
    plans = {}
    for name in slowest:
        with connection.cursor() as cursor:
            cursor.execute(f"explain (analyze, buffers, costs off, timing off, summary on) {queries[name]}")
            plans[name] = [str(row[0]) for row in cursor.fetchall()]
    return plans


def _ask(
    connection: Any, engine: str, what: str, queries: dict[str, str], at_most: float | None, who: str = ""
) -> list[Measurement]:
    cursor = connection.cursor()
    found: list[Measurement] = []
    answered = {}
    for name, query in queries.items():
        try:
            cursor.execute(query)
            rows = len(cursor.fetchall())
        except (duckdb.Error, psycopg2.Error) as error:
            note = f"fails: {str(error).strip().splitlines()[0]}"
            found.append(Measurement("queries", engine, f"{who}{name}", None, note=note, at_most=at_most))
        else:
            answered[name] = query
            say(f"  {engine}: {name}: {rows:,} rows")
    seconds: dict[str, list[float]] = {name: [] for name in answered}
    for _ in range(RUNS if at_most else RUNS_ON_FACTS):
        for name, query in answered.items():
            started = time.perf_counter()
            cursor.execute(query)
            cursor.fetchall()
            seconds[name].append(time.perf_counter() - started)
    every = [each for values in seconds.values() for each in values]
    for name, values in seconds.items():
        found.append(Measurement("queries", engine, f"{who}{name}: p95", percentile(values, 0.95)))
    if every:
        label = f"{who}{what}: {len(every)} runs of {len(answered)} queries"
        found.append(Measurement("queries", engine, f"{label}: p50", percentile(every, 0.5)))
        p95 = percentile(every, 0.95)
        found.append(Measurement("queries", engine, f"{label}: p95", p95, "seconds", None, p95, at_most=at_most))
    return found
