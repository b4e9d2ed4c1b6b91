"""A report as a mail that every client shows: tables and styles in line, charts in the message, nothing fetched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2

from reports.delivery.periods import Period
from reports.delivery.subscriptions import Group, Subscription
from warehouse.reading.query import print_table

if TYPE_CHECKING:
    from reports.delivery.content import Content, Table

ROWS = 50  # of a table in a mail's own text; some clients cut what is longer than 100 kB
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "templates"), autoescape=True,
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
# The subtypes of `application` that the files of a format have.
_FILES = {"xlsx": "vnd.openxmlformats-officedocument.spreadsheetml.sheet", "pdf": "pdf"}


@dataclass(frozen=True)
class Report:
    """What is sent to all recipients of a group: what it says, its texts, and the file that goes along.

    generation: the published one; 0 of a note. replaces: the id of the delivery that this one puts right, which
    differs by recipient and is given when the message is made.
    """

    subscription: Subscription
    period: Period
    generation: int
    subject: str
    text: str
    html: str
    pictures: list[bytes]
    attachment: tuple[str, str, bytes] | None


def report(
    subscription: Subscription,
    group: Group,
    period: Period,
    generation: int,
    as_of: str,
    content: Content,
    problems: list[str],
    corrected: bool,
) -> Report:
    """Write a report.

    Args:
        subscription: which.
        group: whose rows it has.
        period: of what.
        generation: the published one that it was read from.
        as_of: the last day of the data.
        content: what it says.
        problems: what is wrong with the data, where it is sent all the same.
        corrected: whether the period was reported before, from an earlier generation.
    """
    facts = [("Period", period.label), ("Data until", as_of), ("Rows", _whose(group)), ("Generation", str(generation))]
    notes = [f"The data may not be complete: {'; '.join(problems)}."] if problems else []
    if corrected:
        notes = [f"This replaces the report of {period.label} that you have: the data changed since.", *notes]
    attachment = None
    if subscription.format in _FILES:
        from reports.delivery.files import pages, workbook  # which take their time to import

        make = workbook if subscription.format == "xlsx" else pages
        name = f"{subscription.name}-{period.first}.{subscription.format}"
        attachment = (name, _FILES[subscription.format], make(subscription.title, facts, content))
    in_mail = content.tables if attachment is None else []
    pictures = content.pictures if attachment is None else []
    about = content.about + (f" The report is the file {attachment[0]}." if attachment else "")
    foot = [
        f"Data until {as_of}, generation {generation}, {_whose(group)}.", *_why(subscription),
    ]  # fmt: skip
    html = _TEMPLATES.get_template("mail.html").render(
        title=subscription.title, period=period.label, notes=notes, about=about, figures=content.figures, foot=foot,
        pictures=[
            {"title": each.title, "text": each.text, "cid": _cid(number)} for number, each in enumerate(pictures)
        ],
        tables=[_for_html(table) for table in in_mail],
    )  # fmt: skip
    lines = [subscription.title, period.label, "", *notes, *([""] if notes else []), about, ""]
    lines += [f"{each.label}: {each.value}" + (f" ({each.before})" if each.before else "") for each in content.figures]
    for table in in_mail:
        lines += ["", table.title, ""]
        print_table(table.names, [tuple(row) for row in table.cells(ROWS)], lines.append)
        lines += [more] if (more := _more(table)) else []
    return Report(
        subscription, period, generation, f"{'Corrected: ' if corrected else ''}{subscription.title}: {period.label}",
        "\n".join([*lines, "", *foot]), html, [each.png for each in pictures], attachment,
    )  # fmt: skip


def note(subscription: Subscription, period: Period, reasons: list[str]) -> Report:
    """Write the note that a report is held back."""
    text = [
        f"The report of {period.label} is held back:", *(f"- {each}" for each in reasons),
        "It comes when that is over.",
    ]  # fmt: skip
    foot = _why(subscription)
    html = _TEMPLATES.get_template("mail.html").render(
        title=subscription.title, period=period.label, notes=[f"{text[0]} {'; '.join(reasons)}. {text[-1]}"], about="",
        figures=[], pictures=[], tables=[], foot=foot,
    )  # fmt: skip
    subject = f"Held back: {subscription.title}: {period.label}"
    return Report(subscription, period, 0, subject, "\n".join([*text, "", *foot]), html, [], None)


def message(made: Report, sender: str, receiver: str, delivery_id: str, replaces: str, now: datetime) -> EmailMessage:
    """A report to one recipient. The same delivery has the same Message-ID, whenever it is made.

    Args:
        made: the report.
        sender: whom it comes from.
        receiver: who gets it.
        delivery_id: of this delivery.
        replaces: the delivery that it puts right, if any.
        now: when it is sent.
    """
    subscription, domain = made.subscription, sender.rpartition("@")[2]
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # not every server takes eight bits
    mail["Subject"] = made.subject
    mail["From"] = f"Granary <{sender}>"
    mail["To"] = receiver
    mail["Reply-To"] = subscription.contact
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = message_id(delivery_id, domain)
    if replaces:
        mail["In-Reply-To"] = mail["References"] = message_id(replaces, domain)
    mail["List-Id"] = f"<{subscription.name.replace('_', '-')}.reports.{domain}>"
    mail["List-Unsubscribe"] = f"<mailto:{subscription.contact}?subject={quote(f'unsubscribe {subscription.name}')}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(made.text)
    mail.add_alternative(made.html, subtype="html")
    parts: Any = mail.get_payload()
    for number, png in enumerate(made.pictures):
        parts[1].add_related(
            png, "image", "png", cid=f"<{_cid(number)}>", disposition="inline", filename=f"chart-{number + 1}.png"
        )
    if made.attachment:
        name, kind, data = made.attachment
        mail.add_attachment(data, "application", kind, filename=name)
    return mail


def message_id(delivery_id: str, domain: str) -> str:
    """The Message-ID of a delivery."""
    return f"<granary.{delivery_id}@{domain}>"


def _cid(number: int) -> str:
    return f"chart{number + 1}@granary"


def _whose(group: Group) -> str:
    return f"rows of {', '.join(group.tenants)}" if group.tenants else "all rows"


def _why(subscription: Subscription) -> list[str]:
    return [
        f"You get this by the subscription {subscription.name}, which names your address.",
        f"To stop or change it, ask {subscription.contact}.",
    ]


def _for_html(table: Table) -> dict[str, Any]:
    cells = table.cells(ROWS)
    return {
        "title": table.title, "names": table.names, "is_right": table.is_right, "cells": cells, "more": _more(table)
    }  # fmt: skip


def _more(table: Table) -> str:
    if len(table.rows) <= ROWS:
        return "" if table.rows else "No rows in this period."
    return f"The first {ROWS} of {len(table.rows):,} rows; `format: xlsx` sends all."
