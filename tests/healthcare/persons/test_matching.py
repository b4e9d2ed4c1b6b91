"""Matches by the model in git, decisions that undo them, persons who are forgotten: in whole builds on each engine."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from ingestion.duck import connect
from ingestion.project import PROJECT_ROOT
from tests.crosswalks import identifiers
from tests.healthcare.persons.records import BEGINNING, Record, febrl, pairs_of, persons
from tests.healthcare.persons.register import Register
from tests.tiny.conftest import ENGINES
from warehouse.errors import BuildError
from warehouse.people.forgetting import forget
from warehouse.people.linkage import linked, prepare, read_model, trained
from warehouse.people.matching import list_decisions, match, unmatch

MODEL = PROJECT_ROOT / "models" / "staging" / "patient_matches" / "match_model.json"
NOW = datetime(2026, 6, 1)  # noqa: DTZ001 (UTC without a zone, as in raw)
VALUES = ("ssn", "family_name", "given_name", "birth_date", "street", "postal_code")


@pytest.fixture
def register(request: pytest.FixtureRequest, tmp_path: Path) -> Register:
    """An empty register, on the engine that the test names."""
    if request.param == "duckdb":
        return Register(tmp_path / "register")
    return Register(tmp_path / "register", {**request.getfixturevalue("postgres_database"), "TARGET": "prod"})


both_engines = pytest.mark.parametrize("register", ENGINES, indirect=True)


def told(records: list[Record]) -> list[Record]:
    """The same, as the register's."""
    return [
        Record("fhir", *(getattr(each, name) for name in list(Record.__dataclass_fields__)[1:])) for each in records
    ]


def said(register: Register, command: str, *words: str, at: str = "2026-01-03", **more: str | bool) -> list[str]:
    """What a command says: match, unmatch, list or forget."""
    lines: list[str] = []
    with register.entered(f"{at}T00:00:00") as target:
        if command == "match":
            match(target, "", lines.append)
        elif command == "unmatch":
            unmatch(target, "", words, str(more.get("reason", "")), lines.append, back=bool(more.get("back")))
        elif command == "list":
            list_decisions(target, "", lines.append)
        else:
            forget(target, words, bool(more.get("dry")), lines.append)
    return lines


@both_engines
def test_febrl_through_the_product(register: Register) -> None:
    records, true = febrl(3)
    true = {(("fhir", one[1]), ("fhir", other[1])) for one, other in true}
    register.tell(told(records))
    register.build("2026-01-02T00:00:00")
    lines = said(register, "match")
    assert "6,287 pairs match: 6,287 new, 0 with another probability or model; 0 match no more" in lines
    assert lines[0].startswith("compared 5,000 records of int_persons__records by model ")
    assert said(register, "match", at="2026-01-04")[1].startswith("6,287 pairs match: 0 new, 0 with another")
    assert "records: 6,287 read = 6,287 loaded + 0 known + 0 rejected" in register.build(
        "2026-01-05T00:00:00", tested=True
    )
    rows = register.rows()
    before, now = pairs_of(persons(rows, BEGINNING)), pairs_of(persons(rows, NOW))
    assert not before - true and not now - true, "no wrong pair"
    assert len(before) == 6028
    assert len(now) / len(true) >= 0.99
    assert {row[4] for row in rows} == {BEGINNING, datetime(2026, 1, 3)}  # noqa: DTZ001


def of(rows: list[tuple[object, ...]]) -> set[frozenset[str]]:
    """Who is one person now, by the patients' ids alone."""
    return {frozenset(record for _, record in each) for each in persons(rows, NOW)}


PEOPLE = [
    Record("fhir", "a1", "111", "ann", "ash", "1980-02-03", "1 Long Road", "66001"),
    Record("fhir", "a2", "111", "ann", "ash", "1980-02-03", "1 Long Road", "66001"),
    Record("fhir", "b1", "222", "bob", "beech", "1981-02-03", "2 Long Road", "66002"),
]


