"""What lies on disk is encrypted where there is a key: files are read as bytes, and opened with each key and with none.

That the same bytes are found without a key is part of each search: one that finds nothing anywhere proves nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from infra.__main__ import main as infra_main
from ingestion.destination.target import current_target
from ingestion.duck import connect, load_extension
from ingestion.encryption import attach, open_file, parquet
from ingestion.environment import ConfigurationError, variables
from ingestion.keys import BEFORE, EXTRACT, KEY
from ingestion.privacy.crosswalk import find_tokens
from ingestion.project import PROJECT_ROOT
from tests.crosswalks import VARIABLE
from tests.ingestion.test_sealing import on_disk
from tests.tiny.club import Club
from warehouse.__main__ import main as warehouse_main
from warehouse.build.build import roll_back_build
from warehouse.dbt import target_path
from warehouse.errors import BuildError
from warehouse.ops.backup import back_up, restore
from warehouse.ops.rekey import rekey
from warehouse.people.extract import extract_role
from warehouse.people.forgetting import forget
from warehouse.people.retention import retain
from warehouse.reading.export import Wanted, export
from warehouse.reading.query import query

FIRST = "Zmlyc3Qga2V5IG9mIHRoZSBjbHViLCBvbmx5IGluIHRlc3Rz"
SECOND = "c2Vjb25kIGtleSBvZiB0aGUgY2x1Yiwgb25seSBpbiB0ZXN0cw"
OTHERS = "b2YgYW4gZXh0cmFjdCwgZm9yIHdobyBnZXRzIHRoYXQgYWxvbmU"
# Of a member: in the crosswalk, and in raw and history.
ADDRESS, TOWN = b"member3@example.com", b"Town 3"
FILES = ("build.duckdb", "warehouse.duckdb", "warehouse__next.duckdb", "runs.duckdb")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Club]:
    """Clubs that were built twice, in the clear and under a key, each with a crosswalk of its own; to be copied."""
    return {key: _built(Club(tmp_path_factory.mktemp("built") / "club"), key) for key in ("", FIRST)}


def _built(club: Club, key: str) -> Club:
    with variables({KEY: key, VARIABLE: str(club.warehouse / "crosswalk.duckdb")}):
        for number in range(1, 6):
            club.member(number, "01-01")
            club.visit(number, f"01-{number + 1:02} 10:00", number)
        club.deliver()
        club.build(observed_at="01-20")
        club.member(3, "01-05", tier="gold")
        club.deliver()
        club.build(observed_at="02-01")
    return club


@pytest.fixture
def crosswalk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the crosswalk of the test's own club lies."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "club" / "warehouse" / "crosswalk.duckdb"))
    return Path(os.environ[VARIABLE])


@pytest.fixture
def plain(built: dict[str, Club], tmp_path: Path, crosswalk: Path) -> Club:
    """A club in the clear."""
    return built[""].copy(tmp_path / "club")


@pytest.fixture
def locked(built: dict[str, Club], tmp_path: Path, crosswalk: Path, monkeypatch: pytest.MonkeyPatch) -> Club:
    """A club under a key."""
    monkeypatch.setenv(KEY, FIRST)
    return built[FIRST].copy(tmp_path / "club")


def in_the_clear(club: Club, words: Iterable[bytes], *more: Path) -> set[tuple[str, bytes]]:
    """Which files of the warehouse, or of another folder, have one of these words."""
    files = [path for folder in (club.warehouse, *more) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > len(FILES)
    contents = ((path, path.read_bytes()) for path in files)
    return {(path.name, word) for path, content in contents for word in words if word in content}


@dataclass
class Said:
    """A command in this process, as somebody calls it; what it says on standard error, and how it ends."""

    club: Club
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def by(self, *words: str) -> tuple[int, list[str]]:
        """The exit status, and the lines of what it said."""
        self.monkeypatch.setattr(sys, "argv", list(words))
        main = {"warehouse": warehouse_main, "infra": infra_main}[words[0]]
        self.capsys.readouterr()
        with self.club.entered():
            status = main()
        said = self.capsys.readouterr()
        assert FIRST not in said.out + said.err and SECOND not in said.out + said.err
        return status, said.err.splitlines()

    def refused(self, *words: str, because: str) -> None:
        """See that it ends with one line that names a reason."""
        status, lines = self.by(*words)
        assert status == 2 and len(lines) == 1, lines
        assert lines[0].startswith("FAILED: ") and because in lines[0], lines


def key_of(file: Path) -> str:
    """With which key DuckDB itself opens a file."""
    for key in ("", FIRST, SECOND, OTHERS):
        with duckdb.connect() as connection:
            try:
                connection.execute(f"attach '{file}' as tried (read_only{f', encryption_key {key!r}' if key else ''})")
            except duckdb.Error:
                continue
            return key
    return "another"


def test_no_file_has_anything_in_the_clear(locked: Club, tmp_path: Path) -> None:
    said: list[str] = []
    with locked.entered():
        target = current_target()
        query(target, "select visit_amount from tiny.fct_visits", said.append)
        with pytest.raises(BuildError):
            query(target, "select 1 / town from tiny.fct_visits", said.append)
        back_up(target, None, 7, said.append)
        extract_role(target, "reporter", tmp_path / "extracts", said.append)
        artifacts = Path(target_path(target))
    logs = [folder / "logs" for folder in (locked.project, PROJECT_ROOT) if (folder / "logs").exists()]
    assert list(artifacts.rglob("*.sql"))
    words = (ADDRESS, TOWN, FIRST.encode())
    assert in_the_clear(locked, words, tmp_path / "extracts", artifacts) == set()
    assert in_the_clear(locked, (FIRST.encode(),), *logs) == set()
    assert not [line for line in said if FIRST in line]
    assert {key_of(locked.warehouse / name) for name in FILES} == {FIRST}


def test_the_same_search_finds_it_without_a_key(plain: Club) -> None:
    found = in_the_clear(plain, (ADDRESS, TOWN))
    assert {("crosswalk.duckdb", ADDRESS), ("build.duckdb", TOWN)} <= found


def test_what_is_published_is_what_it_would_be_without(locked: Club) -> None:
    assert locked.published() == locked.expected()
    before = locked.published()
    locked.visit(9, "02-02 10:00", 2)
    locked.deliver()
    locked.build(observed_at="02-03")
    after = locked.published()
    assert after == locked.expected() != before
    with locked.entered():
        roll_back_build(current_target(), lambda line: None)
    assert locked.published() == before


def test_there_and_back_again(locked: Club, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
    before = locked.published()
    with locked.entered():
        backup = back_up(current_target(), tmp_path / "backups", 7, lambda line: None)
        assert {key_of(backup / name) for name in (*FILES, "crosswalk.duckdb")} == {FIRST}
        for name in FILES:
            (locked.warehouse / name).unlink()
        monkeypatch.setenv(KEY, SECOND)
        with pytest.raises(ConfigurationError, match=r"build.duckdb can't be opened: it is encrypted with another key"):
            restore(current_target(), backup, lambda line: None)
        assert not [name for name in FILES if (locked.warehouse / name).exists()], "nothing was changed"
        monkeypatch.setenv(KEY, FIRST)
        restore(current_target(), backup, lambda line: None)
    assert locked.published() == before
    locked.build()
    assert locked.published() == before


def test_a_key_that_is_missing_wrong_or_too_many(
    plain: Club, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Said(plain, monkeypatch, capsys)
    asked = ("warehouse", "query", "select count(*) as visits from tiny.fct_visits")
    others = (("warehouse", "status"), ("warehouse", "build"), ("warehouse", "backup"))
    assert said.by(*asked) == (0, [])
    monkeypatch.setenv(KEY, FIRST)
    for words in (asked, *others):
        said.refused(*words, because="is in the clear, and PRIVACY__FILES_KEY is set: `make rotate KEY=files` encrypts")
    assert said.by("infra", "rotate", "files") == (0, [])
    assert said.by(*asked) == (0, [])
    monkeypatch.setenv(KEY, SECOND)
    for words in (asked, *others):
        said.refused(*words, because="is encrypted with another key than PRIVACY__FILES_KEY: set the one")
    monkeypatch.delenv(KEY)
    for words in (asked, *others):
        said.refused(*words, because="is encrypted, and PRIVACY__FILES_KEY is not set: set the key")
    monkeypatch.setenv(KEY, "a word")
    said.refused(*asked, because="PRIVACY__FILES_KEY is no key: that has at least 32 letters")
    assert {key_of(plain.warehouse / name) for name in FILES} == {FIRST}, "what was refused changed nothing"


def test_a_key_may_stand_in_the_file_of_secrets(
    plain: Club, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, said = plain.with_own_project(tmp_path / "project"), Said(plain, monkeypatch, capsys)
    (project / ".dlt").mkdir()
    secrets = project / ".dlt" / "secrets.toml"
    secrets.write_text(f'[privacy]\nfiles_key = "{FIRST}"\n', encoding="utf-8")
    assert said.by("infra", "rotate", "files") == (0, [])
    assert {key_of(plain.warehouse / name) for name in FILES} == {FIRST}
    assert said.by("warehouse", "status") == (0, [])
    secrets.write_text(f"[privacy\nfiles_key = {FIRST}", encoding="utf-8")
    said.refused("warehouse", "status", because="secrets.toml is no TOML: mend it")


def test_other_keys_for_what_is_there(plain: Club, crosswalk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [plain.warehouse / name for name in FILES] + [crosswalk]
    before, said = plain.published(), []
    for name in ("warehouse.previous", "warehouse__next.copying"):
        (plain.warehouse / name).write_bytes(TOWN)
    archived = plain.warehouse / "archive" / "club" / "members" / "20250101.parquet"
    archived.parent.mkdir(parents=True)
    duckdb.sql(f"copy (select '{TOWN.decode()}' as town, 1 as id) to '{archived}' (format parquet)")
    for key, former in ((FIRST, ""), (SECOND, FIRST), ("", SECOND)):
        monkeypatch.setenv(KEY, key)
        monkeypatch.setenv(BEFORE, former)
        with plain.entered():
            rekey(current_target(), said.append)
        assert {key_of(file) for file in names} == {key}
        assert plain.published() == before == plain.expected()
        with connect() as connection:
            assert connection.execute(f"from {parquet(connection, [archived])}").fetchall() == [("Town 3", 1)]
        assert crosswalk.stat().st_mode & 0o777 == 0o600
        if key:
            assert in_the_clear(plain, (ADDRESS, TOWN)) == set()
    assert not [line for line in said if FIRST in line or SECOND in line]
    monkeypatch.setenv(BEFORE, "")
    with plain.entered(), pytest.raises(ConfigurationError, match="there is no key: set PRIVACY__FILES_KEY"):
        rekey(current_target(), said.append)


def test_a_rotation_that_is_killed_is_ended_by_the_next(
    locked: Club, crosswalk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KEY, SECOND)
    monkeypatch.setenv(BEFORE, FIRST)
    first, names = locked.warehouse / FILES[0], [locked.warehouse / name for name in FILES] + [crosswalk]
    inode = first.stat().st_ino
    environment = {**os.environ, "TARGET": "dev", **locked.environment, "WAREHOUSE_DIR": str(locked.warehouse)}
    with subprocess.Popen(
        [sys.executable, "-m", "infra", "rotate", "files"], cwd=PROJECT_ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + 120
        while first.stat().st_ino == inode and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    keys = [key_of(file) for file in names]
    assert keys[0] == SECOND and keys[-1] == FIRST, "it was killed in the middle"
    assert set(keys) == {FIRST, SECOND}, "each file is whole under one of them"
    said = Said(locked, monkeypatch, capsys)
    said.refused("warehouse", "build", because="`make rotate KEY=files` with the former one")
    with locked.entered():
        rekey(current_target(), lambda line: None)
    assert {key_of(file) for file in names} == {SECOND}
    assert not list(locked.warehouse.glob("*.rekeyed"))
    monkeypatch.delenv(BEFORE)
    locked.visit(9, "02-02 10:00", 2)
    locked.deliver()
    locked.build(observed_at="02-03")
    assert locked.published() == locked.expected()


def test_a_file_that_neither_key_opens_stays(locked: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECOND)
    monkeypatch.setenv(BEFORE, OTHERS)
    with locked.entered(), pytest.raises(ConfigurationError, match=r"build.duckdb opens neither with"):
        rekey(current_target(), lambda line: None)
    assert {key_of(locked.warehouse / name) for name in FILES} == {FIRST}


def test_an_extract_may_have_a_key_of_its_own(locked: Club, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked.entered():
        mine = extract_role(current_target(), "reporter", tmp_path / "mine", lambda line: None)
        monkeypatch.setenv(EXTRACT, OTHERS)
        theirs = extract_role(current_target(), "reporter", tmp_path / "theirs", lambda line: None)
    assert (key_of(mine), key_of(theirs)) == (FIRST, OTHERS)
    with connect() as connection:
        attach(connection, theirs, "extract", read_only=True, key=OTHERS)
        assert connection.execute("select count(*) from extract.tiny.dim_members").fetchone() != (0,)


def test_what_raw_no_longer_keeps(locked: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
    with locked.entered(), variables({"GRANARY_OBSERVED_AT": "2028-06-14T00:00:00"}):  # 1,095 days are kept
        assert retain(current_target(), False, lambda line: None) == 1
        (file,) = locked.warehouse.glob("archive/club/members/*.parquet")
        assert in_the_clear(locked, (ADDRESS, TOWN, b"bronze")) == set()
        with connect() as connection:
            told = f"select town, tier from {parquet(connection, [file])}"
            assert connection.execute(told).fetchall() == [("Town 3", "bronze")]
        monkeypatch.setenv(KEY, SECOND)
        with connect() as connection, pytest.raises(ConfigurationError, match="is encrypted with another key"):
            parquet(connection, [file])
        monkeypatch.setenv(KEY, "")
        with connect() as connection, pytest.raises(ConfigurationError, match="is encrypted, and PRIVACY__FILES_KEY"):
            parquet(connection, [file])
        monkeypatch.setenv(KEY, FIRST)
        forget(current_target(), ["member3@example.com"], False, lambda line: None)
        with connect() as connection:
            told = f"select town, email like 'forgotten%' from {parquet(connection, [file])}"
            assert connection.execute(told).fetchall() == [(None, True)]


def test_who_has_the_key_may_know_whom_a_token_stands_for(
    locked: Club, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked.entered():
        (token,) = find_tokens(current_target(), "email", "member3@example.com")
        monkeypatch.setattr(sys, "argv", ["warehouse", "reveal", token, "email_of_nobody"])
        assert warehouse_main() == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == [[token, "member3@example.com"], ["email_of_nobody"]]
    monkeypatch.delenv(KEY)
    Said(locked, monkeypatch, capsys).refused("warehouse", "reveal", token, because="crosswalk.duckdb can't be opened")


def test_an_export_is_for_its_reader(locked: Club, tmp_path: Path) -> None:
    """It leaves the warehouse, in a form that other programs read."""
    with locked.entered():
        path = export(
            current_target(), Wanted("tiny.dim_members", "csv", folder=tmp_path / "exports"), lambda line: None
        )
    assert b"silver" in path.read_bytes() or b"bronze" in path.read_bytes()


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_server_that_is_built_on_knows_no_address(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its crosswalk lies in it, sealed: loads find equal values, and a person is found and forgotten by an address."""
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv(KEY, FIRST)
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "test unit_test")
    name = uuid4().hex  # no other test has planted it
    club.member(1, "01-01", email=f"{name}@example.com", town=f"Town {name}")
    club.visit(1, "01-02 10:00")
    club.deliver()
    club.build(observed_at="01-20")
    club.member(1, "01-05", email=f"{name}@example.com", town=f"Town {name}", tier="gold")
    club.deliver()
    club.build(observed_at="02-01")
    assert club.published() == club.expected()
    known = club.ask(lambda d: f"select email, count(*) from {d.raw('club', 'members')} group by email")
    assert [number for _, number in known] == [2], "equal values have one token"
    with club.entered():
        words = [f"{name}@example.com".encode(), f"Town {name}".encode(), FIRST.encode()]
        assert on_disk(words) == {words[1]}, "but what is no identifier: that is the disk's to hide"
        assert find_tokens(current_target(), "email", f"{name}@EXAMPLE.com") == {known[0][0]}
        forget(current_target(), [f"{name}@example.com"], False, lambda line: None)
        assert find_tokens(current_target(), "email", f"{name}@example.com") == set()


