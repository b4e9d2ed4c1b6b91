"""Every metric equals SQL that was written by hand over the marts, on both engines, in all and month by month.

On Postgres the published marts are those of DuckDB, copied: that both engines publish the same is tested elsewhere.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from ingestion.destination.target import current_target
from reports.commerce.site import business
from reports.site import filters
from reports.site.measures import Measures
from reports.site.project import read_project
from tests.reports.metrics import Opened, opened_marts
from tests.warehouses import connected, settings
from warehouse import dbt
from warehouse.errors import BuildError
from warehouse.reading import money
from warehouse.reading.metrics import Question, answer_question
from warehouse.reading.query import ask

pytestmark = pytest.mark.slow

SOLD = "line_type in ('sale', 'service')"
NOBODY = "00000000-0000-0000-0000-000000000000"


def of(fact: str, day: str, value: str, where: str = "true") -> str:
    """A metric's value by month and in all, as rows of (month, value): null is all months together."""
    month = f"cast(date_trunc('month', {day}) as date)"
    return f"""
        select cast(null as date) as month, {value} as value from {fact} where {where}
        union all
        select {month} as month, {value} as value from {fact} where {where} and {day} is not null group by {month}"""


SALES, ORDERS, LIFETIMES = "commerce.fct_sales", "commerce.fct_orders", "commerce.agg_customers__lifetime"
NET = "sum(case when is_net_sales then net_reporting_amount end)"
DOCUMENTS = f"count(distinct case when {SOLD} then sales_document_key end)"
RETURNED = "sum(case when line_type = 'return' then -quantity end)"
UNITS = "sum(case when line_type = 'sale' then quantity end)"
ON_TIME = "sum(case when delivered_at <= placed_at + interval '5 days' then 1 end)"
DAILY = "commerce.agg_sales__daily"
MONTHS = f"""
    (select distinct cast(date_trunc('month', date_day) as date) as month from core.dim_dates
    where date_day between (select min(business_date) from {SALES}) and (select max(business_date) from {SALES}))"""
# The last day of each month that there are metrics for.
LAST_DAYS = """
    (select cast(date_trunc('month', date_day) as date) as month, max(date_day) as last_day
    from core.dim_time_spine group by 1)"""

