"""The same warehouse on a lake, with its catalogs in Postgres and in files."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2
import pytest

from ingestion.destination.lake import BUILD, MARTS
from ingestion.destination.target import current_target
from ingestion.duck import connect
from tests.lake.conftest import on_both
from tests.tiny.club import Club
from tests.warehouses import connected, reading_lake, settings
from warehouse.build.build import Request, publish_held_build, roll_back_build
from warehouse.build.history import rebuild_history
from warehouse.errors import BuildError
from warehouse.publish import lake as publishing
from warehouse.publish.compaction import compact

LAKE = pytest.mark.parametrize("engine", ["lake"], indirect=True)
IN_FILES = pytest.param("lake_in_files", marks=pytest.mark.battery)
EITHER = pytest.mark.parametrize("engine", ["lake", IN_FILES], indirect=True)


def silent(line: str) -> None:
    """Take a line of progress."""


def grow(club: Club) -> None:
    """Two builds, of what came in order and of what came late."""
    club.member(1, "01-01")
    club.member(2, "01-02", tier="gold")
    visit = club.visit(1, "01-03 10:00", 1)
    club.visit(2, "01-03 11:00", 2, "7.5")
    club.deliver()
    club.build(observed_at="01-20")
    club.member(1, "01-02", tier="silver")
    club.corrected(visit, "01-04", amount="3")
    club.visit(3, "01-05 10:00", 3)
    club.deliver()
    club.build(observed_at="02-01")


def number(club: Club) -> int:
    """The number of the generation that readers see."""
    with reading_lake(club.engine, club.warehouse) as lake:
        [(found,)] = lake.execute("select generation_number from ops.generation").fetchall()
    return int(found)


@EITHER
def test_what_a_lake_publishes_is_what_must_be(club: Club) -> None:
    grow(club)
    assert club.published() == club.expected()
    assert number(club) == 2
    # A change of nothing is nothing to build; all of it again comes out the same.
    assert "nothing to build" in club.build()[-1]
    club.build(Request(full=True), tested=True)
    assert club.published() == club.expected()
    with club.entered():
        assert not [each for each in rebuild_history(current_target(), silent) if each.gone or each.new]


@EITHER
def test_a_generation_is_held_published_and_taken_back(club: Club) -> None:
    grow(club)
    before = club.published()
    club.visit(4, "01-06 10:00", 1)
    club.deliver()
    club.build(Request(hold=True))
    assert (number(club), club.published()) == (2, before)
    with club.entered():
        publish_held_build(current_target(), silent)
    assert (number(club), club.published()) == (3, club.expected())
    with club.entered():
        roll_back_build(current_target(), silent)
        assert (number(club), club.published()) == (2, before)
        # Three published snapshots are kept: there is one more.
        roll_back_build(current_target(), silent)
        assert number(club) == 1
        with pytest.raises(BuildError, match="no generation before"):
            roll_back_build(current_target(), silent)
    club.build(Request(full=True, ingest=False))
    assert (number(club), club.published()) == (4, club.expected())


@pytest.mark.battery
@on_both
def test_a_build_that_fails_is_nothing_to_readers(club: Club, tmp_path: Path) -> None:
    grow(club)
    before = club.published()
    root = club.with_own_project(tmp_path / "project")
    model = next(root.rglob("agg_visits__daily.sql"))
    sound = model.read_text(encoding="utf-8")
    model.write_text(sound.replace("count(*)", "count(*) / 0 + 'x'"), encoding="utf-8")
    club.visit(4, "01-06 10:00", 1)
    club.deliver()
    with pytest.raises(BuildError, match="agg_visits__daily"):
        club.build()
    assert (number(club), club.published()) == (2, before)
    model.write_text(sound, encoding="utf-8")
    club.build(tested=True)
    assert club.published() == club.expected()


@LAKE
def test_integers_that_a_lake_would_round_are_not_published(club: Club, tmp_path: Path) -> None:
    club.visit(1, "01-02 10:00")
    club.deliver()
    root = club.with_own_project(tmp_path / "project")
    model = next(root.rglob("int_visits__touched.sql"))
    text = model.read_text(encoding="utf-8")
    model.write_text(text.replace("select visit", "select cast(1 as hugeint) as big, visit"), encoding="utf-8")
    with pytest.raises(BuildError, match=r"doubles.*int_visits__touched\.big"):
        club.build()


READER = """
import sys, time
from pathlib import Path
from tests.warehouses import reading_lake
with reading_lake(dict(each.split("=", 1) for each in sys.argv[2:]), Path(sys.argv[1])) as lake:
    print("ready", flush=True)
    seen, until = [], time.monotonic() + 600
    while time.monotonic() < until:
        [row] = lake.execute('''
            select
                (select max(generation_number) from ops.generation),
                (select count(*) from tiny.fct_visits),
                (select sum(visit_count) from tiny.agg_visits__daily)''').fetchall()
        if row not in seen:
            seen.append(row)
            print(*row, flush=True)