@pytest.mark.parametrize("key", ["", FIRST], ids=["in the clear", "under a key"])
def test_what_memory_does_not_hold(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, key)
    with open_file(tmp_path / "spilling.duckdb") as connection:
        connection.execute("set memory_limit = '150MB'; set threads = 2; set preserve_insertion_order = false")
        rows = connection.execute(
            "select 'canary' || range as word, md5(range::varchar) as digest from range(4000000) order by digest"
        )
        assert rows.fetchone() is not None
        spilt = [path.read_bytes() for path in (tmp_path / "spilling.duckdb.tmp").rglob("*") if path.is_file()]
    assert sum(map(len, spilt)) > 10_000_000
    assert any(b"canary" in content for content in spilt) is not bool(key)


def test_several_read_while_one_writes_the_next(locked: Club) -> None:
    """Readers have the published file open, in other processes, while a build works and exchanges it."""
    program = (
        "import sys; from pathlib import Path; from ingestion.encryption import open_file\n"
        "reader = open_file(Path(sys.argv[1]), read_only=True)\n"
        "print(reader.execute('select count(*) from tiny.fct_visits').fetchone()[0], flush=True); sys.stdin.read()\n"
        "print(reader.execute('select count(*) from tiny.fct_visits').fetchone()[0], flush=True)"
    )
    file = str(locked.warehouse / "warehouse.duckdb")
    readers = [
        subprocess.Popen([sys.executable, "-c", program, file], cwd=PROJECT_ROOT, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    try:
        for reader in readers:
            assert reader.stdout and reader.stdout.readline() == "5\n"
        locked.visit(9, "02-02 10:00", 2)
        locked.deliver()
        locked.build(observed_at="02-03")
        for reader in readers:
            assert reader.communicate(timeout=60)[0] == "5\n", "who had it open keeps it"
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
    assert len(locked.published().visits) == 6


def test_without_a_key_nothing_is_loaded_for_it(tmp_path: Path) -> None:
    with open_file(tmp_path / "plain.duckdb") as connection:
        asked = "select loaded from duckdb_extensions() where extension_name = 'httpfs'"
        assert connection.execute(asked).fetchall() in ([], [(False,)])
        load_extension(connection, "httpfs")
        assert connection.execute(asked).fetchall() == [(True,)], "what it would look like"


def test_files_are_opened_in_one_place() -> None:
    """Elsewhere one would be opened without its key; Superset, which has an environment of its own, has its own way."""
    opening = re.compile(r"duckdb\.connect\((?!\)|config=)|attach (\{literal\(str|'\{)")
    folders = ("api", "infra", "ingestion", "orchestration", "reports", "warehouse")
    found = {
        str(path.relative_to(PROJECT_ROOT))
        for folder in folders
        for path in (PROJECT_ROOT / folder).rglob("*.py")
        if opening.search(path.read_text(encoding="utf-8"))
    }
    of_sources = {"ingestion/readers/sql/attach.py"}
    assert (
        found
        == {"ingestion/encryption.py", "ingestion/destination/lake.py", "reports/superset/superset_config.py"}
        | of_sources
    )
