"""Tokens in the place of identifiers: what raw gets to know, what the crosswalk does, wherever it lies."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ingestion.contract.contracts import Column, ContractError, Table
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.duck import connect
from ingestion.encryption import attach
from ingestion.keys import KEY, files_key
from ingestion.privacy.crosswalk import (
    crosswalk_file,
    drop_identifiers,
    exchange,
    find_tokens,
    values_of,
)
from ingestion.privacy.identifiers import as_known, identifier_in, kind_of
from ingestion.privacy.sealing import Seal
from tests.crosswalks import VARIABLE
from tests.warehouses import as_environment

SECRET = "cGF0aWVudHMgb2YgYSBzbWFsbCBjbGluaWMgaGVyZQ=="
PEOPLE = Table(
    "made_up",
    "people",
    (
        Column("id", "text"),
        Column("email", "text", format="email", privacy="direct_identifier"),
        Column("first_name", "text", privacy="direct_identifier"),
        Column("profile", "text", privacy="direct_identifier", keeps=("preferences",)),
    ),
    ("id",),
    ("id",),
)


@pytest.fixture(
    params=[
        ("file", ""),
        ("file", SECRET),
        pytest.param(("postgres", ""), marks=pytest.mark.postgres),
        pytest.param(("postgres", SECRET), marks=pytest.mark.postgres),
    ],
    ids=["file", "encrypted file", "postgres", "sealed on postgres"],
)
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A warehouse whose crosswalk lies in a file of its own, or in Postgres; in the clear, or under a key."""
    monkeypatch.delenv(VARIABLE)
    place, key = request.param
    if key:
        monkeypatch.setenv(KEY, key)
    if place == "file":
        return Target("dev", "duckdb", tmp_path / "warehouse")
    settings: Mapping[str, str] = as_environment(request.getfixturevalue("postgres"))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return Target("prod", "postgres", tmp_path / "warehouse")


