"""Alerts: each condition provoked in a real warehouse, each told once to a real receiver of webhooks and of mail."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Receiving

from ingestion.destination.target import Target, current_target
from ingestion.environment import ConfigurationError
from orchestration.alerts import conditions
from orchestration.alerts.conditions import Alert, what_is_wrong
from orchestration.alerts.delivery import tell
from tests.ports import free_port
from tests.tiny.days import FIRST_DAY, DailyClub
from tests.warehouses import connected, settings
from warehouse.errors import BuildError

MORNING = datetime.fromisoformat(f"{FIRST_DAY}T08:00:00") + timedelta(days=1)


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def days(request: pytest.FixtureRequest, tmp_path: Path) -> DailyClub:
    """A club that tells of its days, and the warehouse that reads nothing else."""
    engine = {} if request.param == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    return DailyClub(tmp_path, engine)


def wrong(days: DailyClub, now: datetime) -> dict[str, Alert]:
    with days.club.entered():
        return {alert.key: alert for alert in what_is_wrong(current_target(), now)}


def test_a_failed_run_and_a_late_source(days: DailyClub) -> None:
    days.deliver(FIRST_DAY, 5)
    days.build(FIRST_DAY, tested=False)
    assert wrong(days, MORNING) == {}
    late = wrong(days, MORNING + timedelta(days=9))
    assert list(late) == ["late source club"]
    # Looked at in the morning at six; the contract allows a day and a half.
    assert late["late source club"].since == datetime.fromisoformat("2024-03-06T18:00:00")
    assert late["late source club"].what == (
        "club has brought nothing new since 2024-03-05 06:00; its contract allows 36 hours"
    )
    moved = days.club.delivered.rename(days.club.delivered.with_name("elsewhere"))
    for _ in range(2):
        with pytest.raises(BuildError, match="there is no folder"):
            days.build(FIRST_DAY, tested=False)
    (alert,) = wrong(days, MORNING).values()
    assert (alert.key, alert.owner, alert.runbook) == ("failed run", "data platform", "failed-run.md")
    assert alert.what.startswith("build was failed, 2 times in a row: club: there is no folder ")
    moved.rename(days.club.delivered)
    days.build(FIRST_DAY, tested=False)
    assert wrong(days, MORNING) == {}


def test_rejects_unusual_loads_and_checks_that_warn(days: DailyClub) -> None:
    dates = days.usual_days(11)
    days.deliver(dates[10], 70, member=None)
    days.deliver(dates[10], 30, amount="many")
    days.build(dates[10])
    found = wrong(days, datetime.fromisoformat("2024-03-15T08:00:00"))
    assert {
        "rejects of club.visits",
        "unusual null rate of club.visits.member_id",
        "check loads__are_as_they_use_to_be",
    } <= set(found)
    rejects = found["rejects of club.visits"]
    assert rejects.what == "30 of 100 records of club.visits were rejected, 30%; 5% may be"
    assert rejects.since == datetime.fromisoformat("2024-03-15T06:00:00")
    unusual = found["unusual null rate of club.visits.member_id"]
    assert unusual.what == "null rate of club.visits.member_id on 2024-03-15: saw 1, expected 0 to 0.05"
    assert found["check loads__are_as_they_use_to_be"].what.startswith("loads__are_as_they_use_to_be warns: ")


@pytest.mark.postgres
def test_a_slot_that_does_not_move(
    postgres_database: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = DailyClub(tmp_path, {**postgres_database, "TARGET": "prod"})
    days.deliver(FIRST_DAY, 5)
    days.build(FIRST_DAY, tested=False)
    monkeypatch.setattr(conditions, "SLOT_BYTES", 5_000_000)
    with closing(connected(days.engine)) as connection, connection.cursor() as cursor:
        cursor.execute("checkpoint")
        cursor.execute("select pg_create_physical_replication_slot('granary_test_slot', true)")
        try:
            # It is nobody's, so it looks like a replica's that is gone.
            assert set(wrong(days, MORNING)) == {"replica granary_test_slot"}
            cursor.execute("create table filler as select repeat('x', 100) as x from generate_series(1, 100000)")
            alert = wrong(days, MORNING)["slot granary_test_slot"]
        finally:
            cursor.execute("select pg_drop_replication_slot('granary_test_slot')")
    assert alert.what.endswith("GB of the log")


@dataclass
class Inbox:
    """What the receivers got, and the settings that lead there."""

    hooks: list[dict[str, Any]] = field(default_factory=list)
    mails: list[Message] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    refuses: bool = False


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A web server and a mail server on the loopback."""
    got = Inbox()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not got.refuses:
                got.hooks.append(json.loads(body))
            self.send_response(503 if got.refuses else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Mailbox(Receiving):
        def handle_message(self, message: Message) -> None:
            got.mails.append(message)

    web = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    port = free_port()
    mail = Controller(Mailbox(), hostname="127.0.0.1", port=port)
    mail.start()
    got.settings = {
        "ALERTS__WEBHOOK_URL": f"http://127.0.0.1:{web.server_port}/hook",
        "ALERTS__SMTP_URL": f"smtp://127.0.0.1:{port}",
        "ALERTS__MAIL_TO": "operators@example.com",
    }
    yield got
    mail.stop()
    web.shutdown()
    web.server_close()


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str], list[Alert]], list[str]]:
    def run(values: Mapping[str, str], alerts: list[Alert]) -> list[str]:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        lines: list[str] = []
        with settings({"TARGET": "dev", "WAREHOUSE_DIR": str(tmp_path)}):
            tell(current_target(), alerts, lines.append)
        return lines

    return run


