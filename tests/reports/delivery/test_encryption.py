"""Reports go by an encrypted connection to a server whose certificate is good, and no password without."""

from __future__ import annotations

import smtplib
import ssl
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from infra.certificates import make_certificates
from tests.reports.delivery.conftest import FIRST_DAY, Reported
from tests.reports.delivery.post import Server

PASSWORD = "a:p@ss/word"
AS_WRITTEN = "granary:a%3Ap%40ss%2Fword"
ENTRANCES = ("STARTTLS", "TLS")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an authority and of a certificate for the loopback by it."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, partial(subprocess.run, check=True, capture_output=True))
    return folder


class Asked:
    """Takes one password, and notes what was offered to it."""

    def __init__(self) -> None:
        self.offered: list[str] = []

    def __call__(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        self.offered.append(f"{login.login.decode()}:{login.password.decode()}")
        return AuthResult(success=self.offered[-1] == f"granary:{PASSWORD}", handled=False)


def entrance(kind: str, certificates: Path, asked: Asked) -> dict[str, Any]:
    """How a server has to be entered: by which encryption, and with a password."""
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    by = {"tls_context": own, "require_starttls": True} if kind == "STARTTLS" else {"ssl_context": own}
    # By TLS from the first byte on aiosmtpd doesn't know that it is encrypted.
    return {**by, "authenticator": asked, "auth_required": True, "auth_require_tls": kind == "STARTTLS"}


def url(kind: str, server: Server, login: str = AS_WRITTEN) -> dict[str, str]:
    scheme = "smtp" if kind == "STARTTLS" else "smtps"
    return {"REPORTS__SMTP_URL": f"{scheme}://{login}@127.0.0.1:{server.port}"}


@pytest.mark.parametrize("kind", ENTRANCES)
def test_a_report_goes_encrypted(reported: Reported, certificates: Path, kind: str) -> None:
    reported.subscribe("visits")
    server, asked = Server(), Asked()
    reported.more = {**url(kind, server), "SSL_CERT_FILE": str(certificates / "ca.crt")}
    with server.running(**entrance(kind, certificates, asked)):
        counts, lines = reported.send(FIRST_DAY)
    assert counts == {"sent": 1}, lines
    assert [mail["To"] for mail in server.mails] == ["anna@example.com"] and "" not in server.ciphers
    assert asked.offered == [f"granary:{PASSWORD}"]


@pytest.mark.parametrize("kind", ENTRANCES)
def test_a_certificate_of_nobody_known_gets_neither_password_nor_report(
    reported: Reported, certificates: Path, kind: str
) -> None:
    reported.subscribe("visits")
    server, asked = Server(), Asked()
    reported.more = url(kind, server)
    with server.running(**entrance(kind, certificates, asked)):
        counts, lines = reported.send(FIRST_DAY)
    assert counts == {"failed": 1} and "certificate verify failed" in lines[0]
    assert server.mails == [] and asked.offered == []


@pytest.mark.parametrize("kind", ENTRANCES)
def test_a_certificate_of_another_host_is_refused(reported: Reported, certificates: Path, kind: str) -> None:
    reported.subscribe("visits")
    server, asked = Server(), Asked()
    there = {name: text.replace("127.0.0.1", "127.0.0.2") for name, text in url(kind, server).items()}
    reported.more = {**there, "SSL_CERT_FILE": str(certificates / "ca.crt")}
    with server.running(**entrance(kind, certificates, asked), hostname="127.0.0.2"):
        counts, lines = reported.send(FIRST_DAY)
    assert counts == {"failed": 1} and "IP address mismatch" in lines[0]
    assert server.mails == [] and asked.offered == []


def test_no_password_without_encryption(reported: Reported) -> None:
    reported.subscribe("visits")
    server, asked = Server(), Asked()
    reported.more = url("STARTTLS", server)
    # The server itself would take it.
    with server.running(authenticator=asked, auth_require_tls=False):
        counts, lines = reported.send(FIRST_DAY)
    assert counts == {"failed": 1} and "127.0.0.1 offers no encryption, and no password is sent without" in lines[0]
    assert server.mails == [] and asked.offered == []


def test_the_server_takes_no_password_without_encryption(certificates: Path) -> None:
    """Of the server that the tests above send to: who doesn't encrypt is refused there, too."""
    server, asked = Server(), Asked()
    more = entrance("STARTTLS", certificates, asked) | {"require_starttls": False}
    with server.running(**more), smtplib.SMTP("127.0.0.1", server.port) as plain:
        plain.ehlo()
        assert plain.docmd("AUTH", "PLAIN AGdyYW5hcnkAeA==")[0] == 538
        assert plain.mail("granary@example.com")[0] == 530
    assert asked.offered == []


@pytest.mark.parametrize("kind", ENTRANCES)
def test_a_wrong_password(reported: Reported, certificates: Path, kind: str) -> None:
    reported.subscribe("visits")
    server, asked = Server(), Asked()
    reported.more = {**url(kind, server, "granary:guessed"), "SSL_CERT_FILE": str(certificates / "ca.crt")}
    with server.running(**entrance(kind, certificates, asked)):
        counts, lines = reported.send(FIRST_DAY)
    assert counts.keys() <= {"failed", "refused"} and counts and "535" in lines[0], lines
    assert server.mails == [] and set(asked.offered) == {"granary:guessed"}