@both_engines
def test_what_was_merged_wrongly_is_undone_for_good(register: Register) -> None:
    register.tell(PEOPLE)
    register.build("2026-01-02T00:00:00")
    assert of(register.rows()) == {frozenset({"a1", "a2"}), frozenset({"b1"})}
    wrong = {
        "which records": ["fhir:a1"],
        "fhir:zz: no record": ["fhir:a1", "fhir:zz"],
        "say why": ["fhir:a1", "fhir:a2"],
    }
    for error, words in wrong.items():
        with pytest.raises(BuildError, match=error):
            said(register, "unmatch", *words, reason="" if error == "say why" else "sisters")
    with pytest.raises(BuildError, match="was not decided"):
        said(register, "unmatch", "fhir:a1", "fhir:a2", reason="sisters", back=True)
    lines = said(register, "unmatch", "fhir:a2", "fhir:a1", reason="two sisters share a number")
    assert lines[0] == "fhir:a1 and fhir:a2 were one person; they stay apart"
    with pytest.raises(BuildError, match="decided already"):
        said(register, "unmatch", "fhir:a1", "fhir:a2", reason="again")
    register.build("2026-01-04T00:00:00", tested=True)
    apart = {frozenset({"a1"}), frozenset({"a2"}), frozenset({"b1"})}
    assert of(register.rows()) == apart
    assert of(register.rows("next")) != apart, "the generation before is as it was, until the next build"
    history = [(row[3], row[4], row[5]) for row in register.rows() if row[1] == "a2"]
    decided = datetime(2026, 1, 3)  # noqa: DTZ001
    assert [(rule, start) for rule, start, _ in history] == [("ssn", BEGINNING), ("alone", decided)]
    assert history[0][2] == decided
    (line,) = said(register, "list")
    assert line.startswith("fhir:a1 and fhir:a2 are not one person: ") and line.endswith("two sisters share a number")

    # What a model says doesn't overrule it, and is told.
    lines = said(register, "match", at="2026-01-05")
    assert lines[-3:-1] == ["1 pairs match, and somebody decided that they are not one person:", "  fhir:a1 fhir:a2"]
    register.tell([Record("fhir", "c1", "333", "cy", "cedar", "1983-02-03")], at="2026-01-05")
    register.build("2026-01-06T00:00:00")
    assert of(register.rows()) == of(register.rows("next")) | {frozenset({"c1"})} == apart | {frozenset({"c1"})}

    # Nor is it lost where the warehouse is: it is no part of the database.
    rows = register.rows()
    kept = register.warehouse / "matches" / "patient_matches.jsonl"
    assert kept.stat().st_mode & 0o777 == 0o600
    if not register.engine:
        text = kept.read_text(encoding="utf-8")
        shutil.rmtree(register.warehouse)
        kept.parent.mkdir(parents=True)
        kept.write_text(text, encoding="utf-8")
        register.build("2026-01-07T00:00:00")
        assert register.rows() == rows, "the same raw gives the same history"

    said(register, "unmatch", "fhir:a1", "fhir:a2", reason="one person after all", back=True, at="2026-01-08")
    register.build("2026-01-09T00:00:00")
    assert frozenset({"a1", "a2"}) in of(register.rows())
    assert [row[3] for row in register.rows() if row[1] == "a2"] == ["ssn", "alone", "ssn"]


@both_engines
def test_who_is_forgotten_leaves_the_matches(register: Register) -> None:
    # One person by the model alone, who moved and mistyped the number.
    moved = Record("fhir", "b2", "223", "bob", "beech", "1981-02-03", "9 Other Street", "66002")
    register.tell(
        [*PEOPLE, moved, Record("fhir", "b3", "229", "bob", "beach", "1981-02-03", "9 Other Street", "66002")]
    )
    register.build("2026-01-02T00:00:00")
    said(register, "match")
    said(register, "unmatch", "fhir:a1", "fhir:b1", reason="Ann Ash is not Bob Beech")
    # The laboratory knows the same person by a number of its own, which raw has a token of.
    register.tell([replace(moved, source_id="lab", patient_id="MRN 7")], at="2026-01-03")
    register.build("2026-01-04T00:00:00")
    (number,) = (token for token, value in identifiers().items() if value == "MRN 7")
    assert frozenset({"b1", "b2", "b3", number}) in of(register.rows())
    assert "Ann Ash is not Bob Beech" in identifiers().values()
    assert said(register, "forget", "fhir:b3", dry=True) == [
        *(f"would forget fhir:b{each}" for each in (1, 2, 3)),
        f"not forgotten: lab:{number} is the same person, and no contract of lab says `person:` (docs/privacy.md)",
    ]
    said(register, "forget", "fhir:b3")
    log = (register.warehouse / "matches" / "patient_matches.jsonl").read_text(encoding="utf-8")
    assert '"b' not in log and '"a2"' in log, "what is said of others stays"
    left = register.ask(lambda d: f"select left_record_id, right_record_id from {d.raw('patient_matches', 'pairs')}")
    assert left == [("a1", "a2")]
    assert "Ann Ash is not Bob Beech" not in identifiers().values()
    for generation in ("published", "next"):
        assert not [row for row in register.rows(generation) if row[1][0] == "b" and row[3] == "match"]
    # The books add up with what went, and a build finds nothing that is to be loaded again.
    lines = register.build("2026-01-06T00:00:00", tested=True)
    assert not [line for line in lines if "FAIL" in line]


