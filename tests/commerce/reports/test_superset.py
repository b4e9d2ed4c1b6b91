"""Superset as `make bi` starts it: both dashboards in a browser, true numbers, files that come back as they were."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect
from playwright.sync_api import TimeoutError as NotInTime

from ingestion.destination.target import current_target
from ingestion.project import PROJECT_ROOT
from reports.superset.__main__ import BUNDLE, REPORTS, bundles
from tests.commerce.warehouse.test_metrics import ENGINES, NET
from tests.ports import free_port
from tests.reports.metrics import compare_datasets, opened_marts
from tests.warehouses import connected, settings
from warehouse.reading.query import ask, open_published

pytestmark = [pytest.mark.slow, pytest.mark.systems]

PASSWORD = "a password of this test"
READER, WRITER = "granary_bi_reader", "granary_bi_writer"


@dataclass(frozen=True)
class Superset:
    url: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def on_postgres(
    marts_on_postgres: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The variables of a Postgres warehouse, with a login that only reads and one that may write."""
    made = {**marts_on_postgres(), "WAREHOUSE_DIR": str(tmp_path_factory.mktemp("bi"))}
    with closing(connected(made)) as owner, owner.cursor() as cursor:
        for login in (READER, WRITER):
            cursor.execute(f"create role {login} login")
        for schema in ("commerce", "core", "ops", "runs"):
            cursor.execute(f"grant usage on schema {schema} to {READER}, {WRITER}")
            cursor.execute(f"grant select on all tables in schema {schema} to {READER}, {WRITER}")
        cursor.execute(f"grant insert on core.dim_dates to {WRITER}")
    return {**made, "BI__PGUSER": READER}


@pytest.fixture(scope="module", params=ENGINES)
def environment(request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The variables of a warehouse on either engine."""
    if request.param == "postgres":
        return request.getfixturevalue("on_postgres")
    folder = tmp_path_factory.mktemp("bi") / "warehouse"
    shutil.copytree(built, folder)
    return {"TARGET": "dev", "WAREHOUSE_DIR": str(folder)}


def make(*arguments: str) -> list[str]:
    return ["make", "--no-print-directory", *arguments]


def plain(environment: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "BI__", "MAKE"))}
    return {**kept, **environment, "BI__ADMIN_PASSWORD": PASSWORD}


@contextmanager
def started(environment: dict[str, str], log: Path) -> Iterator[str]:
    """`make bi` on a free port, until it answers. Yields its address."""
    port = free_port()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            make("bi", f"PORT={port}"), cwd=PROJECT_ROOT, env=plain(environment), stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 300
            while time.monotonic() < deadline:
                assert process.poll() is None, log.read_text(encoding="utf-8")[-2000:]
                with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{url}/health") as answer:
                    if answer.status == 200:
                        break
                time.sleep(1)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def superset(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    with started(environment, tmp_path_factory.mktemp("superset") / "log") as url:
        yield Superset(url, environment)


@pytest.fixture
def signed_in(superset: Superset, browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A browser's page of somebody who signed in, and what goes wrong on it."""
    context = browser.new_context(viewport={"width": 1400, "height": 4000})
    page = context.new_page()
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # Superset asks for a picture that counts visits; its settings don't let that out, and the browser says so.
        if message.type == "error" and "violates the following Content Security Policy" not in message.text:
            wrong.append(message.text)

    def answered(response: Response) -> None:
        if response.status >= 400 or not response.url.startswith((superset.url, "data:", "blob:")):
            wrong.append(f"{response.status} {response.url}")

    page.on("console", heard)
    page.on("response", answered)
    log_in(page, superset.url)
    wrong.clear()
    yield page, wrong
    context.close()


def log_in(page: Page, url: str) -> None:
    """A page that is still being drawn drops what is typed into it, and asks again."""
    for patience in (20_000, 60_000):
        page.goto(f"{url}/login/", wait_until="networkidle")
        page.fill("input[name=username], #username", "admin")
        page.fill("input[name=password], #password", PASSWORD)
        page.keyboard.press("Enter")
        with suppress(NotInTime):
            page.wait_for_url("**/welcome/**", timeout=patience)
            return
    pytest.fail(f"nobody could log in: {page.url}")


def bundle(kind: str) -> list[dict[str, Any]]:
    folders = [BUNDLE, *bundles()[0].values()]
    files = [file for folder in folders for file in sorted((folder / kind).rglob("*.yaml"))]
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]


