"""The crosswalk on Postgres under a key: what the server's files hold, and what happens under another key or none."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from infra.__main__ import main as infra_main
from ingestion.destination.target import Target
from ingestion.environment import ConfigurationError
from ingestion.keys import BEFORE, KEY
from ingestion.privacy.crosswalk import drop_identifiers, find_tokens
from ingestion.privacy.identifiers import RECORD
from ingestion.privacy.sealing import Seal, UnsealedError
from ingestion.project import PROJECT_ROOT
from tests.crosswalks import VARIABLE
from tests.ingestion.test_crosswalk import tokens_for
from tests.warehouses import as_environment
from warehouse.ops.rekey import rekey

FIRST, SECOND = "Zmlyc3Qga2V5IG9mIGEgY3Jvc3N3YWxr" + "x" * 8, "c2Vjb25kIGtleSBvZiBhIGNyb3Nzd2Fsaw"


@pytest.fixture
def target(postgres: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A Postgres with a crosswalk of its own."""
    monkeypatch.delenv(VARIABLE)
    for name, value in (as_environment(postgres) | {"TARGET": "prod", "WAREHOUSE_DIR": str(tmp_path / "w")}).items():
        monkeypatch.setenv(name, value)
    return Target("prod", "postgres", tmp_path / "w")


