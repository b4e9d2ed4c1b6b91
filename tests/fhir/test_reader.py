"""FHIR's resources from a folder: files, bundles, versions in any order, bad input, and what raw may not know."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingestion.contract.contracts import Column
from ingestion.destination.target import Target
from ingestion.load.loading import load
from ingestion.readers import fhir
from ingestion.readers.fhir.contents import delivered
from tests.fhir.deliveries import Delivery, bundle, everything, histories, lines, loaded, observation, patient
from tests.ingestion.loads import NOON, ask, contract_of, rejects


@pytest.fixture
def delivery(tmp_path: Path, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv("SOURCES__FHIR__BUCKET_URL", str(folder))
    return Delivery(folder, warehouse, ["patients", "observations"])


def test_a_file_of_several_types_and_what_is_no_resource(delivery: Delivery) -> None:
    delivery.put("a.ndjson", lines(patient("p"), observation("o"), {"resourceType": "Claim", "id": "c"}, {"id": "x"}))
    delivery.put("log.ndjson", lines({"exportId": "e", "eventId": "kickoff"}))
    results = delivery.load()
    assert loaded(results) == {
        "files": (2, 0, 0), "patients": (1, 0, 0), "observations": (1, 0, 0), "resources": (1, 0, 1)
    }  # fmt: skip
    assert ask(delivery.target, "select resource_type, id, byte_count from raw_fhir.resources") == [
        ("Claim", "c", len('{"resourceType": "Claim", "id": "c"}'))
    ]
    assert rejects(delivery.target, "fhir") == [("resources", [None, "x"], ["missing:resource_type"])]
    assert [note for each in results.values() for note in each.notes] == [
        "fhir: log.ndjson is an exporter's log, without resources",
        "fhir: of types that have no table: Claim 1; raw_fhir.resources has their ids",
    ]
    assert loaded(delivery.load()) == {}


def test_elements_that_the_contract_does_not_know_are_counted(delivery: Delivery) -> None:
    delivery.put(
        "a.ndjson", lines(patient("p", foo=1, telecom=[]), patient("q", foo=2, bar=1), patient("r", **{"Jo Poe": 1}))
    )
    assert delivery.load()["patients"].notes == (
        "fhir: not in the contract: Patient.foo: 2 records, Patient.(no name of an element): 1 records, "
        "Patient.bar: 1 records",
    )
    # As operators see of a column: of three records, how many have none.
    profile = ask(delivery.target, "select row_count, null_count from raw_fhir.profiles where column_name = 'foo'")
    assert profile == [(3, 1)]


ONE, OTHER = patient("p"), patient("p", "male")


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (0, 2, 3, 1), (2, 0, 3, 1), (1, 3, 0, 2)])
def test_versions_without_a_time_hold_from_their_files_in_any_order(delivery: Delivery, order: tuple[int, ...]) -> None:
    """Told, changed, told again as at first, and gone: what is told again is known, and news after what comes late."""
    delivery.tables = ["patients"]
    files = [
        ("a.ndjson", lines(ONE)), ("b.json", bundle(OTHER)), ("c.ndjson", lines(ONE)),
        ("d.json", bundle({"request": {"method": "DELETE", "url": "Patient/p"}})),
    ]  # fmt: skip
    for number in order:
        delivery.put(*files[number], hour=number)
        delivery.load()
    [versions] = histories(delivery.target, "patients").values()
    assert [(at and at.hour, content[0], content[13]) for at, content in versions] == [
        (None, "U", "female"), (1, "U", "male"), (2, "U", "female"), (3, "D", None)
    ]  # fmt: skip
    assert loaded(delivery.load()) == {}


def test_the_same_in_two_files_is_known(delivery: Delivery) -> None:
    delivery.put("a.json", bundle(ONE, observation("o")), 1)
    delivery.put("b.json", bundle(ONE), 2)
    assert loaded(delivery.load())["patients"] == (1, 1, 0)
    delivery.put("c.ndjson", lines(ONE, OTHER, ONE, ONE), 3)
    assert loaded(delivery.load())["patients"] == (2, 2, 0)
    delivery.put("c.ndjson", lines(ONE, OTHER, ONE, ONE), 4)
    assert loaded(delivery.load()) == {"files": (0, 1, 0)}


def changed(gender: str, at: str, version: str | None = None) -> dict[str, Any]:
    meta = {"lastUpdated": at, **({"versionId": version} if version else {})}
    return patient("p", gender, meta=meta)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_versions_with_a_time_hold_from_it(delivery: Delivery, order: tuple[int, ...]) -> None:
    delivery.tables = ["patients"]
    told = [
        changed("male", "2024-01-01T10:00:00.1234567+02:00", "9"),
        changed("female", "2024-01-01T08:00:00.123456Z", "10"),
        changed("other", "2024-01-02T00:00:00Z", "1"),
    ]
    for number in order:
        # Later files tell of earlier versions, too.
        delivery.put(f"{number}.ndjson", lines(told[number], told[0]), hour=5 - number)
        delivery.load()
    [versions] = histories(delivery.target, "patients").values()
    # Fractions past a microsecond are cut: the first two are of one time, and 10 is after 9.
    assert [content[13] for _, content in versions] == ["male", "female", "other"]
    rows = ask(delivery.target, "select distinct _effective_at::text, _revision from raw_fhir.patients order by all")
    assert rows == [
        ("2024-01-01 08:00:00.123456", 9), ("2024-01-01 08:00:00.123456", 10), ("2024-01-02 00:00:00", 1)
    ]  # fmt: skip
    assert len(ask(delivery.target, "from raw_fhir.patients")) == 3


def test_bundles_say_what_their_resources_are_called(delivery: Delivery) -> None:
    delivery.put("a.json", bundle(
        {"fullUrl": "urn:uuid:1", "resource": patient("p")},
        {"fullUrl": "urn:uuid:2", "resource": observation("", subject={"reference": "urn:uuid:1"})},
        {"fullUrl": "http://here/fhir/Observation/3",
         "resource": observation("", encounter={"reference": "urn:uuid:9"})},
        {"resource": observation("")},
        {"request": {"method": "GET", "url": "Patient/p"}},
        {"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome"}},
        {"request": {"method": "PUT", "url": "Patient/q"}},
        timestamp="2024-03-01T00:00:00Z",
    ))  # fmt: skip
    results = delivery.load()
    assert loaded(results) == {
        "files": (1, 0, 0), "patients": (1, 0, 0), "observations": (2, 0, 1), "resources": (0, 0, 1)
    }  # fmt: skip
    assert ask(delivery.target, "select id, patient_id, subject, encounter from raw_fhir.observations order by id") == [
        ("2", "p", '{"reference":"Patient/p"}', None), ("3", None, None, '{"reference":"urn:uuid:9"}')
    ]  # fmt: skip
    assert rejects(delivery.target, "fhir") == [
        ("observations", [""], ["missing:id"]), ("resources", [None, None], ["record:no object"])
    ]  # fmt: skip
    assert {str(at) for (at,) in ask(delivery.target, "select _effective_at from raw_fhir.observations")} == {
        "2024-03-01 00:00:00"
    }
    assert results["files"].notes[0].endswith(" has 2 entries that are no resources")


def test_a_history_is_told_from_its_end(delivery: Delivery) -> None:
    entries = [
        {"request": {"method": "DELETE", "url": "Patient/p"},
         "response": {"lastModified": "2024-01-03T00:00:00Z", "etag": 'W/"3"'}},
        {"resource": changed("male", "2024-01-02T00:00:00Z", "2"), "request": {"method": "PUT", "url": "Patient/p"}},
        {"resource": patient("q", "male"), "request": {"method": "PUT", "url": "Patient/q"}},
        {"resource": changed("female", "2024-01-01T00:00:00Z", "1"), "request": {"method": "POST", "url": "Patient"}},
        {"resource": patient("q"), "request": {"method": "POST", "url": "Patient"}},
    ]  # fmt: skip
    delivery.put("history.json", bundle(*entries, kind="history"))
    assert loaded(delivery.load())["patients"] == (5, 0, 0)
    found = histories(delivery.target, "patients")
    assert [(content[0], content[13]) for _, content in found["p",]] == [("U", "female"), ("U", "male"), ("D", None)]
    assert [content[13] for _, content in found["q",]] == ["female", "male"]


def test_a_line_may_be_a_bundle_of_deletions(delivery: Delivery) -> None:
    """As a bulk export tells what was deleted: https://hl7.org/fhir/uv/bulkdata/export.html."""
    delivery.put("Patient.1.ndjson", lines(patient("p"), patient("q")), 1)
    deleted = json.loads(bundle(*({"request": {"method": "DELETE", "url": f"Patient/{each}"}} for each in "pr")))
    delivery.put("deleted.ndjson", lines(deleted, patient("s", **{"#": {"op": "D"}})), 2)
    assert loaded(delivery.load()) == {"files": (2, 0, 0), "patients": (5, 0, 0)}
    found = histories(delivery.target, "patients")
    assert {key: [content[0] for _, content in versions] for (key,), versions in found.items()} == {
        "p": ["U", "D"], "q": ["U"], "r": ["D"], "s": ["U"]
    }  # fmt: skip


