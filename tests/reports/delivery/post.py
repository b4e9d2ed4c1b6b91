"""A mail server on the loopback that tests look into, and what a mail says when it is opened."""

from __future__ import annotations

import base64
import email
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import openpyxl
import pypdf
from aiosmtpd.controller import Controller
from playwright.sync_api import Browser

from tests.ports import free_port


@dataclass
class Server:
    """A server that takes mail, but what it is told to refuse.

    refused: what it answers to an address. answer: what it says when it has a message. on_message: is called then,
    before it answers. ciphers: by which each mail came, "" without.
    """

    port: int = field(default_factory=free_port)
    mails: list[EmailMessage] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    answer: str = "250 OK"
    on_receiver: Callable[[], None] = lambda: None
    on_message: Callable[[], None] = lambda: None
    ciphers: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """The variables that lead there."""
        return {"REPORTS__SMTP_URL": f"smtp://127.0.0.1:{self.port}", "REPORTS__MAIL_FROM": "granary@example.com"}

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        self.on_receiver()
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        assert [mail["To"]] == envelope.rcpt_tos, "each mail is one recipient's"
        if self.answer.startswith("250"):
            self.mails.append(mail)
            encryption = server.transport.get_extra_info("cipher")
            self.ciphers.append(encryption[0] if encryption else "")
        self.on_message()
        return self.answer

    @contextmanager
    def running(self, **more: Any) -> Iterator[Server]:
        """Listen. `more`: what aiosmtpd is to do besides."""
        controller = Controller(self, **{"hostname": "127.0.0.1", "port": self.port, **more})
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


def part(mail: EmailMessage, kind: str) -> Any:
    """The content of the part of a kind, which there is one of."""
    (found,) = [each for each in mail.walk() if each.get_content_type() == kind]
    assert isinstance(found, EmailMessage)
    return found.get_content()


def sheets(mail: EmailMessage) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each sheet of a mail's workbook."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    book = openpyxl.load_workbook(io.BytesIO(part(mail, kind)))
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book}


def printed(mail: EmailMessage) -> list[str]:
    """The text of each page of a mail's PDF."""
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(part(mail, "application/pdf"))).pages]


@dataclass
class Seen:
    """A mail as a browser shows it: its text, the rows of its tables of data, its pictures' widths in pixels."""

    text: str
    tables: list[list[list[str]]]
    pictures: list[int]
    left: list[str]


def seen(mail: EmailMessage, browser: Browser, folder: Path) -> Seen:
    """Open a mail's HTML, its pictures put where it points at them."""
    html = part(mail, "text/html")
    for each in mail.walk():
        if each.get_content_type() == "image/png":
            assert isinstance(each, EmailMessage)
            data = base64.b64encode(each.get_content()).decode()
            html = html.replace(f"cid:{each['Content-ID'].strip('<>')}", f"data:image/png;base64,{data}")
    file = folder / "mail.html"
    file.write_text(html, encoding="utf-8")
    page = browser.new_page(viewport={"width": 700, "height": 900})
    left: list[str] = []
    page.on(
        "request", lambda request: left.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    page.goto(file.as_uri())
    tables = page.evaluate("""() => [...document.querySelectorAll('table:not([role])')].map(
        table => [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.trim())))""")
    pictures = page.evaluate("() => [...document.images].map(image => image.naturalWidth)")
    found = Seen(page.inner_text("body"), tables, pictures, left)
    page.screenshot(path=str(folder / "mail.png"), full_page=True)
    page.close()
    return found