def tokens_for(target: Target, folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What raw would have of these rows."""
    folder.mkdir(parents=True, exist_ok=True)
    names = PEOPLE.column_names
    with closing(connect()) as connection:
        connection.execute("create table people (id varchar, email varchar, first_name varchar, profile varchar)")
        for row in rows:
            connection.execute("insert into people values (?, ?, ?, ?)", [row.get(name) for name in names])
        values = " union all ".join(
            f"select '{kind_of(column)}' as kind, {identifier_in(column, column.name)} as value from people"
            for column in PEOPLE.identifiers
        )
        tokens = exchange(target, connection, f"select * from ({values}) where value is not null", folder)
        found = connection.execute(as_known(PEOPLE, names, "people", tokens, None) + " order by r.id").fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


def crosswalk_rows(target: Target) -> list[tuple[str, str]]:
    file = crosswalk_file(target)
    query = "select kind, value from {} order by 1, 2"
    if file is not None:
        with closing(connect()) as connection:
            attach(connection, file, "crosswalk", read_only=True)
            return connection.execute(query.format("crosswalk.privacy.identifiers")).fetchall()
    with closing(psycopg2.connect("")) as postgres, postgres.cursor() as cursor:
        cursor.execute(query.format("privacy.identifiers"))
        rows = list(cursor.fetchall())
    if key := files_key():
        assert not [value for _, value in rows if not value.startswith("gcm1:")]
        rows = sorted((kind, Seal(key).opened(kind, value)) for kind, value in rows)
    return rows


def test_equal_values_have_one_token_whenever_they_come(target: Target, tmp_path: Path) -> None:
    first = tokens_for(target, tmp_path / "one", [
        {"id": "1", "email": "\ufeffAda@Example.com\u2003", "first_name": "Ada \u00a0\u3000Mary"},
        {"id": "2", "email": "ada@example.com", "first_name": "ada mary"},
        {"id": "3", "email": None, "first_name": " \t"},
    ])  # fmt: skip
    again = tokens_for(target, tmp_path / "two", [{"id": "1", "email": "ADA@EXAMPLE.COM", "first_name": "Ada Mary"}])
    assert first[0]["email"] == first[1]["email"] == again[0]["email"]
    assert first[0]["first_name"] == again[0]["first_name"] != first[1]["first_name"]
    assert (first[2]["email"], first[2]["first_name"]) == (None, None)
    assert crosswalk_rows(target) == [
        ("email", "ada@example.com"), ("first_name", "Ada Mary"), ("first_name", "ada mary"),
    ]  # fmt: skip
    assert find_tokens(target, "email", " ADA@example.com") == {first[0]["email"]}
    assert find_tokens(target, "email", "nobody@example.com") == set()
    known = {first[0]["email"]: "ada@example.com", first[1]["first_name"]: "ada mary"}
    assert values_of(target, [*known, "email_of_nobody"]) == known


def test_nothing_of_a_value_is_in_its_token(target: Target, tmp_path: Path) -> None:
    other = Target(target.name, target.engine, tmp_path / "other")
    one = tokens_for(target, tmp_path / "one", [{"id": "1", "email": "ada@example.com"}])[0]["email"]
    if target.engine == "duckdb":  # another crosswalk, another token
        assert tokens_for(other, tmp_path / "two", [{"id": "1", "email": "ada@example.com"}])[0]["email"] != one
    assert one.startswith("email_") and len(one) == len("email_") + 32


def test_any_text_can_be_an_identifier(target: Target, tmp_path: Path) -> None:
    quotes, blanks = "quote \" and ' and \\", "line\nbreak"
    strange = [quotes, blanks, "comma, semicolon;", "zero\0byte", "ünï ☃ 😀", "x" * 10_000, "\\N", "NULL"]
    rows = [{"id": str(number), "first_name": each} for number, each in enumerate(strange)]
    found = tokens_for(target, tmp_path / "one", rows)
    assert len({row["first_name"] for row in found}) == len(strange)
    assert all(row["first_name"].startswith("first_name_") for row in found)


def test_a_document_keeps_what_may_be_known(target: Target, tmp_path: Path) -> None:
    profiles = [
        '{"bio": "Ada", "phone": "1", "preferences": {"theme": "dark"}}',
        '{"preferences": {"theme": "dark"}}',
        '"a text"',
        "no json",
        None,
        "{}",
    ]
    found = tokens_for(target, tmp_path / "one", [{"id": str(n), "profile": each} for n, each in enumerate(profiles)])
    documents = [json.loads(row["profile"]) if row["profile"] else None for row in found]
    assert [set(each) if each is not None else None for each in documents] == [
        {"_token", "preferences"}, {"preferences"}, {"_token"}, {"_token"}, None, {"preferences"},
    ]  # fmt: skip
    assert documents[0]["preferences"] == {"theme": "dark"}
    values = [value for _, value in crosswalk_rows(target)]
    assert sorted(values) == ['"a text"', "no json", '{"bio":"Ada","phone":"1"}']


def test_what_is_dropped_is_gone_from_the_file_too(target: Target, tmp_path: Path) -> None:
    rows = [{"id": str(number), "email": f"{name}@example.com"} for number, name in enumerate(("gone", "kept"))]
    gone, kept = (row["email"] for row in tokens_for(target, tmp_path / "one", rows))
    drop_identifiers(target, {gone})
    assert crosswalk_rows(target) == [("email", "kept@example.com")]
    assert find_tokens(target, "email", "kept@example.com") == {kept}
    file = crosswalk_file(target)
    if file is not None:
        assert b"gone@example" not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = tokens_for(target, tmp_path / "two", [{"id": "1", "email": "gone@example.com"}])[0]["email"]
    assert again != gone, "who comes back is somebody new"


def test_loads_at_the_same_time_agree(target: Target, tmp_path: Path) -> None:
    """Processes, as builds are."""
    rows = [{"id": f"{number:03}", "email": f"user{number}@example.com"} for number in range(200)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        loads = [processes.submit(tokens_for, target, tmp_path / str(number), rows) for number in range(2)]
        answers = [[row["email"] for row in load.result()] for load in loads]
    assert all(each == answers[0] for each in answers)
    assert len(crosswalk_rows(target)) == 200


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("{}", r"made_up.people.email: config.meta.privacy is '': say which it is of none, quasi_identifier"),
        ("{privacy: secret}", r"config.meta.privacy is 'secret'"),
        ("{privacy: direct_identifier}", r"becomes a token, which is text, but data_type is bigint"),
    ],
)
def test_a_contract_that_leaves_privacy_open(tmp_path: Path, meta: str, message: str) -> None:
    folder = tmp_path / "models" / "staging" / "made_up"
    folder.mkdir(parents=True)
    (tmp_path / "dbt_project.yml").write_text("vars: {}\n", encoding="utf-8")
    (folder / "_made_up__sources.yml").write_text(
        "sources: [{name: made_up, tables: [{name: people, config: {meta: {key: [email]}}, columns: ["
        f"{{name: email, data_type: bigint, config: {{meta: {meta}}}}}]}}]}}]",
        encoding="utf-8",
    )
    with pytest.raises(ContractError, match=message):
        read_contract("made_up", tmp_path)