LATE = Alert(
    "late source shop",
    "shop has brought nothing",
    datetime.fromisoformat("2026-01-02T03:04:00"),
    "commerce-data",
    "late-source.md",
)
FAILED = Alert(
    "failed run", "build was failed", datetime.fromisoformat("2026-01-02T05:06:00"), "data platform", "failed-run.md"
)


def test_each_is_told_once_when_it_begins_and_when_it_is_over(
    inbox: Inbox, telling: Callable[[Mapping[str, str], list[Alert]], list[str]]
) -> None:
    lines = telling(inbox.settings, [FAILED, LATE])
    assert lines[0] == (
        "PROBLEM: failed run; build was failed; since 2026-01-02 05:06 UTC; owner: data platform; "
        "what to do: docs/runbooks/failed-run.md"
    )
    assert telling(inbox.settings, [FAILED, LATE]) == []
    telling(inbox.settings, [LATE])
    told = [("PROBLEM", "failed run"), ("PROBLEM", "late source shop"), ("RESOLVED", "failed run")]
    assert [(hook["state"], hook["key"]) for hook in inbox.hooks] == told
    assert [mail["Subject"] for mail in inbox.mails] == [f"[Granary] {state}: {key}" for state, key in told]
    assert inbox.hooks[1] == {
        "state": "PROBLEM", "key": "late source shop", "what": "shop has brought nothing",
        "since": "2026-01-02T03:04:00", "owner": "commerce-data", "runbook": "docs/runbooks/late-source.md",
        "text": inbox.mails[1].get_payload().strip().replace("\r\n", "\n"),
    }  # fmt: skip
    assert inbox.mails[1]["To"] == "operators@example.com"


def test_what_could_not_be_delivered_is_tried_again(
    inbox: Inbox, telling: Callable[[Mapping[str, str], list[Alert]], list[str]]
) -> None:
    only_hook = {"ALERTS__WEBHOOK_URL": inbox.settings["ALERTS__WEBHOOK_URL"]}
    inbox.refuses = True
    lines = telling(only_hook, [FAILED])
    assert lines[1].startswith("  ALERTS__WEBHOOK_URL: not delivered, tried again next time: 503 Server Error")
    inbox.refuses = False
    telling(only_hook, [FAILED])
    telling(only_hook, [FAILED])
    inbox.refuses = True
    telling(only_hook, [])
    inbox.refuses = False
    telling(only_hook, [])
    telling(only_hook, [])
    assert [hook["state"] for hook in inbox.hooks] == ["PROBLEM", "RESOLVED"]


def test_a_wrong_setting_is_named(telling: Callable[[Mapping[str, str], list[Alert]], list[str]]) -> None:
    with pytest.raises(ConfigurationError, match="ALERTS__MAIL_TO says who gets the mail"):
        telling({"ALERTS__SMTP_URL": "smtp://127.0.0.1:25"}, [FAILED])


def test_every_runbook_is_there() -> None:
    named = set(re.findall(r'"([a-z-]+\.md)"', Path(conditions.__file__).read_text(encoding="utf-8")))
    runbooks = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
    assert named and all((runbooks / name).is_file() for name in named)


def test_a_source_that_names_no_owner_has_its_domains(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text(
        "vars:\n  calendar: {earliest: '1970-01-01', latest: '2069-12-31'}\n"
        "  domains: {plants: {owner: gardeners, sources: {nursery: , weather: }}}\n", encoding="utf-8"
    )  # fmt: skip
    for source, owner in (("nursery", ""), ("weather", "meteorologists")):
        file = tmp_path / f"models/staging/{source}/_{source}__sources.yml"
        file.parent.mkdir(parents=True)
        meta = f"{{owner: {owner}}}" if owner else "{}"
        file.write_text(f"sources: [{{name: {source}, config: {{meta: {meta}}}, tables: []}}]", encoding="utf-8")
    found = conditions.contracts_of(Target("dev", "duckdb", tmp_path, project=tmp_path))
    assert {name: each.owner for name, each in found.items()} == {"nursery": "gardeners", "weather": "meteorologists"}
