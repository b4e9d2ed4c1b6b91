"""The site as people meet it: in a browser, from a folder, without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlencode, urlsplit

import duckdb
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.warehouses import opened

pytestmark = pytest.mark.slow

REPORTS = ("business", "pipeline", "quality", "storage")
OWN = (*(f"{name}.html" for name in REPORTS), "index.html", "metrics.html", "rules.html", "diagrams.html",
       "glossary.html", "tables/commerce.fct_sales.html", "tables/commerce.dim_customers.html",
       "tables/runs.ops_runs.html")  # fmt: skip
OTHERS = ("lineage/index.html", "lineage/index.html?model=model.granary.fct_sales", "docs/index.html",
          "docs/index.html#!/model/model.granary.fct_sales")  # fmt: skip


class _Links(HTMLParser):
    """The links and the ids of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.add(str(values["id"]))
        for name in ("href", "src"):
            if values.get(name):
                self.links.append(str(values[name]))


def read(path: Path) -> _Links:
    parser = _Links()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def visit(browser: Browser, site: Path, page: str, **options: object) -> tuple[Page, list[str]]:
    """Open a page. Returns it, and what a reader should never meet: errors, and requests that leave the folder."""
    opened_page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
    wrong: list[str] = []
    opened_page.on("console", lambda m: wrong.append(f"console {m.type}: {m.text}") if m.type == "error" else None)
    opened_page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    opened_page.on("requestfailed", lambda request: wrong.append(f"not there: {request.url}"))
    opened_page.on(
        "request", lambda request: wrong.append(f"outside: {request.url}") if not inside(request.url, site) else None
    )
    opened_page.goto(f"file://{site}/{page}")
    opened_page.wait_for_load_state("networkidle")
    return opened_page, wrong


def inside(url: str, site: Path) -> bool:
    return url.startswith((f"file://{site}/", "data:", "blob:"))


@pytest.fixture(scope="module", params=OWN)
def own(request: pytest.FixtureRequest, browser: Browser, site: Path) -> Iterator[tuple[Page, list[str]]]:
    """A page of the site's own, opened once for all that is asked of each; and what a reader should never meet."""
    opened_page, wrong = visit(browser, site, request.param)
    yield opened_page, list(wrong)  # what is asked of it afterwards, by axe too, is no reader's doing
    opened_page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_accessible(own: tuple[Page, list[str]], scheme: Literal["light", "dark"]) -> None:
    page, _ = own
    page.emulate_media(color_scheme=scheme)
    results = Axe().run(page).response
    violations = [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:150]}" for each in results["violations"]]
    assert violations == []
    assert len(results["passes"]) > 15


def test_a_page_fits_a_phone(own: tuple[Page, list[str]]) -> None:
    page, _ = own
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 390", timeout=10_000)
    page.set_viewport_size({"width": 1280, "height": 720})


def test_a_page_shows_no_error_and_asks_nobody_else(own: tuple[Page, list[str]]) -> None:
    page, wrong = own
    assert len(page.inner_text("body")) > 200
    assert wrong == []


@pytest.mark.parametrize("name", OTHERS)
def test_a_page_of_another_tool_shows_no_error_and_asks_nobody_else(browser: Browser, site: Path, name: str) -> None:
    opened_page, wrong = visit(browser, site, name)
    assert len(opened_page.inner_text("body")) > 200
    opened_page.context.close()
    assert wrong == []


def test_lineage_opens_on_a_fact(browser: Browser, site: Path) -> None:
    opened_page, wrong = visit(browser, site, "lineage/index.html")
    opened_page.wait_for_url("**/lineage/index.html?model=model.granary.fct_sales*")
    assert "fct_sales" in opened_page.inner_text("body")
    opened_page.context.close()
    assert wrong == []


