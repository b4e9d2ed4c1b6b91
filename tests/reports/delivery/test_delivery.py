"""A report arrives, says what SQL says, comes once, waits for what is late, and tells of what did not arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser

from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError
from orchestration.alerts.conditions import what_is_wrong
from reports.delivery.ledger import ledger_file
from tests.reports.delivery.conftest import SUNDAY, Reported
from tests.reports.delivery.post import part, printed, seen, sheets
from tests.tiny.days import FIRST_DAY
from warehouse.errors import BuildError


def asked(reported: Reported, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(reported.days.warehouse / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def by_day(reported: Reported) -> list[tuple[Any, ...]]:
    return asked(
        reported,
        "select visited_date, count(*), sum(visit_amount) from tiny.fct_visits "
        f"where visited_date between '{FIRST_DAY}' and '{SUNDAY}' group by 1 order by 1",
    )


def alerts(reported: Reported, day: Any = SUNDAY) -> dict[str, str]:
    with reported.days.club.entered():
        morning = datetime(day.year, day.month, day.day, 7, tzinfo=UTC).replace(tzinfo=None) + timedelta(days=1)
        return {alert.key: alert.what for alert in what_is_wrong(current_target(), morning)}


def test_html_says_what_sql_says(reported: Reported, browser: Browser, tmp_path: Path) -> None:
    reported.subscribe("visits", schedule="weekly")
    counts, lines = reported.send(SUNDAY)
    assert counts == {"sent": 1}, lines
    (mail,) = reported.server.mails
    assert mail["Subject"] == "Visits: week 10, 4 March 2024 to 10 March 2024"
    assert (mail["To"], mail["Reply-To"]) == ("anna@example.com", "desk@example.com")
    assert mail["List-Unsubscribe"].strip() == "<mailto:desk@example.com?subject=unsubscribe%20visits>"
    shown = seen(mail, browser, tmp_path)
    assert shown.left == [], "a mail fetches nothing"
    assert len(shown.pictures) == 1 and shown.pictures[0] > 1000
    ((head, *rows),) = shown.tables
    assert head == ["visited date", "visit count", "visits amount"]
    expected = by_day(reported)
    assert [(day, int(number), Decimal(paid.replace(",", ""))) for day, number, paid in rows] == [
        (str(day), number, paid.quantize(Decimal("0.01"))) for day, number, paid in expected
    ]
    assert len(rows) == 7 and rows[0][1:] == ["3", "202.75"]
    plain = part(mail, "text/plain")
    assert "2024-03-10    9            218.05" in plain and "To stop or change it, ask desk@example.com." in plain


def test_workbook_and_pages_say_what_sql_says(reported: Reported) -> None:
    reported.subscribe("as_workbook", schedule="weekly", format="xlsx")
    reported.subscribe("as_pages", schedule="weekly", format="pdf")
    assert reported.send(SUNDAY)[0] == {"sent": 2}
    pages, book = reported.server.mails
    ((head, *rows),) = [rows for name, rows in sheets(book).items() if name == "Visits"]
    assert head == ("visited date", "visit count", "visits amount")
    assert [(day.date(), number, Decimal(str(paid))) for day, number, paid in rows] == by_day(reported)
    assert ("Period", "week 10, 4 March 2024 to 10 March 2024") in [row[:2] for row in sheets(book)["Report"]]
    text = " ".join("\n".join(printed(pages)).split())
    for day, number, paid in by_day(reported):
        assert f"{day} {number} {paid:,.2f}" in text
    assert "Data until: 2024-03-10" in text


def test_a_period_comes_once_and_again_only_by_hand_of_a_new_generation(reported: Reported) -> None:
    reported.subscribe("visits")
    assert reported.send(SUNDAY)[0] == {"sent": 1}
    assert reported.send(SUNDAY) == ({}, [])
    counts, lines = reported.send(SUNDAY, "visits")
    assert counts == {} and lines == [
        "visits for everybody: Sunday, 10 March 2024 went out from generation 1 before: sent"
    ]

    # A visit that was told of late: the period is not closed anew, but a person may send it again.
    reported.days.club.visit(500, f"{SUNDAY} 10:00:00", 1, "1000", told_at=f"{SUNDAY} 21:00:00")
    reported.days.club.deliver()
    reported.days.build(SUNDAY, tested=False)
    assert reported.send(SUNDAY) == ({}, []), "the clock reports a period once"
    assert reported.send(SUNDAY, "visits")[0] == {"sent": 1}
    assert reported.send(SUNDAY, "visits")[0] == {}
    first, second = reported.server.mails
    assert second["Subject"] == f"Corrected: {first['Subject']}"
    assert second["References"] == first["Message-ID"] != second["Message-ID"]
    assert "This replaces the report of Sunday, 10 March 2024 that you have" in part(second, "text/plain")
    assert "1,218.05" in part(second, "text/plain")

    monday = SUNDAY + timedelta(days=1)
    reported.days.deliver(monday, 4)
    reported.days.build(monday, tested=False)
    assert reported.send(monday)[0] == {"sent": 1}
    assert reported.server.mails[-1]["Subject"] == "Visits: Monday, 11 March 2024"
    assert [row[3] for row in reported.recorded()] == ["sent"] * 3


def test_again_sends_the_same_message(reported: Reported) -> None:
    reported.subscribe("visits")
    reported.send(SUNDAY)
    assert reported.send(SUNDAY, "visits", again="missing")[0] == {}, "everybody has it"
    assert reported.send(SUNDAY, "visits", again="all")[0] == {"sent": 1}
    first, second = reported.server.mails
    assert first["Message-ID"] == second["Message-ID"]


def test_a_day_that_goes_on_is_not_reported(reported: Reported) -> None:
    reported.subscribe("visits")
    # On Sunday at eight in the evening, London's time: the data have some of that day already.
    assert reported.send(SUNDAY - timedelta(days=1), hour=20)[0] == {"sent": 1}
    assert reported.server.mails[0]["Subject"] == "Visits: Saturday, 9 March 2024"


def test_held_back_with_one_note_when_the_build_failed(reported: Reported) -> None:
    reported.subscribe("visits")
    reported.send(SUNDAY)
    monday = SUNDAY + timedelta(days=1)
    reported.days.deliver(monday, 4)
    elsewhere = reported.days.club.delivered.rename(reported.days.club.delivered.with_name("elsewhere"))
    with pytest.raises(BuildError, match="there is no folder"):
        reported.days.build(monday, tested=False)
    counts, lines = reported.send(monday)
    assert counts == {"held back": 1}
    assert "visits for everybody: Monday, 11 March 2024 is held back: the last build did not succeed" in lines[0]
    assert reported.send(monday)[0] == {}, "one note of a period"
    note = reported.server.mails[-1]
    assert note["Subject"] == "Held back: Visits: Monday, 11 March 2024"
    assert "the last build did not succeed" in part(note, "text/plain") and "folder" not in part(note, "text/plain")
    assert "failed run" in alerts(reported), "that reports ran since does not end it"
    elsewhere.rename(reported.days.club.delivered)
    reported.days.build(monday, tested=False)
    assert reported.send(monday)[0] == {"sent": 1}
    assert reported.server.mails[-1]["Subject"] == "Visits: Monday, 11 March 2024"


def test_a_late_source_holds_back_or_is_said(reported: Reported) -> None:
    reported.subscribe("held")
    reported.subscribe("sent_all_the_same", hold=False)
    wednesday = SUNDAY + timedelta(days=3)
    assert reported.send(wednesday)[0] == {"held back": 1, "sent": 1}
    held, sent = reported.server.mails
    late = "club has brought nothing new since 2024-03-11 06:00"
    assert held["Subject"].startswith("Held back: ") and late in part(held, "text/plain")
    assert f"The data may not be complete: {late}." in part(sent, "text/plain")
    assert sent["Subject"] == "Visits: Sunday, 10 March 2024"


def test_a_cron_line_is_waited_for(reported: Reported) -> None:
    reported.subscribe("visits", schedule="30 8 * * 1", period="day", hold=False)
    assert reported.send(SUNDAY)[0] == {"sent": 1}, "the line came round a week ago, and nothing was sent since"
    # What was sent carries the clock's real time: it lies after all times of this test, and before those of a far one.
    monday = SUNDAY + timedelta(days=1)
    reported.days.deliver(monday, 4)
    reported.days.build(monday, tested=False)
    assert reported.send(monday)[0] == {}
    assert reported.send(datetime(2999, 1, 6, tzinfo=UTC).date(), hour=9)[0] == {"sent": 1}


def test_what_is_refused_for_now_is_tried_again_and_for_good_is_told(reported: Reported) -> None:
    reported.subscribe("visits", recipients=[{"to": ["anna@example.com", "gone@example.com", "full@example.com"]}])
    reported.server.refused = {
        "gone@example.com": "550 5.1.1 <gone@example.com>: no such user", "full@example.com": "452 4.2.2 mailbox full",
    }  # fmt: skip
    counts, _ = reported.send(SUNDAY)
    assert counts == {"sent": 1, "refused": 1, "failed": 1}
    assert alerts(reported) == {
        "report visits to reporter 2": "the report visits to recipient 2 of reporter: refused, not tried again: "
        "550 5.1.1 <…>: no such user",
        "report visits to reporter 3": "the report visits to recipient 3 of reporter: not sent yet, tried again: "
        "452 4.2.2 mailbox full",
    }
    assert "example.com" not in str(reported.days.runs("select * from runs.ops_deliveries"))
    reported.server.refused.pop("full@example.com")
    assert reported.send(SUNDAY)[0] == {"sent": 1}
    assert [mail["To"] for mail in reported.server.mails] == ["anna@example.com", "full@example.com"]
    assert list(alerts(reported)) == ["report visits to reporter 2"]
    reported.subscribe("visits", recipients=[{"to": ["anna@example.com", "full@example.com"]}])
    reported.send(SUNDAY)
    assert alerts(reported) == {}, "no subscription names that recipient any more"
    assert len(reported.server.mails) == 2


def test_a_server_that_is_away_or_refuses_the_message(reported: Reported) -> None:
    reported.subscribe("visits")
    reported.more = {"REPORTS__SMTP_URL": "smtp://127.0.0.1:9"}
    counts, lines = reported.send(SUNDAY)
    assert counts == {"failed": 1} and "Connection refused" in lines[0]
    reported.more = {}
    reported.server.answer = "554 5.7.1 looks like spam"
    assert reported.send(SUNDAY)[0] == {"refused": 1}
    assert "554 5.7.1 looks like spam" in alerts(reported)["report visits to everybody 1"]
    assert reported.send(SUNDAY)[0] == {}
    assert reported.send(SUNDAY, "visits")[1][0].endswith("before: refused; AGAIN=1 tries what is missing again")
    assert ledger_file_mode(reported) == 0o600


def ledger_file_mode(reported: Reported) -> int:
    with reported.days.club.entered():
        return ledger_file(current_target()).stat().st_mode & 0o777


def test_what_comes_back_is_told(reported: Reported, tmp_path: Path) -> None:
    reported.subscribe("visits")
    reported.send(SUNDAY)
    (mail,) = reported.server.mails
    for name in ("cur", "new", "tmp"):
        (tmp_path / "bounces" / name).mkdir(parents=True)
    reported.more = {"REPORTS__BOUNCES": f"maildir://{tmp_path / 'bounces'}"}
    for number, (action, id_given) in enumerate((("delayed", mail["Message-ID"]), ("failed", "<other@example.com>"))):
        (tmp_path / "bounces" / "new" / str(number)).write_text(notice(action, id_given), encoding="utf-8")
    (tmp_path / "bounces" / "new" / "note").write_text("Subject: hello\n\nI am on holiday.\n", encoding="utf-8")
    assert reported.send(SUNDAY) == ({}, []), "a delay, somebody else's mail, and an answer are no bounces"
    (tmp_path / "bounces" / "new" / "9").write_text(notice("failed", mail["Message-ID"]), encoding="utf-8")
    counts, lines = reported.send(SUNDAY)
    assert counts == {"bounced": 1}, lines
    assert alerts(reported) == {
        "report visits to everybody 1": "the report visits to recipient 1 of everybody: it came back: "
        "5.1.1 smtp; 550 5.1.1 <address> user unknown"
    }
    assert reported.send(SUNDAY) == ({}, [])


def notice(action: str, message_id: str) -> str:
    """A delivery status notification as Postfix writes it."""
    return f"""From: MAILER-DAEMON@example.com (Mail Delivery System)