def number(text: str) -> float:
    return float(re.sub(r"[^\d.-]", "", text)) / (100 if "%" in text else 1)


@pytest.mark.parametrize(
    ("dashboard", "numbers"),
    [
        (
            "Business",
            {
                "Net sales": f"select {NET} from commerce.fct_sales",
                "Orders": "select count(distinct sales_document_key) from commerce.fct_sales "
                          "where line_type in ('sale', 'service')",
            },
        ),
        (
            "Operations",
            {
                "Published generation": "select max(generation_number) from ops.generation",
                "Open rejects": "select count(*) from ops.ops_rejects where not is_resolved",
            },
        ),
    ],
)  # fmt: skip
def test_a_dashboard_shows_what_sql_says(
    signed_in: tuple[Page, list[str]], superset: Superset, dashboard: str, numbers: dict[str, str]
) -> None:
    page, wrong = signed_in
    (layout,) = [each["position"] for each in bundle("dashboards") if each["dashboard_title"] == dashboard]
    titles = {
        each["meta"]["sliceName"] for each in layout.values() if isinstance(each, dict) and each["type"] == "CHART"
    }
    page.goto(f"{superset.url}/superset/dashboard/{dashboard.lower()}/")
    charts = page.locator("[data-test=chart-grid-component]")
    drawn = page.locator("[data-test=chart-grid-component] [data-test=slice-container]")
    expect(drawn).to_have_count(len(titles), timeout=120_000)
    page.wait_for_load_state("networkidle")
    assert {chart.get_attribute("data-test-chart-name") for chart in charts.all()} == titles
    assert page.locator("[data-test=chart-grid-component] [role=alert]").count() == 0
    with settings(superset.environment), open_published(current_target()) as connection:
        for title, sql in numbers.items():
            shown = page.locator(f"[data-test-chart-name='{title}'] .header-line")
            seen = number(shown.inner_text())
            assert seen == pytest.approx(float(ask(connection, sql)[1][0][0]), abs=0.5), title
    assert wrong == []


def test_dashboards_come_back_as_the_files_that_they_were_made_from(superset: Superset, tmp_path: Path) -> None:
    ended = subprocess.run(
        [".venv/bin/python", "-m", "reports.superset", "--export", str(tmp_path)], cwd=PROJECT_ROOT,
        env=plain(superset.environment), capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    there = [file for folder in (BUNDLE, *bundles()[0].values()) for file in folder.rglob("*.yaml")]
    files = {str(file.relative_to(REPORTS)) for file in there if file.name != "metadata.yaml"}
    assert files == {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.yaml")}
    assert filecmp.cmpfiles(REPORTS, tmp_path, files, shallow=False)[1:] == ([], [])


def test_what_a_dataset_calls_a_metric_is_that_metric(environment: dict[str, str]) -> None:
    with opened_marts(environment) as marts:
        assert compare_datasets(marts, bundles()[0]["commerce"]) >= 15


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"BI__PGUSER": ""}, "set BI__PGUSER"),
        ({"BI__PGUSER": WRITER}, "may write to core.dim_dates"),
        ({"BI__PGUSER": "nobody_of_this_name"}, "can't sign in"),
        ({"TARGET": "sandbox"}, "not a sandbox"),
    ],
)
def test_a_login_that_may_write_is_refused(on_postgres: dict[str, str], change: dict[str, str], message: str) -> None:
    asked = {**on_postgres, **change}
    ended = subprocess.run(make("bi"), cwd=PROJECT_ROOT, env=plain(asked), capture_output=True, text=True)
    assert ended.returncode != 0 and message in ended.stderr
