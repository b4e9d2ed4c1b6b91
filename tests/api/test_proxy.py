"""Behind a proxy that ends TLS and serves the API under a path of its own: pages go on there, and nowhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from string import Template

import pytest
import requests

from api.settings import current_settings
from infra.certificates import make_certificates
from ingestion.environment import ConfigurationError, variables
from tests.absent import package
from tests.api.conftest import LOGINS
from tests.api.served import Served, served
from tests.ports import free_port

VISITS = "/marts/tiny/fct_visits"
PREFIX = "/granary"
CONFIGURATION = Template("""
    daemon off; pid $folder/pid; error_log $folder/error.log; events {}
    http {
        access_log off; client_body_temp_path $folder/1; proxy_temp_path $folder/2; fastcgi_temp_path $folder/3;
        uwsgi_temp_path $folder/4; scgi_temp_path $folder/5;
        server {
            listen 127.0.0.1:$port ssl;
            ssl_certificate $folder/server.crt; ssl_certificate_key $folder/server.key;
            location $prefix/ {
                proxy_pass $api/;
                proxy_set_header X-Forwarded-Prefix $prefix;
                proxy_set_header X-Forwarded-Proto https;
                proxy_set_header X-Forwarded-For 192.0.2.7;
            }
        }
    }""")


@pytest.fixture(scope="module", params=["127.0.0.0/8", "192.0.2.0/24,::1", ""])
def behind(on_duckdb: Served, request: pytest.FixtureRequest) -> Iterator[tuple[Served, bool]]:
    """An API that trusts these proxies, and whether it trusts one on the loopback."""
    proxies = str(request.param)
    with served(on_duckdb.world, {}, LOGINS, {"API__PROXIES": proxies}) as made:
        yield made, proxies.startswith("127.")


@pytest.fixture
def proxy(
    request: pytest.FixtureRequest, behind: tuple[Served, bool], tmp_path: Path
) -> Iterator[tuple[str, requests.Session]]:
    """Nginx before it: its address, and a session that knows its certificate's authority and sends a key."""
    nginx = package(request, "/usr/sbin/nginx", "nginx-light", "THE API BEHIND A PROXY")
    make_certificates(tmp_path, partial(subprocess.run, check=True, capture_output=True))
    port = free_port()
    text = CONFIGURATION.substitute(folder=tmp_path, port=port, prefix=PREFIX, api=behind[0].url)
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    process = subprocess.Popen(
        [nginx, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")], stderr=subprocess.DEVNULL
    )
    session, address = requests.Session(), f"https://127.0.0.1:{port}"
    session.trust_env, session.verify = False, str(tmp_path / "ca.crt")
    session.headers["Authorization"] = f"Bearer {behind[0].keys['api_reporter']}"
    try:
        for _ in range(100):
            try:
                session.get(f"{address}{PREFIX}/health", timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None, (tmp_path / "error.log").read_text(encoding="utf-8")
        yield address, session
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_pages_go_on_where_they_began(behind: tuple[Served, bool], proxy: tuple[str, requests.Session]) -> None:
    (api, is_trusted), (address, session) = behind, proxy
    answer = session.get(f"{address}{PREFIX}{VISITS}", params={"page_size": 9, "sort": "visit_id"}, timeout=30)
    page = answer.json()
    # A path is of the scheme and the host that the caller knows; of the path before it the proxy alone knows.
    assert page["next"].startswith((PREFIX if is_trusted else "") + VISITS + "?cursor=")
    assert requests.compat.urljoin(answer.url, answer.links["next"]["url"]) == address + page["next"]
    if is_trusted:
        rows = list(page["rows"])
        while page["next"]:
            page = session.get(address + page["next"], timeout=30).json()
            rows += page["rows"]
        assert rows == api.rows(VISITS, sort="visit_id") and len(rows) > 9
    else:
        assert session.get(address + page["next"], timeout=30).status_code == 404
    [server] = session.get(f"{address}{PREFIX}/openapi.json", timeout=30).json()["servers"]
    assert server["url"] == (PREFIX if is_trusted else "/")


@pytest.mark.parametrize("said", ["//elsewhere.example", "https://elsewhere.example", "/a b", "/a?b", "/", "granary"])
def test_what_is_no_path_is_none(behind: tuple[Served, bool], said: str) -> None:
    for _ in range(2):  # asked and answered from memory
        answer = behind[0].get(VISITS, params={"page_size": 9}, headers={"X-Forwarded-Prefix": said})
        assert answer.json()["next"].startswith(VISITS)


def test_answers_from_memory_are_of_the_same_path(behind: tuple[Served, bool]) -> None:
    api, is_trusted = behind
    for prefix in ("/one", "/two", ""):
        answer = api.get(VISITS, params={"page_size": 8}, headers={"X-Forwarded-Prefix": prefix})
        assert answer.json()["next"].startswith((prefix if is_trusted else "") + VISITS)


def test_settings() -> None:
    with (
        variables({"API__PROXIES": "proxy.example"}),
        pytest.raises(ConfigurationError, match="API__PROXIES takes addresses"),
    ):
        current_settings()