To: granary@example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com
Arrival-Date: Mon, 11 Mar 2024 07:00:00 +0000

Final-Recipient: rfc822; anna@example.com
Action: {action}
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <anna@example.com> user unknown

--b
Content-Type: text/rfc822-headers

From: Granary <granary@example.com>
To: anna@example.com
Message-ID: {message_id}

--b--
"""


def test_values_are_escaped_everywhere(reported: Reported, browser: Browser, tmp_path: Path) -> None:
    nasty = "<b>1 & 2</b> $x^2$ =1+1 Łódź"
    sql = f"-- Odd & <i>values</i>.\nselect '{nasty}' as who, cast(3 as bigint) as visit_count union all select 'b', 4"
    (reported.reports / "queries" / "odd.sql").write_text(sql, encoding="utf-8")
    for form in ("html", "xlsx", "pdf"):
        reported.subscribe(f"odd_{form}", query="odd", format=form, title="Odd <i>title</i>")
    assert reported.send(SUNDAY)[0] == {"sent": 3}
    html, pages, book = reported.server.mails
    shown = seen(html, browser, tmp_path)
    assert nasty in [row[0] for row in shown.tables[0]] and "Odd <i>title</i>" in shown.text
    rows = [row for name, rows in sheets(book).items() for row in rows if name != "Report"]
    assert (nasty, 3) in rows
    assert "Łódź" in "\n".join(printed(pages)) and "<b>1 & 2</b>" in "\n".join(printed(pages)).replace("\n", " ")


def test_what_can_not_be_asked_is_told_and_hurts_no_other(reported: Reported) -> None:
    (reported.reports / "queries" / "broken.sql").write_text(
        "-- Nothing.\nselect * from tiny.nothing", encoding="utf-8"
    )
    reported.subscribe("broken", query="broken")
    reported.subscribe("visits")
    counts, lines = reported.send(SUNDAY)
    assert counts == {"failed": 1, "sent": 1}
    assert lines[0].startswith("broken for everybody: FAILED: the query failed: ")
    assert "report broken to everybody 1" in alerts(reported)


@pytest.mark.parametrize(
    "sql",
    [
        "-- Writes.\nselect 1; drop table tiny.fct_visits",
        "-- Writes.\ndrop table tiny.fct_visits",
        "-- Reads elsewhere.\nselect * from read_csv('dbt_project.yml')",
        "-- Attaches.\nattach 'build.duckdb'",
    ],
)
def test_a_saved_query_does_nothing_but_ask(reported: Reported, sql: str) -> None:
    (reported.reports / "queries" / "bad.sql").write_text(sql, encoding="utf-8")
    reported.subscribe("bad", query="bad")
    assert reported.send(SUNDAY)[0] == {"failed": 1}
    assert reported.server.mails == [] and len(by_day(reported)) == 7


def test_no_server_and_no_second_process(reported: Reported) -> None:
    reported.subscribe("visits")
    reported.more = {"REPORTS__SMTP_URL": ""}
    with pytest.raises(ConfigurationError, match="no mail server is set: set REPORTS__SMTP_URL or ALERTS__SMTP_URL"):
        reported.send(SUNDAY)
    reported.more = {"REPORTS__SMTP_URL": "http://mail.example.com"}
    with pytest.raises(ConfigurationError, match="REPORTS__SMTP_URL or ALERTS__SMTP_URL is smtp://user:password@host"):
        reported.send(SUNDAY)


def test_tenants_get_their_own_rows_by_their_extracts(reported: Reported) -> None:
    reported.subscribe(
        "visits", schedule="weekly",
        recipients=[
            {"tenants": ["member:1"], "to": ["one@example.com"]}, {"tenants": ["member:2"], "to": ["two@example.com"]},
        ],
    )  # fmt: skip
    assert reported.send(SUNDAY)[0] == {"sent": 2}
    one, two = reported.server.mails
    assert isinstance(one, EmailMessage) and (one["To"], two["To"]) == ("one@example.com", "two@example.com")
    assert "200.20" in part(two, "text/plain") and "202.75" not in part(two, "text/plain")
    assert "2.55" in part(one, "text/plain") and "200.20" not in part(one, "text/plain")


def test_a_warehouse_that_was_built_before_there_were_reports(reported: Reported) -> None:
    with duckdb.connect(str(reported.days.warehouse / "runs.duckdb")) as runs:
        runs.execute("drop table ops_deliveries")
    with duckdb.connect(str(reported.days.warehouse / "build.duckdb")) as build:
        build.execute("drop view runs.ops_deliveries; drop table raw_runs.deliveries")
    assert alerts(reported) == {}
    reported.subscribe("visits")
    assert reported.send(SUNDAY)[0] == {"sent": 1}
    assert [row[3] for row in reported.recorded()] == ["sent"]


def test_a_cut_ledger_goes_on(reported: Reported) -> None:
    reported.subscribe("visits")
    reported.send(SUNDAY)
    with reported.days.club.entered():
        file = ledger_file(current_target())
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole + '{"subscription": "vis', encoding="utf-8")
    assert reported.send(SUNDAY) == ({}, [])
    assert file.read_text(encoding="utf-8") == whole
