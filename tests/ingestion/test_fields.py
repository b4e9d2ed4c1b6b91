"""Documents cut to some of their fields: by paths, through lists, for every reader."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest

from ingestion.contract.contracts import Column, Source, Table
from ingestion.destination.target import Target
from ingestion.load.extracts import Extract
from ingestion.load.loading import load
from ingestion.privacy.fields import kept_fields, other_fields
from ingestion.sql import literal
from tests.ingestion.loads import NOON, ask

REFERENCE = '{"reference": "Patient/1", "display": "Ada", "type": "Patient"}'
NESTED = '[{"type": "deny", "data": 1, "actor": [{"reference": {"reference": "a", "display": "Ada"}}, 7]}, {}, "Ada"]'


@pytest.mark.parametrize(
    ("paths", "document", "kept", "others"),
    [
        (["reference", "type"], REFERENCE, {"reference": "Patient/1", "type": "Patient"}, {"display": "Ada"}),
        (["reference"], f"[{REFERENCE}, null]", [{"reference": "Patient/1"}, {}],
         [{"display": "Ada", "type": "Patient"}, {}]),
        (["type", "actor.reference.reference"], NESTED,
         [{"type": "deny", "actor": [{"reference": {"reference": "a"}}, {}]}, {}, {}],
         [{"data": 1, "actor": [{"reference": {"display": "Ada"}}, {}]}, {}, {}]),
        (["a", "a.b"], '{"a": {"b": 1, "c": 2}}', {"a": {"b": 1, "c": 2}}, None),
        (["a.b"], '{"a": {"b": null, "c": 2}}', {"a": {}}, {"a": {"c": 2}}),
        (["it's", 'a"b'], json.dumps({"it's": 1, 'a"b': 2, "c/d~e": "é"}), {"it's": 1, 'a"b': 2}, {"c/d~e": "é"}),
        (["a"], "{}", {}, None), (["a"], "[]", [], []), (["a"], '"Ada"', None, None), (["a"], "Ada", None, None),
        (["a"], None, None, None),
    ],
)  # fmt: skip
def test_what_is_kept_and_what_is_not(paths: list[str], document: str | None, kept: Any, others: Any) -> None:
    query = f"select {kept_fields(paths, 'document')}, {other_fields(paths, 'document')} from (select ? as document)"
    row = duckdb.execute(query, [document]).fetchone()
    assert row is not None
    assert tuple(each and json.loads(each) for each in row) == (kept, others)


def test_a_field_that_another_is_made_of_may_be_kept_itself() -> None:
    documents = [{"x": {"data": 'a"b\\'}}, {"x": [{"data": None}, {"data": "abc", "size": 7}, {"data": 12}]}, {"x": {}}]
    length = ("data", lambda text: f"cast(strlen({text}) as varchar)")
    for paths in (["x.data", "x.size"], ["x.size", "x.data"], ["x.size"]):
        kept = kept_fields(paths, "document", {"x.size": length})
        rows = duckdb.execute(f"select {kept} from (select unnest(?) as document)", [[*map(json.dumps, documents)]])
        found = [json.loads(document)["x"] for (document,) in rows.fetchall()]
        sizes = [{"size": 4}, [{}, {"size": 7}, {"size": 2}], {}]
        both = [{"data": 'a"b\\', "size": 4}, [{}, {"data": "abc", "size": 7}, {"data": 12, "size": 2}], {}]
        assert found == (both if "x.data" in paths else sizes)


def test_deep_paths_are_no_dear_expression() -> None:
    deep = [".".join(["provision"] * depth + ["type"]) for depth in range(8)]
    document = json.dumps({"type": 0, "provision": [{"type": 1, "provision": {"type": 2, "x": 3}}]})
    assert len(kept_fields(deep, "document")) < 10_000
    row = duckdb.execute(f"select {kept_fields(deep, 'document')} from (select ? as document)", [document]).fetchone()
    assert row
    assert json.loads(row[0]) == {"type": 0, "provision": [{"type": 1, "provision": {"type": 2}}]}


PEOPLE = Table(
    "made_up", "people",
    (Column("id", "text", required=True), Column("subject", "text", keeps=("reference", "at.city")),
     Column("status", "text", accepted_values=("on",)),
     Column("profile", "text", privacy="direct_identifier", keeps=("likes.food",))),
    ("id",), ("id",),
)  # fmt: skip


def test_neither_raw_nor_a_reject_has_the_rest(warehouse: Target) -> None:
    subject = '{"reference": "x", "display": "Ada", "at": [{"city": "York", "street": "Ada"}]}'
    profile = '{"likes": {"food": "pie", "people": "Ada"}, "name": "Ada"}'
    rows = "(values ('1', 'on'), ('2', 'off')) as r(id, status)"
    relation = f"""(select id, {literal(subject)} as subject, status, {literal(profile)} as profile, 'U' as _operation,
        0::bigint as _revision, timestamp '2024-01-01' as _effective_at from {rows})"""
    contract = Source("made_up", "raw_made_up", (PEOPLE,))
    load(contract, lambda reader: (Extract(PEOPLE, relation, 2) for _ in "1"), warehouse, NOON)
    [(kept, document)] = ask(warehouse, "select subject, profile from raw_made_up.people")
    assert json.loads(kept) == {"reference": "x", "at": [{"city": "York"}]}
    assert {**json.loads(document), "_token": 0} == {"likes": {"food": "pie"}, "_token": 0}
    [(record,)] = ask(warehouse, "select record from raw_made_up.rejects")
    assert json.loads(record)["subject"] == kept
    assert "Ada" not in record
