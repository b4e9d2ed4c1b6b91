"""Where a database lies is asked for without echo, and kept for its owner alone."""

from __future__ import annotations

import os
import pty
import stat
import sys
from pathlib import Path

import pytest

from ingestion.project import PROJECT_ROOT

ADDRESS = "postgresql://reader:s3cret@erp.example/erp"
ASK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from warehouse.project.scaffold.address import address_of
with address_of(Path.cwd(), "erp"):
    if sys.argv[2] == "refused":
        raise SystemExit(3)
"""


def typed(folder: Path, answer: str, outcome: str) -> tuple[int, str]:
    """Run it in a terminal in which somebody types the answer. Returns the exit status and all that was shown."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-c", ASK, str(PROJECT_ROOT), outcome])
    shown, is_answered = b"", False
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # how Linux says that nobody holds the other end any more
            break
        shown += read
        if b"Where does erp lie?" in shown and not is_answered:
            os.write(terminal, answer.encode() + b"\n")
            is_answered = True
        if not read:
            break
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCES__ERP__CREDENTIALS", raising=False)


def test_what_is_typed_is_not_shown_and_kept_beside_what_is_there(tmp_path: Path) -> None:
    secrets = tmp_path / ".dlt" / "secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text('[sources.accounts]  # of the service\ntoken = "abc"\n', encoding="utf-8")
    status, shown = typed(tmp_path, ADDRESS, "done")
    assert status == 0 and ADDRESS not in shown and "kept in .dlt/secrets.toml" in shown
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    text = secrets.read_text(encoding="utf-8")
    assert text.startswith('[sources.accounts]  # of the service\ntoken = "abc"\n')
    assert f'[sources.erp]\ncredentials = "{ADDRESS}"\n' in text
    status, shown = typed(tmp_path, "another", "done")
    assert status == 0 and "Where does" not in shown, "it is known now"


def test_an_address_that_leads_nowhere_is_not_kept(tmp_path: Path) -> None:
    status, shown = typed(tmp_path, ADDRESS, "refused")
    assert status == 3 and ADDRESS not in shown
    assert not (tmp_path / ".dlt").exists()
