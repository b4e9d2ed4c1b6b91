"""Mail that came back: delivery status notifications (RFC 3464) in the mailbox of the sender's address.

REPORTS__BOUNCES says where that is: `maildir:///path`, or `imaps://user:password@host/INBOX`. What is read of it is
what a server says about a message of ours, told by its Message-ID; other mail is left alone.
"""

from __future__ import annotations

import email
import imaplib
import mailbox
import re
import ssl
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ingestion.environment import ConfigurationError
from orchestration.mail import SECONDS, mail_setting
from reports.delivery.ledger import Ledger

SETTING = "REPORTS__BOUNCES"
_OURS = re.compile(r"<granary\.([0-9a-f]{32})@[^>]+>")
_ADDRESS = re.compile(r"\S+@\S+")


def collect_bounces(ledger: Ledger, say: Callable[[str], None]) -> int:
    """Write down which deliveries came back. Returns how many that were not known to.

    Raises:
        ConfigurationError: the setting is wrong, or the mailbox can't be read.
    """
    address = mail_setting("reports", "bounces")
    if not address:
        return 0
    found = 0
    try:
        for mail in _mails(address):
            bounce = bounce_of(mail)
            if bounce and ledger.bounced(*bounce):
                found += 1
                entry = ledger.states[bounce[0]]
                say(f"{entry['subscription']} for {entry['login']}: recipient {entry['number']}: bounced ({bounce[1]})")
    except (OSError, imaplib.IMAP4.error) as error:
        raise ConfigurationError(f"{SETTING}: the mailbox can't be read: {error}") from error
    return found


def bounce_of(mail: Message) -> tuple[str, str] | None:
    """The delivery that a mail says has failed, and why; None of any other mail.

    A notice of delay is none: its delivery goes on.
    """
    parts = list(mail.walk())
    reports: list[Any] = [part.get_payload() for part in parts if part.get_content_type() == "message/delivery-status"]
    fields: list[Message] = [part for report in reports if isinstance(report, list) for part in report]
    failed = [part for part in fields if str(part.get("Action", "")).strip().lower() == "failed"]
    if not failed:
        return None
    for part in parts:
        if ours := _OURS.search(_returned_id(part)):
            said = f"{failed[0].get('Status', '')} {failed[0].get('Diagnostic-Code', '')}"
            return ours[1], " ".join(_ADDRESS.sub("<address>", said).split())[:300]
    return None


def _returned_id(part: Message) -> str:
    """The Message-ID of the mail that a part gives back, whole or its head."""
    given: Any = part.get_payload()
    if part.get_content_type() == "message/rfc822" and isinstance(given, list):
        return str(given[0].get("Message-ID", ""))
    if part.get_content_type() == "text/rfc822-headers":
        return str(email.message_from_string(str(given)).get("Message-ID", ""))
    return ""


def _mails(address: str) -> Iterator[Message]:
    parts = urlsplit(address)
    if parts.scheme == "maildir" and parts.path:
        folder = Path(unquote(parts.path))
        if not (folder / "new").is_dir():
            raise ConfigurationError(f"{SETTING}: {folder} is no Maildir: it has no folder `new`")
        yield from mailbox.Maildir(folder, create=False)
        return
    if parts.scheme != "imaps" or not parts.hostname or not parts.username:
        raise ConfigurationError(f"{SETTING} is maildir:///path or imaps://user:password@host/INBOX")
    context = ssl.create_default_context()
    with imaplib.IMAP4_SSL(parts.hostname, parts.port or 993, ssl_context=context, timeout=SECONDS) as server:
        server.login(unquote(parts.username), unquote(parts.password or ""))
        server.select(unquote(parts.path.lstrip("/")) or "INBOX", readonly=True)
        # Such notices alone; nothing is marked as read.
        _, (numbers,) = server.search(None, "HEADER", "Content-Type", "multipart/report")
        for number in numbers.split():
            _, data = server.fetch(number.decode(), "(BODY.PEEK[])")
            yield from (email.message_from_bytes(part[1]) for part in data if isinstance(part, tuple))