def asked(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def on_disk(words: list[bytes]) -> set[bytes]:
    """Which of these words the server's files have, its log among them, once everything is written."""
    with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("checkpoint")
    folder = Path(str(asked("show data_directory")[0][0]))
    if not folder.exists():
        pytest.skip("the server's data directory isn't on this machine: its files can't be read")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 100
    found = set()
    for path in files:
        # The server goes on meanwhile: it writes some of its files under another name first, and takes others away.
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            found |= {word for word in words if word in content}
    return found


@pytest.mark.postgres
@pytest.mark.parametrize("key", ["", FIRST], ids=["in the clear", "sealed"])
def test_what_the_files_of_the_server_hold(
    key: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, key)
    name = uuid4().hex  # no other test has planted it
    rows = [{"id": str(number), "email": f"{name}{number}@example.com"} for number in range(100)]
    tokens = [row["email"] for row in tokens_for(target, tmp_path / "one", rows)]
    assert [row["email"] for row in tokens_for(target, tmp_path / "two", rows)] == tokens
    assert find_tokens(target, "email", f"{name}7@EXAMPLE.com") == {next(
        row["email"] for row in tokens_for(target, tmp_path / "three", [rows[7]])
    )}  # fmt: skip
    drop_identifiers(target, {tokens[3]})
    words = [name.encode(), f"{name}7@example.com".encode(), FIRST.encode()]
    assert on_disk(words) == (set() if key else set(words[:2]))


@pytest.mark.postgres
def test_what_is_there_comes_under_a_key_and_under_another(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": str(number), "email": f"member{number}@example.com"} for number in range(50)]
    rows += [{"id": "x", "first_name": 'of , and " and \\ and a\nline'}]
    tokens = tokens_for(target, tmp_path / "one", rows)
    seen = asked("select token, first_seen_at from privacy.identifiers order by 1")
    said: list[str] = []
    for key, former in ((FIRST, ""), (SECOND, FIRST)):
        monkeypatch.setenv(KEY, key)
        monkeypatch.setenv(BEFORE, "")
        with pytest.raises(ConfigurationError, match="another key than" if former else "values in the clear"):
            tokens_for(target, tmp_path / "refused", rows)
        with pytest.raises(ConfigurationError):
            find_tokens(target, "email", "member1@example.com")
        monkeypatch.setenv(BEFORE, former)
        rekey(target, said.append)
        monkeypatch.setenv(BEFORE, "")
        stored = asked("select kind, value, value_hash from privacy.identifiers")
        assert len({value for _, value, _ in stored}) == len({bytes(found) for _, _, found in stored}) == 51
        assert not [value for _, value, _ in stored if "member" in value]
        assert tokens_for(target, tmp_path / "two", rows) == tokens
        file = (
            Path(asked("show data_directory")[0][0]) / asked("select pg_relation_filepath('privacy.identifiers')")[0][0]
        )
        if file.exists():
            assert b"member1@example.com" not in file.read_bytes()
    assert said[0] == "privacy.identifiers: 51 values are encrypted with the present key"
    assert asked("select token, first_seen_at from privacy.identifiers order by 1") == seen
    monkeypatch.setenv(BEFORE, FIRST)
    monkeypatch.setenv(KEY, "")
    with pytest.raises(ConfigurationError, match=r"privacy\.identifiers has values that neither"):
        rekey(target, said.append)
    monkeypatch.delenv(KEY)
    with pytest.raises(ConfigurationError, match=r"privacy\.identifiers is encrypted, and PRIVACY__FILES_KEY is not"):
        tokens_for(target, tmp_path / "refused", rows)
    monkeypatch.setenv(BEFORE, SECOND)
    rekey(target, said.append)
    assert tokens_for(target, tmp_path / "three", rows) == tokens
    assert ("member1@example.com",) in asked("select value from privacy.identifiers")


@pytest.mark.postgres
def test_a_rotation_that_is_killed_leaves_it_as_it_was(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, FIRST)
    rows = [{"id": str(number), "email": f"member{number}@example.com"} for number in range(20_000)]
    tokens = tokens_for(target, tmp_path / "one", rows[:10])
    with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
        seal = Seal(FIRST)
        cursor.executemany(
            "insert into privacy.identifiers (token, kind, value, value_hash) values (%s, 'email', %s, %s)",
            [(f"t{n}", seal.sealed("email", each["email"]), seal.hash("email", each["email"]))
             for n, each in enumerate(rows[10:])],
        )  # fmt: skip
    before = asked("select * from privacy.identifiers order by token")
    monkeypatch.setenv(KEY, SECOND)
    monkeypatch.setenv(BEFORE, FIRST)
    written = target.folder / "crosswalk.resealed"
    with subprocess.Popen([sys.executable, "-m", "infra", "rotate", "files"], cwd=PROJECT_ROOT) as process:
        until = time.monotonic() + 120
        while not (written.exists() and written.stat().st_size) and time.monotonic() < until:
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -9 and written.exists()
    assert written.stat().st_mode & 0o777 == 0o600
    assert asked("select * from privacy.identifiers order by token") == before
    monkeypatch.setattr(sys, "argv", ["infra", "rotate", "files"])
    assert infra_main() == 0
    assert not written.exists()
    monkeypatch.delenv(BEFORE)
    assert tokens_for(target, tmp_path / "two", rows[:10]) == tokens
    assert asked("select count(*) from privacy.identifiers") == [(20_000,)]


@pytest.mark.postgres
def test_records_that_hold_a_value_go_with_it(target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEY, FIRST)
    gone = tokens_for(target, tmp_path / "one", [{"id": "1", "email": "gone@example.com"}])[0]["email"]
    seal = Seal(FIRST)
    kept = {"other": "a record of kept@example.com", "text": "gone@example.com, as somebody's first name"}
    rows = [("broken", RECORD, "{bad json gone@example.com"), ("other", RECORD, kept["other"])]
    rows += [("text", "first_name", kept["text"])]
    with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
        for token, kind, value in rows:
            cursor.execute(
                "insert into privacy.identifiers (token, kind, value, value_hash) values (%s, %s, %s, %s)",
                [token, kind, seal.sealed(kind, value), seal.hash(kind, value)],
            )
    drop_identifiers(target, {gone})
    left = asked("select token, kind, value from privacy.identifiers")
    assert {token: seal.opened(kind, value) for token, kind, value in left} == kept


def test_a_value_is_sealed_for_its_kind_and_key_alone() -> None:
    seal = Seal(FIRST)
    text = seal.sealed("email", "ada@example.com")
    assert text != seal.sealed("email", "ada@example.com"), "equal values can't be seen"
    assert seal.opened("email", text) == "ada@example.com"
    assert seal.hash("email", "ada") == seal.hash("email", "ada") != seal.hash("first_name", "ada")
    assert Seal(SECOND).hash("email", "ada") != seal.hash("email", "ada")
    for other, kind, given in (
        (Seal(SECOND), "email", text),
        (seal, "first_name", text),
        (seal, "email", "in the clear"),
    ):
        with pytest.raises(UnsealedError):
            other.opened(kind, given)