# By month as (month, value); the row without a month is the whole time. Those without such a row give only months.
BY_HAND = {
    "gross_sales": of(DAILY, "business_date", "sum(gross_sales_amount)"),
    "net_sales": of(DAILY, "business_date", "sum(net_sales_amount)"),
    "units_sold": of(DAILY, "business_date", "sum(sold_quantity)"),
    "units_returned": of(DAILY, "business_date", "sum(returned_quantity)"),
    "orders": of(SALES, "business_date", "count(distinct sales_document_key)", SOLD),
    "active_customers": of(
        SALES, "business_date", "count(distinct customer_key)",
        f"{SOLD} and customer_key <> '{NOBODY}'",
    ),
    "average_order_value": of(SALES, "business_date", f"{NET} / nullif({DOCUMENTS}, 0)"),
    "return_rate": of(SALES, "business_date", f"cast({RETURNED} as double precision) / nullif({UNITS}, 0)"),
    "net_sales_month_to_date": f"""
        select months.month, sum(sales.net_reporting_amount) as value
        from {LAST_DAYS} as months
        inner join {SALES} as sales
            on sales.is_net_sales and sales.business_date between months.month and months.last_day
        group by months.month""",
    "net_sales_last_28_days": f"""
        select months.month, sum(sales.net_reporting_amount) as value
        from {LAST_DAYS} as months
        inner join {SALES} as sales
            on sales.is_net_sales and sales.business_date between months.last_day - 27 and months.last_day
        group by months.month""",
    "delivered_orders": of(ORDERS, "placed_date", "count(*)", "delivered_at is not null"),
    "orders_delivered_on_time": of(ORDERS, "placed_date", ON_TIME),
    "on_time_delivery": of(
        ORDERS, "placed_date", f"cast({ON_TIME} as double precision) / nullif(count(delivered_at), 0)"
    ),
    "payments": of("commerce.fct_payments", "paid_date", "count(*)", "payment_status = 'captured'"),
    "refunds": of("commerce.fct_refunds", "refunded_date", "count(*)"),
    "refunded_amount": of("commerce.fct_refunds", "refunded_date", "sum(refund_reporting_amount)"),
    "new_customers": of(LIFETIMES, "first_order_date", "count(*)"),
    "repeat_customers": of(LIFETIMES, "first_order_date", "sum(case when document_count >= 2 then 1 end)"),
    "repeat_rate": of(LIFETIMES, "first_order_date", "avg(case when document_count >= 2 then 1.0 else 0.0 end)"),
    "lifetime_value": of(LIFETIMES, "first_order_date", "sum(lifetime_value_amount) / count(*)"),
    "cohort_customers": of("commerce.agg_cohorts__monthly", "cohort_month_start_date", "sum(customer_count)"),
    "cohort_active_customers": of(
        "commerce.agg_cohorts__monthly", "cohort_month_start_date", "sum(active_customer_count)"
    ),
    "retention": of(
        "commerce.agg_cohorts__monthly", "cohort_month_start_date",
        "cast(sum(active_customer_count) as double precision) / sum(customer_count)",
    ),
    "units_on_hand": of("commerce.agg_stock_risk__products", "as_of_date", "sum(on_hand_quantity)"),
    "units_sold_a_day": of("commerce.agg_stock_risk__products", "as_of_date", "sum(mean_daily_sold_quantity)"),
    "days_of_cover": of(
        "commerce.agg_stock_risk__products", "as_of_date",
        "sum(on_hand_quantity) / nullif(sum(mean_daily_sold_quantity), 0)",
    ),
    "closing_stock": """
        select cast(date_trunc('month', business_date) as date) as month, sum(closing_quantity) as value
        from commerce.fct_inventory_daily
        where business_date in (
            select max(business_date) from commerce.fct_inventory_daily group by date_trunc('month', business_date))
        group by 1
        union all
        select null, sum(closing_quantity) from commerce.fct_inventory_daily
        where business_date = (select max(business_date) from commerce.fct_inventory_daily)""",
    # The refund is paid back on the payment's day or up to 30 days after it.
    "refund_rate_30_days": of(
        """(select payments.*, exists (
            select 1 from commerce.fct_refunds as refunds
            where refunds.order_key = payments.order_key
                and refunds.refunded_date between payments.paid_date and payments.paid_date + 29) as is_refunded
        from commerce.fct_payments as payments) as payments""",
        "paid_date", "avg(case when is_refunded then 1.0 else 0.0 end)", "payment_status = 'captured'",
    ),
}  # fmt: skip


ENGINES = ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module", params=ENGINES)
def marts(request: pytest.FixtureRequest, built: Path) -> Iterator[Opened]:
    """The published marts of the company, on either engine."""
    environment = {"TARGET": "dev", "WAREHOUSE_DIR": str(built)}
    if request.param == "postgres":
        environment = request.getfixturevalue("marts_on_postgres")()
    with opened_marts(environment) as opened:
        yield opened


def test_every_metric_is_here(marts: Opened) -> None:
    assert {each.name for each in marts.metrics.all()} == {*BY_HAND, "net_sales_growth"}