def _people(records: list[Record]) -> list[list[str | None]]:
    return [[each.patient_id, *(getattr(each, name) for name in
            ("ssn_token", "family_name_token", "given_name_token", "birth_date", "street_token", "postal_code"))]
            for each in records]  # fmt: skip


def _linked(rows: list[list[str | None]]) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    with closing(connect()) as connection:
        connection.execute(f"create table people (record varchar, {', '.join(f'{each} varchar' for each in VALUES)})")
        connection.executemany("insert into people values (?, ?, ?, ?, ?, ?, ?)", rows)
        model = read_model(MODEL)
        prepare(connection, model)
        found = linked(connection, model)
        return found.pairs, found.contradicting


def test_probabilities_depend_on_what_records_say_alone() -> None:
    records, _ = febrl(1)
    rows, chance = _people(records), random.Random(5)
    names = {row[0]: f"{chance.random():.17f}" for row in rows}
    others = [[names[row[0]], *row[1:]] for row in chance.sample(rows, len(rows))]
    for found, again in zip(_linked(rows), _linked(others), strict=True):
        assert found
        renamed = {(min(pair), max(pair)): p for (a, b), p in found.items() for pair in [(names[a], names[b])]}
        assert again == renamed
    # Fewer records change no probability either.
    half = [row for row in rows if str(row[0]).split("-")[1] < "3"]
    assert _linked(half)[0].items() <= _linked(rows)[0].items()


def test_twins_and_partial_dates_are_told_apart() -> None:
    home = ["1 Short Street", "66003"]
    pairs, contradicting = _linked([
        ["t1", None, "fir", "tom", "2024-01-01", *home], ["t2", None, "fir", "kim", "2024-01-01", *home],
        ["t3", None, "fir", None, "2024-01-01", *home],
        ["v1", None, "ivy", "baby a", "2024-01-01", *home], ["v2", None, "ivy", "baby b", "2024-01-01", *home],
        ["y1", None, "gum", "una", "1990", None, "66004"], ["y2", None, "gum", "una", "1990", None, "66004"],
        ["w1", None, "yew", "ina", None, None, "66005"], ["w2", None, "yew", "ina", None, None, "66005"],
        ["z1", None, "oak", "oda", "1990", None, "66006"], ["z2", None, "oak", "oda", "1991-02-03", None, "66006"],
    ])  # fmt: skip
    assert set(contradicting) == set(itertools.combinations(["t1", "t2", "t3", "v1", "v2"], 2))
    # A year that is the same says a little, and one that is not says something, too: neither is as good as unknown.
    same, unknown, another = (pairs.get((f"{each}1", f"{each}2"), "0") for each in "ywz")
    assert same > unknown > another
    assert pairs.keys() <= {("y1", "y2"), ("w1", "w2"), ("z1", "z2")}


def test_a_model_is_trained_alike_each_time() -> None:
    records, _ = febrl(1)
    texts = []
    for _ in range(2):
        with closing(connect()) as connection:
            connection.execute(f"create table people (record varchar, {', '.join(f'{e} varchar' for e in VALUES)})")
            connection.executemany("insert into people values (?, ?, ?, ?, ?, ?, ?)", _people(records))
            model = read_model(MODEL)
            prepare(connection, model)
            texts.append(trained(connection, model))
    assert texts[0] == texts[1]
    assert json.loads(texts[0]) == json.loads(MODEL.read_text(encoding="utf-8")), (
        "what is in git was trained of febrl 1"
    )


def test_a_file_that_is_no_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"threshold": 0.9}', encoding="utf-8")
    with pytest.raises(BuildError, match="is no model of matches"):
        read_model(tmp_path / "model.json")
