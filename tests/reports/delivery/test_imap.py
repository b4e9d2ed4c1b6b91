"""Mail that came back is read where it lies on a server: a real Dovecot, over TLS, which keeps it as it was."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.environment import ConfigurationError
from tests.absent import package
from tests.ports import free_port
from tests.reports.delivery.conftest import SUNDAY, Reported
from tests.reports.delivery.test_delivery import notice

SETTINGS = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
log_path = {folder}/log
ssl = required
ssl_cert = <{folder}/crt
ssl_key = <{folder}/key
mail_location = maildir:{folder}/mail
first_valid_uid = 1
default_internal_user = {user}
default_login_user = {user}
passdb {{
  driver = static
  args = password=p@ss
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
  }}
}}
"""


@pytest.fixture
def mailbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, reported: Reported) -> Iterator[Path]:
    """The folder of a mailbox that a Dovecot serves, and the setting that leads there."""
    server = package(request, "/usr/sbin/dovecot", "dovecot-imapd", "BOUNCES OVER IMAP")
    # In a short path: a socket's name may not be longer than 107 bytes. Dovecot serves no mail of root's.
    folder = Path(tempfile.mkdtemp(prefix="granary_imap_"))
    owner = pwd.getpwnam("nobody" if os.getuid() == 0 else getpass.getuser())
    for name in ("cur", "new", "tmp"):
        (folder / "mail" / name).mkdir(parents=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key",
         "-out", folder / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    text = SETTINGS.format(folder=folder, user=owner.pw_name, uid=owner.pw_uid, gid=owner.pw_gid, port=port)
    (folder / "conf").write_text(text, encoding="utf-8")
    if os.getuid() == 0:
        for each in (folder, *folder.rglob("mail"), *folder.glob("mail/*")):
            os.chown(each, owner.pw_uid, owner.pw_gid)
    process = subprocess.Popen([server, "-F", "-c", folder / "conf"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        _listens(process, port, folder / "log")
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "crt"))
        reported.more = {"REPORTS__BOUNCES": f"imaps://granary:p%40ss@127.0.0.1:{port}/INBOX"}
        yield folder / "mail"
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(100):
        assert process.poll() is None, f"{process.communicate()[0]!r} {log.read_text() if log.exists() else ''}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("Dovecot didn't start in ten seconds")


def test_a_mailbox_on_a_server(reported: Reported, mailbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported.subscribe("visits")
    reported.send(SUNDAY)
    (mail,) = reported.server.mails
    (mailbox / "new" / "1.a").write_text("Subject: hello\n\nI am on holiday.\n", encoding="utf-8")
    (mailbox / "new" / "2.b").write_text(notice("failed", mail["Message-ID"]), encoding="utf-8")
    for each in (mailbox / "new").iterdir():
        each.chmod(0o666)
    assert reported.send(SUNDAY)[0] == {"bounced": 1}
    assert reported.send(SUNDAY)[0] == {}
    assert not [each for each in mailbox.glob("*/[12].*") if ":2,S" in each.name], "nothing is marked as read"

    address = reported.more["REPORTS__BOUNCES"]
    reported.more = {"REPORTS__BOUNCES": address.replace("p%40ss", "wrong")}
    with pytest.raises(
        ConfigurationError, match=r"REPORTS__BOUNCES: the mailbox can't be read: .*AUTHENTICATIONFAILED"
    ):
        reported.send(SUNDAY)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ConfigurationError, match=r"the mailbox can't be read: .*CERTIFICATE_VERIFY_FAILED"):
        reported.send(SUNDAY)
    for wrong in ("imap://127.0.0.1/INBOX", "maildir:relative", "/var/mail"):
        reported.more = {"REPORTS__BOUNCES": wrong}
        with pytest.raises(ConfigurationError, match="REPORTS__BOUNCES"):
            reported.send(SUNDAY)
