"""`make query` reads what readers see and changes nothing; what is typed reaches it as it is typed."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest

from ingestion.destination.target import current_target
from ingestion.project import PROJECT_ROOT
from tests.conftest import on_server
from tests.tiny.club import Club
from tests.tiny.conftest import everywhere
from warehouse.errors import BuildError
from warehouse.publish.access import REPORTER
from warehouse.reading.query import query

TYPED = """it's $HOME `id` "x" $(Q) ${PATH} #h ; \\n % é"""


def asked(club: Club, sql: str) -> list[str]:
    lines: list[str] = []
    with club.entered():
        query(current_target(), sql, lines.append)
    return lines


@everywhere
def test_a_question_reads_and_changes_nothing(grown: Club, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    before = grown.published()
    if grown.engine:  # another warehouse on the server has made its roles
        with suppress(psycopg2.errors.DuplicateObject):
            on_server(request.getfixturevalue("postgres_server"), f"create role {REPORTER} nologin")
    assert asked(grown, "select count(*) as n from tiny.dim_members;")[2:] == ["12"]
    assert asked(grown, "-- who\nselect 'a' || chr(27) || '[31m' as red")[2:] == ["a\\x1b[31m"]
    for statement in (
        "drop table tiny.fct_visits", "delete from tiny.fct_visits", "create table tiny.mine as select 1 as one",
        "drop schema raw_club cascade", "select 1; drop table tiny.fct_visits", "set search_path = raw_club; select 1",
        f"copy (select 1) to '{tmp_path / 'file'}'",
        "with gone as (delete from tiny.fct_visits returning 1) table gone",
    ):  # fmt: skip
        with pytest.raises(BuildError, match="the query failed"):
            asked(grown, statement)
    if not grown.engine:
        build = grown.warehouse / "build.duckdb"
        for statement in (
            f"attach '{build}' as b",
            "from read_csv('/etc/hostname')",
            "set enable_external_access = true",
        ):
            with pytest.raises(BuildError, match="the query failed"):
                asked(grown, statement)
    assert not (tmp_path / "file").exists() and grown.published() == before


def test_what_is_typed_arrives_as_it_is(grown: Club) -> None:
    environment = {**os.environ, **grown.environment, "WAREHOUSE_DIR": str(grown.warehouse), "TARGET": "dev"}
    question = "select '" + TYPED.replace("'", "''") + "' as typed"
    for words, more in (([f"Q={question}"], {}), ([], {"Q": question})):
        done = subprocess.run(
            ["make", "-s", "-o", "setup", "query", *words],
            cwd=PROJECT_ROOT, env={**environment, **more}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == TYPED