def test_numbers_stay_as_they_were_written(delivery: Delivery) -> None:
    # Each as it is written, and whether a binary float would have kept it.
    numbers = ["2.50", "2.5", "0.1234567890123456789", "123456789012345678901234567890", "1e3", "-0.10", "5.0", "7"]
    texts = "in a text: 2.50, and [1e3]"
    odd = observation("text", note=[{"text": texts}], valueString=texts)
    written = [json.dumps(observation(str(place), "N")).replace('"N"', each) for place, each in enumerate(numbers)]
    delivery.put(
        "a.ndjson", lines(*written, odd, json.dumps(odd).replace('"text"', '"both"', 1).replace("1}", "1.50}"))
    )
    inside = bundle(*(observation(f"b{place}", "N" + each + "N") for place, each in enumerate(numbers)))
    delivery.put("b.json", inside.replace('"N', "").replace('N"', ""))
    delivery.load()
    rows = ask(delivery.target, "select id, value_quantity ->> '$.value', value_string from raw_fhir.observations")
    found = {name: value for name, value, _ in rows}
    assert [found[str(place)] for place in range(len(numbers))] == numbers
    assert [found[f"b{place}"] for place in range(len(numbers))] == numbers
    assert found["both"] == "1.50"
    assert {text for _, _, text in rows if text} == {texts}