"""


@pytest.mark.battery
@LAKE
def test_readers_see_whole_generations_alone(club: Club) -> None:
    """One reads without pause while generations are built, fail, are published and taken back."""
    grow(club)
    words = [
        sys.executable,
        "-c",
        READER,
        str(club.warehouse),
        *(f"{name}={value}" for name, value in club.engine.items()),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        try:
            assert reader.stdout.readline() == "ready\n"
            published = {2: 3}
            for each in range(3, 23):
                club.visit(each + 1, f"02-{each + 1:02} 10:00", 1)
                club.deliver()
                club.build()
                published[each] = each + 1
            with club.entered():
                roll_back_build(current_target(), silent)
                compact(current_target(), silent)
            time.sleep(1)
        finally:
            reader.kill()
        seen = [tuple(map(int, line.split())) for line in reader.stdout.read().splitlines()]
    assert {generation for generation, *_ in seen} <= set(published)
    assert len(seen) >= 15
    assert [each for each in seen if not published[each[0]] == each[1] == each[2]] == []


@LAKE
def test_a_readers_login_reads_what_is_published_and_nothing_else(club: Club) -> None:
    grow(club)
    with connected(club.engine) as server, server.cursor() as cursor:
        cursor.execute("drop role if exists bi_of_lake")
        cursor.execute(f"create role bi_of_lake login in role {publishing.READER}")
    reader = {**club.engine, "PGUSER": "bi_of_lake"}
    with reading_lake(reader, club.warehouse) as lake:
        assert lake.execute("select count(*) from tiny.fct_visits").fetchall() == [(3,)]
        schemas = {
            name
            for (name,) in lake.execute(
                "select schema_name from duckdb_schemas() where database_name = 'warehouse'"
            ).fetchall()
        }
        assert schemas == {"main", "ops", "tiny"}
        with pytest.raises(duckdb.Error):
            lake.execute("delete from tiny.fct_visits")
    with closing(
        psycopg2.connect(host=club.engine["PGHOST"], user="bi_of_lake", dbname=club.engine["PGDATABASE"])
    ) as login:
        for catalog in (BUILD, MARTS):
            with login, login.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(f"select * from lake_{catalog}.ducklake_data_file")
    # Who has the files and no catalog that names them has no key either.
    files = list((club.warehouse / "lake").rglob("*.parquet"))
    assert len(files) > 20
    with closing(connect()) as plain:
        for file in files:
            assert b"Town" not in file.read_bytes()
            with pytest.raises(duckdb.Error, match="encrypt"):
                plain.execute(f"from read_parquet('{file}')")


def rows_of_files(club: Club, needle: str) -> tuple[int, int]:
    """How many Parquet files lie in the lake, and how many of them, opened with the catalogs' keys, hold a text."""
    with settings({**club.engine, "WAREHOUSE_DIR": str(club.warehouse)}):
        lake = current_target().lake
        assert lake
        with closing(connect()) as connection:
            keys = []
            for statement in lake.opening():
                connection.execute(statement)
            for catalog in (BUILD, MARTS):
                connection.execute(lake.attaching(catalog, catalog))
                place = f"__ducklake_metadata_{catalog}.{'main' if lake.folder else lake.schema(catalog)}"
                for table in ("ducklake_data_file", "ducklake_delete_file"):
                    keys += connection.execute(f"select path, encryption_key from {place}.{table}").fetchall()
            known = dict(keys)
            files = list((club.warehouse / "lake").rglob("*.parquet"))
            holding = 0
            for file in files:
                key = f"{{footer_key_value: from_base64('{known[file.name]}')}}"
                rows = connection.execute(f"from read_parquet('{file}', encryption_config = {key})").fetchall()
                holding += any(needle in str(value) for row in rows for value in row)
    return len(files), holding


@pytest.mark.battery
@on_both
def test_compaction_keeps_what_is_published_and_lets_the_rest_go(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(club)
    for each in range(4, 7):
        club.visit(each, f"02-{each + 1:02} 10:00", 1)
        club.deliver()
        club.build()
    with club.entered(), pytest.MonkeyPatch.context() as patched:
        target = current_target()
        orphan = club.warehouse / "lake" / "marts" / "tiny" / "left_over.parquet"
        orphan.write_bytes(b"of a commit that was cut short")
        patched.setattr("warehouse.publish.compaction.READERS_HAVE", "0 seconds")
        said: list[str] = []
        compact(target, said.append)
        assert "compacted" in said[0]
        assert not orphan.exists()
        assert club.published() == club.expected()
        # What was published before is kept, too.
        roll_back_build(target, silent)
    assert number(club) == 4
    club.visit(9, "01-20 10:00", 2)
    club.deliver()
    club.build(tested=True)
    assert club.published() == club.expected()


@EITHER
def test_what_is_forgotten_is_in_no_file(club: Club) -> None:
    from warehouse.people.forgetting import forget

    grow(club)
    with club.entered():
        target = current_target()
        [(token,)] = club.ask(lambda d: f"select distinct email from {d.raw('club', 'members')} where id = 2")
        files, holding = rows_of_files(club, token)
        assert files > 20
        assert holding > 0
        forget(target, ["club:2"], False, silent)
        assert rows_of_files(club, token)[1] == 0
        assert len(publishing.snapshots(target.lake)) == 1
