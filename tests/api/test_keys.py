"""Keys: who has none gets nothing, and what a key may is what its login may, for as long as both are good."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime

import pytest
import requests

from api import keys
from infra.logins import make_login
from ingestion.destination.target import current_target
from ingestion.project import PROJECT_ROOT
from tests.api.conftest import PASSWORD
from tests.api.served import Served
from tests.tiny.test_rights import ask
from tests.warehouses import connected
from warehouse.errors import BuildError

VISITS = "/marts/tiny/fct_visits?limit=1000"


def refused_soon(api: Served, token: str) -> requests.Response:
    """What a key that was good is answered with when it is so no more: within two seconds it is refused."""
    for _ in range(40):
        answer = requests.get(api.url + VISITS, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        if answer.status_code != 200:
            break
        time.sleep(0.05)
    return answer


def test_without_a_good_key_there_is_nothing(api: Served) -> None:
    name, _, secret = api.keys["api_reporter"].partition(".")
    other = api.keys["api_few"].partition(".")[0]
    for token in ("", "x", name, f"{name}.", f"{name}.{secret[:-1]}x", f"{other}.{secret}", f"postgres.{secret}",
                  f"api_reporter.{PASSWORD}", f"nobody_key_00000000.{secret}", f"{name}' or true --.x"):  # fmt: skip
        for path in ("/catalog", "/openapi.json", VISITS, "/marts/tiny/nothing", "/metrics-query?metrics=x"):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = requests.get(api.url + path, headers=headers, timeout=30)
            assert answer.status_code == 401, (token, path, answer.text)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer") and "make api-key" in answer.json()["detail"]
    basic = requests.get(api.url + VISITS, auth=(name, secret), timeout=30)
    assert basic.status_code == 401


def test_a_revoked_key_is_refused_and_others_go_on(api: Served) -> None:
    token = api.make_key("api_few")
    headers = {"Authorization": f"Bearer {token}"}
    page = requests.get(api.url + "/marts/tiny/fct_visits?page_size=5", headers=headers, timeout=30).json()
    with api.entered():
        keys.revoke(current_target(), token.partition(".")[0], lambda line: None)
    assert refused_soon(api, token).status_code == 401
    time.sleep(1.1)  # what is known of a key is taken for true for a second
    assert requests.get(api.url + page["next"], headers=headers, timeout=30).status_code == 401
    assert api.get(VISITS, "api_few").status_code == 200
    with api.entered(), pytest.raises(BuildError, match=r"there is no key .* `make api-key` lists them"):
        keys.revoke(current_target(), token.partition(".")[0], lambda line: None)


def test_a_key_that_is_over_is_refused(api: Served) -> None:
    token = api.make_key("api_few")
    name = token.partition(".")[0]
    assert refused_soon(api, token).status_code == 200
    if api.admin:
        with closing(connected(api.admin)) as admin:
            ask(admin, f"alter role {name} valid until '2020-01-01'")
            ask(admin, f"update access.api_keys set expires_at = '2020-01-01' where key_name = '{name}'")
    else:
        file = api.world.warehouse / "api_keys.json"
        stored = json.loads(file.read_text(encoding="utf-8"))
        for each in stored:
            each["expires_at"] = "2020-01-01T00:00:00+00:00" if each["name"] == name else each["expires_at"]
        file.write_text(json.dumps(stored), encoding="utf-8")
    assert refused_soon(api, token).status_code == 401


def test_keys_are_kept_as_what_cannot_be_used(api: Served) -> None:
    secret = api.keys["api_reporter"].partition(".")[2]
    if api.admin:
        with closing(connected(api.admin)) as admin:
            name = api.keys["api_reporter"].partition(".")[0]
            [(verifier, until)] = ask(
                admin, f"select rolpassword, rolvaliduntil from pg_authid where rolname = '{name}'"
            )
            assert str(verifier).startswith("SCRAM-SHA-256$") and isinstance(until, datetime)
            told = str(ask(admin, "select * from audit.events")) + str(ask(admin, "select * from access.api_keys"))
            assert secret not in told and name in told
    else:
        file = api.world.warehouse / "api_keys.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and secret not in file.read_text(encoding="utf-8")
    files = [path for path in api.world.warehouse.rglob("*") if path.is_file()]
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert secret not in api.log.read_text(encoding="utf-8")


def test_the_command_makes_lists_and_revokes(api: Served) -> None:
    def said(*words: str, fails: bool = False) -> str:
        with api.entered():
            done = subprocess.run(
                [sys.executable, "-m", "api", "key", *words],
                cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
            )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stderr
        return done.stdout + done.stderr

    token = said("--login", "api_reporter", "--days", "2").splitlines()[-1]
    name = token.partition(".")[0]
    assert requests.get(api.url + VISITS, headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code == 200
    assert name in said("--login", "api_reporter", "--list") and token not in said()
    assert "is revoked" in said("--revoke", name) and name not in said()
    assert "a key is good for 1 to 3660 days" in said("--login", "api_reporter", "--days", "0", fails=True)


@pytest.mark.postgres
def test_a_key_follows_its_login(on_postgres: Served) -> None:
    api = on_postgres

    def login(role: str, *tenants: str) -> None:
        with api.entered():
            make_login("api_moving", role, list(tenants), PASSWORD, lambda line: None)

    def visits(token: str) -> int:
        time.sleep(1.1)  # what is known of a key is taken for true for a second
        answer = requests.get(api.url + VISITS, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        return len(answer.json()["rows"]) if answer.status_code == 200 else -answer.status_code

    def in_session() -> int:
        with closing(connected(api.admin, "api_moving")) as connection:
            return int(ask(connection, "select count(*) from tiny.fct_visits")[0][0])

    counts = []
    login("tenant", "member:1")
    api.tenants["api_moving"] = []
    token = api.make_key("api_moving")
    try:
        for role, tenants in (
            ("tenant", ["member:1"]),
            ("tenant", ["member:1", "member:2", "member:3"]),
            ("reporter", []),
        ):
            login(role, *tenants)
            counts.append(visits(token))
            assert counts[-1] == in_session()
        assert counts == sorted(set(counts))
        # Who reads no more alone has no keys; nor has who is no login any more, whoever took it away.
        login("builder")
        assert visits(token) == -401
        login("reporter")
        again = api.make_key("api_moving")
        assert visits(again) == counts[-1]
        with closing(connected(api.admin)) as admin:
            ask(admin, "revoke granary_reporter from api_moving")
            assert visits(again) == -401
            ask(admin, "grant granary_reporter to api_moving")
            assert visits(again) == counts[-1]
            ask(admin, "drop role api_moving")
            assert visits(again) == -401
    finally:
        api.tenants.pop("api_moving")
        with closing(connected(api.admin)) as admin:
            ask(admin, "drop role if exists api_moving")


@pytest.mark.postgres
def test_a_key_only_reads(on_postgres: Served) -> None:
    api = on_postgres
    name, _, secret = api.keys["api_few"].partition(".")
    with closing(connected({**api.admin, "PGPASSWORD": secret}, name)) as connection:
        assert ask(connection, "show default_transaction_read_only") == [("on",)]
        ask(connection, "set default_transaction_read_only = off")
        for statement in (
            "create table tiny.mine (a int)", "delete from tiny.fct_visits", "select * from access.api_keys",
            "select * from audit.events", "select * from tiny__next.fct_visits", "create temp table a (b int)",
            "insert into audit.events (event_name) values ('x')", "set role api_few", "set role granary_builder",
        ):  # fmt: skip
            with pytest.raises(Exception, match=r"permission denied|must be|not permitted|does not exist"):
                ask(connection, statement)
    for role, said in (
        ("api_builder", "keys are for logins whose ROLE is one of reporter"),
        (name, "is a key itself"),
        ("nobody", "no login"),
    ):
        with api.entered(), pytest.raises(BuildError, match=said):
            keys.make(current_target(), role, [], 1, lambda line: None)
    with api.entered(), pytest.raises(BuildError, match="is a key of the API"):
        make_login(name, "reporter", [], PASSWORD, lambda line: None)


@pytest.mark.postgres
def test_who_read_what_is_in_the_audit(on_postgres: Served) -> None:
    api = on_postgres
    token = api.make_key("api_few")
    path = api.url + "/marts/tiny/fct_visits?visit_id=4711&limit=7"
    for _ in range(3):
        assert requests.get(path, headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code == 200
    with closing(connected(api.admin)) as admin:
        events = "select login_name, details from audit.events where event_name = 'api access' and login_name = %s"
        for _ in range(100):  # connections are closed after a quarter of a minute, and tell before
            found = ask(admin, events, [token.partition(".")[0]])
            if found:
                break
            time.sleep(0.5)
    [(_, details)] = found
    assert details == {"login": "api_few", "mart": "tiny.fct_visits", "requests": 3, "rows": 0}


def test_who_read_what_is_in_the_file(api: Served) -> None:
    file = api.world.warehouse / "api_access.jsonl"
    assert api.get("/marts/tiny/fct_visits?visit_amount.gt=4711.0815&limit=3", "api_few").status_code == 200
    assert api.get("/marts/tiny/fct_secrets?limit=3", "api_few").status_code == 404
    time.sleep(1.2)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    mine = [line for line in lines if line["login"] == "api_few"][-2:]
    assert [(line["what"], line["status"]) for line in mine] == [("tiny.fct_visits", 200), ("marts", 404)]
    assert mine[0]["generation"] and mine[0]["seconds"] > 0 and mine[0]["bytes"] > 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "4711.0815" not in file.read_text(encoding="utf-8") and "secrets" not in file.read_text(encoding="utf-8")