BAD = {
    "truncated.ndjson.gz": gzip.compress(lines(*(patient(str(each)) for each in range(5000))).encode())[:-900],
    "cut.json": bundle(patient("p"))[:-9].encode(),
    "empty.ndjson": b"\n",
    "none.json": b"[]",
    "wrong.ndjson.part": lines(patient("p")).encode(),
}


def test_bad_files_are_rejects_and_the_others_go_on(delivery: Delivery) -> None:
    for name, content in BAD.items():
        delivery.put(name, content)
    delivery.put("good.ndjson", lines(patient("p")))
    results = delivery.load()
    assert loaded(results) == {"files": (1, 0, len(BAD)), "patients": (1, 0, 0)}
    reasons = [reason for _, _, [reason] in rejects(delivery.target, "fhir")]
    assert sorted(each.split(":")[1].strip() for each in reasons) == [
        "empty", "empty", "its name ends in none of .ndjson, .jsonl, .json", "no whole JSON document",
        "truncated gzip",
    ]  # fmt: skip
    assert loaded(delivery.load()) == {}


def test_bad_lines_are_rejects_each_for_itself(delivery: Delivery) -> None:
    deep = '{"resourceType":"Patient","id":"deep","extension":' + "[" * 20_000 + "]" * 20_000 + "}"
    nested = '{"resourceType":"Patient","id":"nested","x":' + '{"x":' * 2_000 + "1" + "}" * 2_001
    bad = [
        "{oops", "[1]", "null", '"text"', deep, nested, json.dumps(patient("zero", x="a\0b")),
        json.dumps(patient("status", "robot")), json.dumps({**observation("o"), "status": "done"}),
        json.dumps({**patient("x"), "id": None}), json.dumps({"resourceType": ["Patient"], "id": "list"}),
    ]  # fmt: skip
    good = [patient("p"), patient("large", photo=[{"data": "A" * 20_000_000}]), patient("lone", x="\ud800")]
    text = "\ufeff" + "\r\n".join([*bad, "", " ", *(json.dumps(each) for each in good), ""])
    delivery.put("a.ndjson", text.encode().replace(b'"p"', b'"p"') + b'{"resourceType":"Patient","id":"caf\xe9"}')
    results = delivery.load()
    assert loaded(results) == {
        "files": (1, 0, 0), "patients": (3, 0, 2), "observations": (0, 0, 1), "resources": (0, 0, 9)
    }  # fmt: skip
    found = rejects(delivery.target, "fhir")
    assert sorted(reason for _, _, [reason] in found) == [
        "missing:id", "missing:resource_type", *["record:nested too deeply"] * 2, *["record:no object"] * 5,
        "record:zero character", "value:gender", "value:status",
    ]  # fmt: skip
    assert ask(delivery.target, "select id from raw_fhir.patients order by id") == [("large",), ("lone",), ("p",)]