def test_each_fact_has_a_diagram_of_its_own(browser: Browser, site: Path) -> None:
    opened_page, _ = visit(browser, site, "diagrams.html")
    listed = opened_page.locator(".jump a").all_inner_texts()
    drawn = {
        section.get_attribute("id"): section.locator(".diagram").text_content() or ""
        for section in opened_page.locator("main section").all()
    }
    smallest = opened_page.evaluate("""() => Math.min(...[...document.querySelectorAll(".diagram svg")].map(
        (svg) => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width))""")
    opened_page.context.close()
    assert listed == [*drawn] and len(listed) == len(list((site / "tables").glob("commerce.fct_*.html")))
    assert all(fact.split(".")[1] in text and "dim_dates" in text for fact, text in drawn.items())
    assert smallest > 0.9, "drawn smaller than it can be read"


def test_every_link_leads_somewhere(site: Path) -> None:
    pages = {path: read(path) for path in site.rglob("*.html") if path.parent.name not in ("lineage", "docs")}
    assert len(pages) > 30
    followed, broken = 0, []
    for path, parsed in pages.items():
        for link in parsed.links:
            parts = urlsplit(link)
            if parts.scheme == "data":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            followed += 1
            anchor = unquote(parts.fragment)
            if parts.scheme or not target.is_file():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif anchor and target in pages and anchor not in pages[target].ids:
                broken.append(f"{path.relative_to(site)}: {link} has no such place")
    assert broken == [] and followed > 1000


def test_everything_links_on(site: Path) -> None:
    """A metric to its mart, a mart to its lineage and dashboards, a dashboard to what it reads."""
    links = {
        name: read(site / name).links for name in ("metrics.html", "tables/commerce.fct_sales.html", "business.html")
    }
    assert "tables/commerce.fct_sales.html" in links["metrics.html"]
    assert {
        "../metrics.html#net_sales",
        "../business.html",
        "../lineage/index.html?model=model.granary.fct_sales",
    } <= set(links["tables/commerce.fct_sales.html"])
    assert {"tables/commerce.fct_sales.html", "metrics.html#net_sales"} <= set(links["business.html"])


@pytest.mark.parametrize("page", REPORTS)
def test_charts_hold_data_with_title_axes_and_a_table(browser: Browser, site: Path, page: str) -> None:
    opened_page, _ = visit(browser, site, f"{page}.html")
    charts = opened_page.evaluate("""() => [...document.querySelectorAll("figure")].map((figure) => {
        const plot = figure.querySelector(".js-plotly-plot");
        return {
            title: figure.querySelector("h2").textContent,
            points: plot.data.map((each) => Math.max(each.x.length, each.y.length)),
            axes: [plot.layout.xaxis.title.text, plot.layout.yaxis.title.text],
            drawn: plot.querySelectorAll(".point, .js-line, .trace path").length,
            rows: figure.querySelectorAll("tbody tr").length,
            wide: plot.getBoundingClientRect().right <= figure.getBoundingClientRect().right + 1,
        };
    })""")
    opened_page.context.close()
    assert len(charts) >= (12 if page == "business" else 2)
    for chart in charts:
        assert chart["title"] and all(chart["axes"]), chart
        assert chart["points"] and all(points == chart["rows"] for points in chart["points"]), chart
        assert chart["drawn"] > 0 and chart["wide"], chart


def test_figures_are_those_of_the_marts(browser: Browser, site: Path, built: Path) -> None:
    """The net sales of the last whole month, by SQL, and as the page says."""
    with opened(built) as connection:
        row = connection.execute("""
            with days as (select max(business_date) as last_day from commerce.agg_sales__daily),
            whole as (
                select case when last_day = last_day(last_day) then date_trunc('month', last_day)
                    else date_trunc('month', last_day) - interval '1 month' end as month from days
            )
            select month, round(sum(net_sales_amount), 2)
            from commerce.agg_sales__daily inner join whole on date_trunc('month', business_date) = whole.month
            group by month""").fetchone()
    assert row is not None
    opened_page, _ = visit(browser, site, "business.html")
    said = opened_page.inner_text(".figures div:first-child")
    opened_page.context.close()
    assert said.split("\n")[:2] == [f"Net sales, {row[0]:%B %Y}", f"{row[1]:,.2f}"]


