"""The mail server: its settings, a connection, and one message handed over; for alerts and for reports.

Settings are variables, or stand in `.dlt/secrets.toml`: `smtp_url` (`smtp://user:password@host:587`, `smtps://…`) and
`mail_from`, in the section `alerts` or that of whoever sends.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from ingestion.environment import ConfigurationError

SECONDS = 20
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What a server or the way to it may answer with, before it has a message.
MAIL_ERRORS = (OSError, smtplib.SMTPException)


class UncertainError(Exception):
    """The server was given the whole message, and the connection ended before it said what becomes of it."""


def mail_setting(section: str, name: str) -> str:
    """A setting of whoever sends, such as `reports.smtp_url`; else that of the alerts; else nothing."""
    import dlt

    found: Any = dlt.secrets.get(f"{section}.{name}") or dlt.secrets.get(f"alerts.{name}")
    return str(found or "")


def sender_of(section: str, url: str) -> str:
    """The address that mail comes from: `mail_from`, else one at the server's host."""
    return mail_setting(section, "mail_from") or f"granary@{urlsplit(url).hostname}"


@contextmanager
def mail_server(url: str, setting: str) -> Iterator[smtplib.SMTP]:
    """A connection to the server of a URL, encrypted where the server can.

    To this machine itself it is encrypted where there is a password. A certificate has to be valid
    for the host, by an authority that the machine knows or `SSL_CERT_FILE` names. A password is sent by an encrypted
    connection alone: who is in between could hide that the server offers one.

    Args:
        url: smtp://user:password@host:port, or smtps://….
        setting: the variable that it comes from, for the error.

    Raises:
        ConfigurationError: it is no such URL.
        OSError, smtplib.SMTPException: the server can't be reached, or lets nobody in.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ConfigurationError(f"{setting} is smtp://user:password@host:port or smtps://…")
    known, is_encrypted = ssl.create_default_context(), parts.scheme == "smtps"
    server = (
        smtplib.SMTP_SSL(parts.hostname, parts.port or 465, timeout=SECONDS, context=known)
        if is_encrypted
        else smtplib.SMTP(parts.hostname, parts.port or 587, timeout=SECONDS)
    )
    try:
        server.ehlo()
        is_wanted = bool(parts.username) or parts.hostname not in LOOPBACK
        if not is_encrypted and is_wanted and server.has_extn("starttls"):
            server.starttls(context=known)
            server.ehlo()
            is_encrypted = True
        if parts.username:
            if not is_encrypted:
                raise smtplib.SMTPNotSupportedError(
                    f"{parts.hostname} offers no encryption, and no password is sent without: take smtps://, or a port "
                    "with STARTTLS"
                )
            server.login(unquote(parts.username), unquote(parts.password or ""))
        yield server
    finally:
        # What was handed over is the server's, however the connection ends.
        with suppress(*MAIL_ERRORS):
            server.quit()


def hand_over(server: smtplib.SMTP, sender: str, receiver: str, message: bytes, before: Callable[[], None]) -> None:
    """Hand a message for one receiver to a server.

    `before` is called when the receiver is accepted and nothing of the message was given yet: from then on nobody but
    the server knows whether it is delivered.

    Raises:
        smtplib.SMTPResponseException: the server refuses; its code says for now (4xx) or for good (5xx).
        OSError, smtplib.SMTPException: the connection ended before the server had the message.
        UncertainError: it ended after that.
    """
    code, said = server.mail(sender)
    if code == 250:
        code, said = server.rcpt(receiver)
    if code not in (250, 251):
        server.rset()
        raise smtplib.SMTPResponseException(code, said)
    before()
    try:
        code, said = server.data(message)
    except smtplib.SMTPDataError:
        raise
    except MAIL_ERRORS as error:
        raise UncertainError(str(error) or type(error).__name__) from error
    if code != 250:
        raise smtplib.SMTPResponseException(code, said)