@pytest.mark.parametrize("name", BY_HAND)
def test_metric_is_what_sql_says(marts: Opened, name: str) -> None:
    expected = marts.by_hand(BY_HAND[name])
    whole = expected.pop(None, None)
    found = {day: value for day, value in marts.rows(Question((name,), ("metric_time__month",))) if day is not None}
    assert expected, "nothing to compare"
    assert {month: value for month, value in found.items() if value is not None} == pytest.approx(
        {month: value for month, value in expected.items() if value is not None}, rel=1e-9
    )
    assert any(expected.values())
    if whole is not None:
        ((value,),) = marts.rows(Question((name,)))
        assert math.isclose(value, whole, rel_tol=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_growth_is_on_the_year_before(engine: str, request: pytest.FixtureRequest, built: Path, tmp_path: Path) -> None:
    """The same sales are put a year earlier at half their amounts: each month has then grown by a hundred percent."""
    earlier = (
        f"create table earlier as select * from {SALES}",
        "update earlier set business_date = business_date - interval '1 year', "
        "net_reporting_amount = net_reporting_amount / 2",
        f"insert into {SALES} select * from earlier",
        "insert into core.dim_time_spine select distinct business_date from earlier "
        "where business_date not in (select date_day from core.dim_time_spine)",
    )
    if engine == "postgres":
        environment = request.getfixturevalue("marts_on_postgres")()
        with closing(connected(environment)) as postgres, postgres.cursor() as cursor:
            for statement in earlier:
                cursor.execute(statement)
    else:
        environment = {"TARGET": "dev", "WAREHOUSE_DIR": str(tmp_path)}
        shutil.copyfile(built / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
        with closing(duckdb.connect(str(tmp_path / "warehouse.duckdb"))) as connection:
            for statement in earlier:
                connection.execute(statement)
    with opened_marts(environment) as marts:
        _, [(first,)] = ask(
            marts.connection, "select cast(min(business_date) + interval '1 year' as date) from earlier"
        )
        rows = marts.rows(Question(("net_sales_growth",), ("metric_time__month",), order_by=("metric_time__month",)))
    grown = [value for month, value in rows if month >= first.replace(day=1)]
    assert len(grown) >= 3 and grown == pytest.approx([1.0] * len(grown), abs=1e-3)
    assert all(value is None for month, value in rows if month < first.replace(day=1))


def test_dimensions_are_those_of_the_time(marts: Opened) -> None:
    """By product category as it was called when it was sold, and by country, channel and source."""
    for word, dimension, key, column in (
        ("product__category_name", "commerce.dim_products", "product_version_key", "category_name"),
        ("country__country_name", "core.dim_countries", "country_key", "country_name"),
        ("channel__channel_name", "commerce.dim_channels", "channel_key", "channel_name"),
        ("source__source_name", "core.dim_sources", "source_key", "source_name"),
    ):
        expected = marts.by_hand(f"""
            select dimension.{column}, sum(sales.net_reporting_amount)
            from {SALES} as sales inner join {dimension} as dimension on sales.{key} = dimension.{key}
            where sales.is_net_sales group by dimension.{column}""")
        found = {label: value for label, value in marts.rows(Question(("net_sales",), (word,))) if value is not None}
        assert found == pytest.approx(expected, rel=1e-9), word
        assert len(found) > 1


def test_every_saved_query_answers(marts: Opened) -> None:
    for name in marts.metrics.saved_queries:
        assert len(marts.rows(Question(saved_query=name))) > 1, name


def test_what_a_page_adds_up_is_the_whole(marts: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every metric that a report's filters follow; by day, or by month where there is too much for a page."""
    target = current_target()
    measures = Measures(target, marts.connection, marts.metrics)
    project = read_project(Path(dbt.target_path(target, published=True)), target.project)
    page = business(measures, project)
    chosen_by = project.dashboards["business_report"].filters
    wholes: dict[str, float] = {}
    by_day = []
    for most in (filters.MOST_CELLS, 300):
        monkeypatch.setattr(filters, "MOST_CELLS", most)
        found = filters.numbers(measures, project, chosen_by, page)
        assert found
        by_day.append(sum(cube["grain"] == "day" for cube in found["cubes"]))
        for cube in found["cubes"]:
            assert len(cube["days"]) <= most
            for part, column in cube["parts"].items():
                ((whole,),) = marts.rows(Question((part,)))
                added = sum(value or 0 for value in column["values"]) / 10 ** column["point"]
                assert added == pytest.approx(wholes.setdefault(part, whole), rel=1e-12), part
            assert set(cube["apart"]) <= {"active_customers"}
    assert {"net_sales", "orders", "units_sold", "new_customers", "delivered_orders"} <= set(wholes)
    assert by_day[0] > by_day[1], "some are given by month instead"
    project.filtered_at["sales_by_country"] = project.tables["agg_products__monthly"]
    with pytest.raises(BuildError, match="sales_by_country is by country__country_name, and agg_products__monthly"):
        filters.numbers(measures, project, chosen_by, page)


def test_questions_in_few_words(marts: Opened) -> None:
    read = marts.metrics.read
    assert read("net_sales") == Question(("net_sales",))
    assert read("net_sales, orders by month, country") == Question(
        ("net_sales", "orders"), ("metric_time__month", "country__country_name"),
        order_by=("metric_time__month", "country__country_name"),
    )  # fmt: skip
    assert read("sales_by_month") == Question(saved_query="sales_by_month")
    few = "net_sales by country where channel = 'by where' and month >= '2024-01-01' order by -net_sales limit 3"
    assert read(few) == Question(
        ("net_sales",), ("country__country_name",), limit=3, order_by=("-net_sales",),
        where=("{{ Dimension('channel__channel_name') }} = 'by where' and "
               "{{ TimeDimension('metric_time', 'month') }} >= '2024-01-01'",),
    )  # fmt: skip
    assert read("--metrics net_sales --group-by metric_time__month --limit 2") == Question(
        ("net_sales",), ("metric_time__month",), limit=2
    )


def test_a_question_with_a_condition_is_answered(marts: Opened) -> None:
    question = marts.metrics.read("net_sales by country where channel = 'Web' order by -net_sales limit 2")
    expected = marts.by_hand(f"""
        select countries.country_name, sum(sales.net_reporting_amount) as net_sales
        from {SALES} as sales
        inner join core.dim_countries as countries on sales.country_key = countries.country_key
        inner join commerce.dim_channels as channels on sales.channel_key = channels.channel_key
        where sales.is_net_sales and channels.channel_name = 'Web'
        group by countries.country_name order by net_sales desc limit 2""")
    assert marts.rows(question) == [*expected.items()] and len(expected) == 2


@pytest.mark.parametrize(("code", "digits"), [("JPY", 0), ("GBP", 2), ("KWD", 3), ("XXX", 2)])
def test_money_has_the_digits_of_its_currency(
    built: Path, monkeypatch: pytest.MonkeyPatch, code: str, digits: int
) -> None:
    """The amounts are the same: only the project's word for what they are in is another."""
    monkeypatch.setattr(money, "variables", lambda project: {money.REPORTING_CURRENCY: code})
    said: list[str] = []
    with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(built)}):
        answer_question(current_target(), "net_sales, orders, return_rate", said.append)
    with closing(duckdb.connect(str(built / "warehouse.duckdb"), read_only=True)) as connection:
        row = connection.execute(f"select round({NET}, {digits}), {DOCUMENTS} from {SALES}").fetchone()
    assert row is not None
    assert said[-1].split()[:2] == [f"{row[0]:.{digits}f}", str(row[1])]
    assert said[-1][len(said[1].split()[0]) - 1].isdigit(), "numbers stand to the right"


def test_a_condition_that_finds_nothing_says_which_values_there_are(marts: Opened) -> None:
    def hints(condition: str, of: str = "net_sales by month") -> list[str]:
        question = marts.metrics.read(f"{of} where {condition}")
        _, rows = marts.metrics.answer(marts.connection, question)
        return marts.metrics.hints(marts.connection, question, rows)

    (hint,) = hints("channel = 'web' and month >= '2024-01-01'")
    assert hint.startswith("no row has channel__channel_name = 'web'; there are 'Web', ")
    # Without a period there is a row, which says nothing.
    (other,) = hints("country = 'Cote d''Ivoire' and channel = 'Web'", "net_sales")
    assert other.startswith("no row has country__country_name = \"Cote d'Ivoire\"; there are '")
    assert hints("channel = 'Web'") == [] == hints("channel = 'Web' and month >= '2999-01-01'")
    mf = marts.metrics.read("--metrics orders --where \"{{ Dimension('channel__channel_name') }} = 'Webb'\"")
    assert "there are 'Web', " in marts.metrics.hints(marts.connection, mf, [])[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("netsales by month", "there is no metric 'netsales': choose from active_customers, "),
        ("net_sales by colour", "'colour' is no dimension of this metric: choose from day, week, "),
        ("net_sales by month limit some", "limit takes a number, not 'some'"),
        ("by month", "no metric was asked for"),
        ("--group-by metric_time__month", "no metric was asked for: give --metrics or --saved-query"),
        ("--metrics net_sales --colour red", "the question is not understood: unrecognized arguments: --colour red"),
    ],
)
def test_what_is_not_understood_is_said(marts: Opened, text: str, message: str) -> None:
    with pytest.raises(BuildError) as raised:
        marts.metrics.read(text)
    assert message in str(raised.value)