def test_a_reject_is_mended_by_a_later_version(delivery: Delivery) -> None:
    delivery.put("a.ndjson", lines(patient("p", "robot"), observation("o")), 1)
    assert loaded(delivery.load())["patients"] == (0, 0, 1)
    delivery.put("b.ndjson", lines(patient("p")), 2)
    assert loaded(delivery.load()) == {"files": (1, 0, 0), "patients": (1, 0, 0)}
    assert rejects(delivery.target, "fhir") == [("patients", ["p"], ["value:gender"])]
    # Touched, a file of which anything was rejected is judged again, and what it told is known.
    delivery.put("a.ndjson", lines(patient("p", "robot"), observation("o")), 3)
    assert loaded(delivery.load()) == {"files": (1, 0, 0), "patients": (0, 0, 1), "observations": (0, 1, 0)}


def test_a_manifest_counts_what_its_files_have(delivery: Delivery) -> None:
    output = [{"type": "Patient", "url": f"https://here/export/Patient.{each}.ndjson", "count": 2} for each in (1, 2)]
    manifest = {"transactionTime": "2024-06-01T00:00:00Z", "output": output}
    delivery.put("manifest.json", json.dumps(manifest), 1)
    delivery.put("Patient.1.ndjson", lines(patient("p"), patient("q")), 2)
    assert loaded(delivery.load()) == {"files": (2, 0, 0), "patients": (2, 0, 0)}
    delivery.put("Patient.2.ndjson", lines(patient("r")), 3)
    results = delivery.load()
    assert loaded(results) == {"files": (0, 1, 1)}, "the manifest is read again"
    assert "the manifest counts 2 resources, and it has 1" in results["files"].notes[0]
    delivery.put("Patient.2.ndjson", lines(patient("r"), patient("s")), 4)
    assert loaded(delivery.load()) == {"files": (1, 1, 0), "patients": (2, 0, 0)}


def test_a_manifest_counts_the_lines_of_a_file_of_deletions(delivery: Delivery) -> None:
    deleted = json.loads(bundle(*({"request": {"method": "DELETE", "url": f"Patient/{each}"}} for each in "pqr")))
    told = {"type": "Bundle", "url": "https://here/export/deleted.ndjson", "count": 1}
    manifest = {"transactionTime": "2024-06-01T00:00:00Z", "output": [], "deleted": [told]}
    delivery.put("manifest.json", json.dumps(manifest), 1)
    delivery.put("deleted.ndjson", lines(deleted), 2)
    assert loaded(delivery.load()) == {"files": (2, 0, 0), "patients": (3, 0, 0)}


