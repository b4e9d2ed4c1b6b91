"""Waiting for a source: a change ends it at once, nothing else does; what is being written is let come to an end."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ingestion.contract.contracts import Source
from ingestion.load.watching import Watch
from ingestion.readers import files, sql

LONG = 20.0


@contextmanager
def soon(work: Callable[[], object], seconds: float = 0.3) -> Iterator[None]:
    """Have it done while something waits."""
    timer = threading.Timer(seconds, work)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def waited(watch: Watch | None, seconds: float = LONG, ended: threading.Event | None = None) -> tuple[bool, float]:
    """What a wait returned, and how long it took."""
    assert watch is not None
    started = time.monotonic()
    return watch.wait(seconds, ended or threading.Event()), time.monotonic() - started


@pytest.fixture
def delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "delivered"
    (folder / "2025").mkdir(parents=True)
    (folder / "2025" / "a.csv").write_text("1\n")
    monkeypatch.setenv("SOURCES__TILLS__BUCKET_URL", str(folder))
    return folder


def test_a_file_in_a_folder_below_ends_the_wait(delivered: Path) -> None:
    watch = files.watch(Source("tills", "raw_tills", ()))
    assert watch is not None
    watch.begin()
    told, seconds = waited(watch, 0.4)
    assert not told and seconds >= 0.4, "nothing came"
    with soon(lambda: (delivered / "2025" / "b.csv").write_text("2\n")):
        told, seconds = waited(watch)
    assert told and seconds < 5
    # What came while the load went on counts from when that began.
    watch.begin()
    (delivered / "2025" / "a.csv").write_text("1\n2\n")
    assert waited(watch)[0]


def test_a_file_that_is_still_written_is_told_when_it_is_done(delivered: Path) -> None:
    watch = files.watch(Source("tills", "raw_tills", ()))
    assert watch is not None
    watch.begin()
    done: list[float] = []

    def write() -> None:
        with (delivered / "c.csv").open("w") as file:
            for number in range(200):
                file.write(f"{number}\n")
                file.flush()
                time.sleep(0.005)
        done.append(time.monotonic())

    with soon(write, 0.0):
        assert waited(watch)[0]
        assert time.monotonic() > (done or [0.0])[0] > 0


def test_an_object_store_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__TILLS__BUCKET_URL", "memory://tills")
    assert files.watch(Source("tills", "raw_tills", ())) is None


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_commit_to_sqlite_ends_the_wait(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tills.sqlite"
    monkeypatch.setenv("SOURCES__TILLS__CREDENTIALS", f"sqlite:///{file}")
    with closing(sqlite3.connect(file, check_same_thread=False)) as connection:
        connection.execute(f"pragma journal_mode = {mode}")
        connection.execute("create table sales (id integer)")
        connection.commit()
        watch = sql.watch(Source("tills", "raw_tills", ()))
        assert watch is not None
        watch.begin()
        assert waited(watch, 0.3) == (False, pytest.approx(0.3, abs=0.3))

        def sell() -> None:
            connection.execute("insert into sales values (1)")
            connection.commit()

        with soon(sell):
            told, seconds = waited(watch)
    assert told and seconds < 5


def test_who_ends_it_needn_t_wait(delivered: Path) -> None:
    watch, ended = files.watch(Source("tills", "raw_tills", ())), threading.Event()
    assert watch is not None
    watch.begin()
    with soon(ended.set):
        told, seconds = waited(watch, LONG, ended)
    assert told and seconds < 5


def test_other_databases_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__TILLS__CREDENTIALS", "postgresql://localhost/tills")
    assert sql.watch(Source("tills", "raw_tills", ())) is None