# The period by days from the last one back, the channel, the country.
CHOICES = [(75, 12, "Web", None), (20, 0, None, "Germany"), (99, 0, "Store", "United Kingdom"), (60, 60, None, None)]
SOLD, NET = "line_type in ('sale', 'service')", "sum(case when is_net_sales then net_reporting_amount end)"
DOCUMENTS = f"count(distinct case when {SOLD} then sales_document_key end)"
RATE = """sum(case when line_type = 'return' then -quantity end)
    / cast(nullif(sum(case when line_type = 'sale' then quantity end), 0) as double)"""
BUYERS = f"""count(distinct case when {SOLD} and customer_key <> '00000000-0000-0000-0000-000000000000'
    then customer_key end)"""


def numbers_of(page: Page, chart: str) -> dict[str, list[float | None]]:
    """The table of a chart: its numbers by what they are about."""
    rows = page.locator(f"#{chart} tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return {row[0]: [number(text) for text in row[1:]] for row in rows if len(row) > 1}


def number(text: str) -> float | None:
    share = 100 if text.endswith("%") else 1
    return None if text == "–" else float(text.replace(",", "").rstrip("%")) / share


@pytest.mark.parametrize(("back", "until", "channel", "country"), CHOICES)
def test_filtered_numbers_are_those_of_the_marts(
    browser: Browser, site: Path, built: Path, back: int, until: int, channel: str | None, country: str | None
) -> None:
    with opened(built) as connection:

        def ask(columns: str, then: str = "", period: bool = True) -> list[tuple[Any, ...]]:
            return connection.execute(f"""
                select {columns}
                from commerce.fct_sales as sales
                inner join commerce.dim_channels as channels using (channel_key)
                inner join core.dim_countries as countries using (country_key)
                where coalesce(channel_name = $channel, $channel is null)
                    and coalesce(country_name = $country, $country is null)
                    {"and business_date between $first and $last" if period else ""} {then}""",
                {"channel": channel, "country": country, **({"first": first, "last": last} if period else {})},
            ).fetchall()  # fmt: skip

        spine = connection.execute("select min(date_day), max(date_day) from core.dim_time_spine").fetchone()
        assert spine is not None
        first, last = (spine[1] - timedelta(days=days) for days in (back, until))
        first = max(first, spine[0])
        bucket = "business_date" if (last - first).days < 62 else "cast(date_trunc('month', business_date) as date)"
        totals = ask(f"{NET}, {DOCUMENTS}, {NET} / nullif({DOCUMENTS}, 0), {RATE}")[0]
        rows = ask(f"{bucket}, {NET}, {NET} / nullif({DOCUMENTS}, 0), {RATE}, {DOCUMENTS}", "group by 1 order by 1")
        countries = ask(f"country_name, {NET}", "group by 1")
        channels = ask(f"channel_name, {NET}", "group by 1")
        buyers = ask(f"cast(date_trunc('month', business_date) as date), {BUYERS}", "group by 1", period=False)
    choice = {"from": first, "to": last, "channel": channel, "country": country}
    opened_page, wrong = visit(browser, site, "business.html#" + urlencode({k: v for k, v in choice.items() if v}))
    figures = [number(text) for text in opened_page.locator(".figures dd:not(.before)").all_inner_texts()]
    seen = {chart: numbers_of(opened_page, chart) for chart in (
        "net-sales", "order-value", "return-rate", "orders", "countries", "channels", "active-customers")}  # fmt: skip
    names = opened_page.locator("#channels thead th").all_text_contents()[1:]
    opened_page.context.close()

    def same(found: float | None, expected: Any, exact: float) -> bool:
        return (found is None) == (expected is None) and (found is None or abs(found - float(expected)) <= exact)

    assert wrong == [] and len(rows) >= (1 if back == until else 3)
    assert [
        same(*each, exact)
        for *each, exact in zip(
            (figures[0], figures[1], figures[2], figures[4]), totals, (0.0051, 0, 0.0051, 0.00051), strict=True
        )
    ] == [True] * 4
    for at, (chart, exact) in enumerate(
        {"net-sales": 0.0051, "order-value": 0.0051, "return-rate": 0.00051, "orders": 0}.items(), start=1
    ):
        assert [*seen[chart]] == [str(row[0]) for row in rows], chart
        assert all(same(seen[chart][str(row[0])][0], row[at], exact) for row in rows), chart
    assert {name: values[0] for name, values in seen["countries"].items()} == pytest.approx(
        {name: float(value) for name, value in countries if value is not None}, abs=0.0051
    )
    by_channel = {name: sum(values[at] or 0 for values in seen["channels"].values()) for at, name in enumerate(names)}
    assert by_channel == pytest.approx({name: float(value or 0) for name, value in channels}, abs=0.5)
    # Of months of which a part is picked nothing is said.
    whole = {
        month: count
        for month, count in buyers
        if max(month, spine[0]) >= first and min(_last_day(month), spine[1]) <= last
    }
    assert {name: values[0] for name, values in seen["active-customers"].items()} == {
        str(month): count for month, count in whole.items()
    }


def _last_day(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def test_a_choice_drills_down_and_is_kept_in_the_link(browser: Browser, site: Path, built: Path) -> None:
    opened_page, wrong = visit(browser, site, "business.html")
    before = numbers_of(opened_page, "net-sales")
    opened_page.select_option("[name=channel]", "Web")
    for summary in opened_page.locator("#categories summary, #countries summary, #net-sales summary").all():
        summary.click()
    opened_page.click("#net-sales .leads >> nth=1")
    opened_page.click("#countries .leads >> text=Germany")
    opened_page.click("#categories .leads >> nth=0")
    month = [*before][1]
    days = numbers_of(opened_page, "net-sales")
    products = numbers_of(opened_page, "categories")
    link = opened_page.url
    assert all(day.startswith(month[:7]) for day in days) and len(days) > 5
    assert opened_page.locator("#categories .back").is_visible()
    assert "Germany" in opened_page.inner_text("#filters [role=status]")

    sent, _ = visit(browser, site, link.rsplit("/", 1)[1])
    assert numbers_of(sent, "net-sales") == days and numbers_of(sent, "categories") == products
    assert sent.input_value("[name=country]") == "Germany"
    sent.context.close()

    opened_page.go_back()
    assert not opened_page.locator("#categories .back").is_visible()
    opened_page.click("#filters [type=reset]")
    assert numbers_of(opened_page, "net-sales") == before and "#" not in opened_page.url
    bar = opened_page.locator("#chart-countries .point >> nth=0")
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    assert box
    opened_page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened_page.wait_for_selector("#chart-countries .hovertext")
    opened_page.mouse.down()
    opened_page.mouse.up()
    opened_page.wait_for_url("**#country=*")
    opened_page.context.close()
    assert wrong == []


def test_without_a_script_the_page_shows_all(browser: Browser, site: Path) -> None:
    plain, _ = visit(browser, site, "business.html", java_script_enabled=False)
    whole, _ = visit(browser, site, "business.html")
    assert plain.is_hidden("#filters") and whole.is_visible("#filters")
    charts = [each.get_attribute("id") or "" for each in whole.locator("figure").all()]
    for chart in charts:
        assert numbers_of(plain, chart) == numbers_of(whole, chart) != {}, chart
    assert plain.locator(".figures").inner_text() == whole.locator(".figures").inner_text()
    plain.context.close()
    whole.context.close()


def test_what_can_not_follow_says_so(browser: Browser, site: Path) -> None:
    opened_page, _ = visit(browser, site, "business.html#from=2000-01-01&to=2100-01-01&channel=Web&colour=red")
    said = {
        each.get_attribute("id"): each.locator(".limits").all_inner_texts()
        for each in opened_page.locator("figure").all()
    }
    assert opened_page.locator("[name=period] option:checked").inner_text() == "all"
    opened_page.select_option("[name=period]", "the last 28 days")
    customers = opened_page.inner_text(".figures div:nth-child(4)")
    opened_page.context.close()
    assert said["net-sales"] == [] and said["stock"] == ["Not filtered."]
    assert said["products"] == ["Not filtered by channel, country. Whole months only."]
    assert said["on-time"] == ["Not filtered by country."]
    assert said["active-customers"] == ["Counted anew for each month and choice: whole months only."]
    assert "–" in customers and "can't be added up" in customers


def test_a_page_holds_nothing_finer_than_a_published_aggregate(site: Path, built: Path) -> None:
    text = (site / "business.html").read_text(encoding="utf-8")
    found = re.search(r'id="numbers">(.*?)</script>', text, re.DOTALL)
    assert found
    cubes = json.loads(found[1])["cubes"]
    with opened(built) as connection:
        for grain, dimensions, cells in (
            ("day", ["channel__channel_name", "country__country_name"],
             "select distinct business_date, channel_key, country_key from commerce.agg_sales__daily"),
            ("month", ["product__category_name", "product__product_name"],
             "select product_key, month_start_date from commerce.agg_products__monthly"),
        ):  # fmt: skip
            (cube,) = (each for each in cubes if each["dimensions"] == dimensions)
            rows = connection.execute(f"select count(*) from ({cells})").fetchone()
            assert rows and cube["grain"] == grain and 0 < len(cube["days"]) <= rows[0] * 1.1
    assert {each for cube in cubes for each in cube["dimensions"]} == {
        "channel__channel_name", "country__country_name", "product__category_name", "product__product_name",
        "cohort_month__months_since_first_order",
    }  # fmt: skip
    assert len(found[1]) < 1_000_000


def test_search_finds_tables_columns_and_metrics(browser: Browser, site: Path) -> None:
    opened_page, wrong = visit(browser, site, "tables/commerce.fct_sales.html")
    for asked, found in (
        ("fct_orders", "commerce.fct_orders"),
        ("return rate", "return_rate"),
        ("placed_to_paid", "placed_to_paid_seconds"),
        ("agg_unrated", "commerce.agg_unrated_sales__daily"),
    ):
        opened_page.fill("#search", asked)
        assert found in opened_page.inner_text("#found li:first-child"), asked
        for width in (390, 900, 1280, 1920):
            opened_page.set_viewport_size({"width": width, "height": 720})
            box = opened_page.locator("#found").bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width, (width, box)
            cut = opened_page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(found)")
            assert cut == 0, (asked, width)
    opened_page.fill("#search", "lifetime value")
    opened_page.keyboard.press("ArrowDown")
    assert opened_page.get_attribute("#search", "aria-activedescendant") == "found-0"
    opened_page.keyboard.press("Enter")
    opened_page.wait_for_url(re.compile(r"/(metrics|tables/).*"))
    opened_page.fill("#search", "nothing is called this")
    assert opened_page.is_hidden("#found")
    opened_page.context.close()
    assert wrong == []


def test_the_sql_of_each_metric_runs_on_the_published_file(site: Path, built: Path) -> None:
    page = (site / "metrics.html").read_text(encoding="utf-8")
    statements = re.findall(r"<pre tabindex=\"0\"><code>(.*?)</code></pre>", page, re.DOTALL)
    assert len(statements) == len(re.findall(r'<li><a href="#', page)) > 20
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as connection:
        for statement in statements:
            assert connection.execute(unescape(statement)).fetchall()


def test_the_keyboard_reaches_everything(browser: Browser, site: Path) -> None:
    opened_page, _ = visit(browser, site, "business.html")
    opened_page.keyboard.press("Tab")
    assert opened_page.evaluate("document.activeElement.className") == "skip"
    opened_page.keyboard.press("Enter")
    assert opened_page.evaluate("document.activeElement.id") == "content"
    reached = set()
    for _ in range(80):
        opened_page.keyboard.press("Tab")
        reached.add(opened_page.evaluate("document.activeElement.tagName"))
        if opened_page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    opened_page.keyboard.press("Enter")
    assert "SUMMARY" in reached
    assert opened_page.evaluate("document.activeElement.parentElement.open")
    outline = opened_page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    opened_page.context.close()
    assert outline == "solid"


def test_print_leaves_out_what_paper_can_not_do(browser: Browser, site: Path) -> None:
    opened_page, _ = visit(browser, site, "business.html", color_scheme="dark")
    opened_page.emulate_media(media="print")
    assert opened_page.is_hidden("nav") and opened_page.is_hidden(".search")
    background = opened_page.evaluate("getComputedStyle(document.body).backgroundColor")
    opened_page.context.close()
    assert background == "rgb(255, 255, 255)"