def test_a_manifest_may_say_anything_of_what_was_deleted(delivery: Delivery) -> None:
    delivery.put("manifest.json", json.dumps({"transactionTime": "2024-06-01T00:00:00Z", "output": [], "deleted": 1}))
    delivery.put("Patient.1.ndjson", lines(patient("p")), 2)
    assert loaded(delivery.load()) == {"files": (2, 0, 0), "patients": (1, 0, 0)}


@pytest.mark.parametrize("before", range(1, len('"Bundle"')))
def test_a_bundle_is_seen_across_what_is_read_at_once(tmp_path: Path, before: int) -> None:
    deleted = bundle({"request": {"method": "DELETE", "url": "Patient/p"}})
    start = deleted.index('"Bundle"') + before
    padded = lines(patient("q", x=""))
    padded = padded.replace('"x": ""', f'"x": "{"x" * ((1 << 20) - start - len(padded))}"')
    copy = tmp_path / "a.ndjson"
    copy.write_text(padded + lines(deleted), encoding="utf-8")
    with copy.open("rb") as file:
        assert file.read(1 << 20).endswith(b'"Bundle"'[:before])
    made, content = delivered(copy, copy.name, tmp_path / "made")
    assert (content.kind, content.record_count) == ("bundle", 2)
    assert json.loads(made.read_text(encoding="utf-8").splitlines()[1])["id"] == "p"


def test_what_is_said_beside_a_value_is_an_element_of_its_own(delivery: Delivery) -> None:
    contract = contract_of("fhir", ["patients", "resources", "files"])
    beside = Column("birth_date_beside", "text", source_name="_birthDate", keeps=("extension.valueCode",))
    tables = [
        replace(each, columns=(*each.columns, beside)) if each.name == "patients" else each for each in contract.tables
    ]
    unknown = {"extension": [{"url": "http://here/absent", "valueCode": "unknown"}]}
    delivery.put("a.ndjson", lines(patient("p", _birthDate=unknown, _gender=unknown), patient("q")))
    results = load(replace(contract, tables=tuple(tables)), fhir.extracts, delivery.target, NOON)
    notes = [note for each in results for note in each.notes]
    assert notes == ["fhir: not in the contract: Patient._gender: 1 records"]
    assert ask(delivery.target, "select id, birth_date_beside from raw_fhir.patients order by id") == [
        ("p", '{"extension":[{"valueCode":"unknown"}]}'), ("q", None)
    ]  # fmt: skip


def test_attachments_say_how_long_they_are(delivery: Delivery) -> None:
    delivery.tables = ["document_references"]
    contents = [
        {"attachment": {"contentType": "text/plain", "data": "SGVsbG8gV29ybGQ=", "title": "Hello World"}},
        {"attachment": {"data": "SGVsbG8gV29ybGQ=", "size": 7}}, {"attachment": {"url": "http://here/1"}},
    ]  # fmt: skip
    document = {"resourceType": "DocumentReference", "id": "d", "status": "current", "content": contents}
    delivery.put("a.ndjson", lines(document))
    delivery.load()
    [(content,)] = ask(delivery.target, "select content from raw_fhir.document_references")
    assert json.loads(content) == [
        {"attachment": {"contentType": "text/plain", "size": len("Hello World")}}, {"attachment": {"size": 7}},
        {"attachment": {}},
    ]  # fmt: skip
    assert "Hello" not in everything(delivery.target)


def test_names_of_files_tell_of_nobody(delivery: Delivery) -> None:
    delivery.put("Ada_Lovelace_1815-12-10.json", bundle(patient("p")))
    delivery.put("ward/Patient.000.ndjson", lines(patient("q"), "{"))
    delivery.put("Byron.json", "no json")
    results = delivery.load()
    raw = everything(delivery.target) + json.dumps([each.notes for each in results.values()])
    assert not [name for name in ("Ada", "Lovelace", "1815", "Byron") if name in raw]
    names = [name for (name,) in ask(delivery.target, "select file_name from raw_fhir.files order by 1")]
    assert sorted(name.split("_")[0] + Path(name).suffix for name in names) == ["file.json", "file.ndjson"]
    assert loaded(delivery.load()) == {}
