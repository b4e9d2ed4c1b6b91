"""On Postgres a report is read by its recipients' own login, and by no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.logins import make_login
from tests.infra.conftest import _crosswalk_in_postgres, new_migrated_database
from tests.reports.delivery.conftest import SUNDAY, Reported
from tests.reports.delivery.post import Server, part
from tests.tiny.days import FIRST_DAY, DailyClub
from tests.warehouses import connected, settings

__all__ = ["_crosswalk_in_postgres", "new_migrated_database"]
pytestmark = pytest.mark.postgres
LOGINS: dict[str, tuple[str, list[str]]] = {
    "r_builder": ("builder", []),
    "r_everybody": ("reporter", []),
    "r_one": ("tenant", ["member:1"]),
    "r_two": ("tenant", ["member:2"]),
}


@pytest.fixture(scope="module")
def on_postgres(
    new_migrated_database: Callable[[], dict[str, str]], project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reported]:
    """The club of two members, built by a login that is no superuser; reports are sent by it, too."""
    admin = new_migrated_database()
    with settings(admin):
        for login, (role, tenants) in LOGINS.items():
            make_login(login, role, tenants, "a password of this test", lambda line: None)
    days = DailyClub(tmp_path_factory.mktemp("logins"), {**admin, "PGUSER": "r_builder"})
    days.club.project = project
    days.deliver(FIRST_DAY, 3)
    days.deliver(FIRST_DAY, 2, member=2, amount="100.10")
    days.build(FIRST_DAY, tested=False)
    server = Server()
    with server.running():
        yield Reported(days, server)
    with closing(connected(admin)) as connection, connection.cursor() as cursor:
        cursor.execute(f"drop owned by {', '.join(LOGINS)}; drop role {', '.join(LOGINS)}")


@pytest.fixture
def reported(on_postgres: Reported) -> Iterator[Reported]:
    """It, without subscriptions, and as if nothing was ever sent."""
    on_postgres.server.mails.clear()
    for file in [*(on_postgres.reports / "subscriptions").iterdir(), *on_postgres.days.warehouse.glob("reports.*")]:
        file.unlink()
    return on_postgres


def test_each_tenant_gets_its_own_rows(reported: Reported) -> None:
    reported.subscribe(
        "visits",
        recipients=[
            {"login": "r_everybody", "to": ["all@example.com"]},
            {"login": "r_one", "tenants": ["member:1"], "to": ["one@example.com"]},
            {"login": "r_two", "tenants": ["member:2"], "to": ["two@example.com"]},
        ],
    )  # fmt: skip
    counts, lines = reported.send(FIRST_DAY)
    assert counts == {"sent": 3}, lines
    told = {mail["To"]: part(mail, "text/plain") for mail in reported.server.mails}
    paid = {to: next(line.split()[-1] for line in text.splitlines() if line.startswith("2024-03-04 "))
            for to, text in told.items()}  # fmt: skip
    assert paid == {"all@example.com": "207.85", "one@example.com": "7.65", "two@example.com": "200.20"}
    assert reported.send(FIRST_DAY)[0] == {}
    assert {row[1] for row in reported.recorded()} >= {"r_everybody", "r_one", "r_two"}


@pytest.mark.parametrize(
    ("recipients", "fault"),
    [
        ({"login": "r_builder"}, "r_builder may do more than read what is published (granary_"),
        ({"login": "r_one"}, "r_one is no granary_reporter: `make login LOGIN=r_one ROLE=reporter`, or mend"),
        ({"login": "r_everybody", "tenants": ["member:1"]}, "r_everybody is no granary_tenant: `make login LOGIN="),
        ({"login": "r_one", "tenants": ["member:2"]}, "r_one sees other tenants than member:2: put `tenants:` and "),
        ({"login": "r_one", "tenants": ["member:1", "member:2"]}, "r_one sees other tenants than member:1, member:2"),
        ({"login": "r_gone"}, 'the query failed: connection to server '),
        ({}, "reporter names no login: on Postgres a report is read by its recipients' own (`login:`)"),
    ],
)  # fmt: skip
def test_a_login_that_is_not_what_the_subscription_says_gets_nothing(
    reported: Reported, recipients: dict[str, object], fault: str
) -> None:
    reported.subscribe("visits", recipients=[{**recipients, "to": ["anna@example.com"]}])
    counts, lines = reported.send(FIRST_DAY)
    assert counts == {"failed": 1} and reported.server.mails == []
    assert fault in lines[0]


def test_the_sender_is_not_asked_for_what_a_login_may_not_read(reported: Reported) -> None:
    (reported.reports / "queries" / "runs.sql").write_text(
        "-- Runs.\nselect count(*) from runs.ops_runs", encoding="utf-8"
    )
    reported.subscribe(
        "runs", query="runs", recipients=[{"login": "r_one", "tenants": ["member:1"], "to": ["one@example.com"]}]
    )
    counts, lines = reported.send(SUNDAY)
    assert counts == {"failed": 1} or "held back" in counts
    counts, lines = reported.send(FIRST_DAY)
    assert counts == {"failed": 1} and "permission denied for schema runs" in lines[0]
