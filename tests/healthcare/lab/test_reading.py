"""Messages into raw: every total, what belongs to what, what is rejected, what is known, and what never gets there."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.contract.contracts import Table
from ingestion.contract.reading import read_contract
from ingestion.destination.target import Target
from ingestion.load.extracts import SourceError
from tests.absent import absent
from tests.healthcare.lab.messages import SHARED, header, message, order, patient, remarked, result, simple
from tests.ingestion.loads import ask, content, counts, load_source, rejects

Deliver = Callable[..., Path]
# The kind of segment that a table has.
KINDS = {"messages": "MSH", "patients": "PID", "orders": "OBR", "results": "OBX", "specimens": "SPM", "notes": "NTE"}


@pytest.fixture
def deliver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deliver:
    """Writes a file as of an hour of 2024-03-02."""
    folder = tmp_path / "delivered"
    folder.mkdir()
    monkeypatch.setenv("SOURCES__LAB__BUCKET_URL", str(folder))

    def write(name: str, text: str | bytes, hour: float = 1) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        moment = datetime(2024, 3, 2, tzinfo=UTC).timestamp() + 3600 * hour
        os.utime(path, (moment, moment))
        return path

    return write


def test_real_messages_add_up(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, warehouse: Target
) -> None:
    if not SHARED.exists():
        absent(request, "THE REAL HL7 MESSAGES ARE NOT HERE: THE LABORATORY'S SOURCE NOT TESTED ON THEM")
    monkeypatch.setenv("SOURCES__LAB__BUCKET_URL", str(SHARED))
    loaded = load_source("lab", warehouse)
    # By the beginnings of lines alone.
    lines = b"\n".join(path.read_bytes() for path in SHARED.iterdir()).replace(b"\xef\xbb\xbf", b"")
    plain = Counter(kind.decode() for kind in re.findall(rb"(?m)^([A-Z][A-Z0-9]{2})\|", lines.replace(b"\r", b"\n")))
    assert {name: loaded[name].loaded for name in KINDS} == {name: plain.pop(kind) for name, kind in KINDS.items()}
    assert ask(warehouse, "select segment_type, count(*) from raw_lab.segments group by all order by all") == sorted(
        plain.items()
    )
    assert ask(
        warehouse,
        """
        select belongs_to, filler_order_number, count(*), count(value_text) from raw_lab.results
        group by all order by all""",
    ) == [
        ("message", None, 2, 1), ("order", "1045813", 1, 1), ("order", "82503246", 10, 8),
        ("order", "890775544", 10, 10), ("order", "986", 1, 1), ("specimen", "986", 2, 2),
    ]  # fmt: skip
    of_specimen = "select value_list, value_count from raw_lab.results where belongs_to = 'specimen' order by 2"
    assert ask(warehouse, of_specimen)[1] == ('["27","25"]', 2)
    assert ask(
        warehouse, "select value_component_1, value_component_2 from raw_lab.results where value_type = 'SN'"
    ) == [(None, "182")]
    assert {counts(each) for each in load_source("lab", warehouse).values()} == {(0, 0, 0, 0, 0)}


def test_files_of_every_form_make_the_same_rows(deliver: Deliver, warehouse: Target) -> None:
    one = message(
        header("1"), patient(), order("A"), result("718-7", r"5 \XC2B5\g"), "NTE|1||Said by phone",
        result("777-3", "^>^300", kind="SN", place=2), "SPM|1|S1||BLD|||||||P||||||202403011000|202403011100",
        order("B", place=2), result("4544-3", "N^Negative^L~P^Positive^L", kind="CWE"),
    )  # fmt: skip
    forms = {
        "cr.hl7": one,
        "lf.hl7": one.replace("\r", "\n"),
        "crlf.HL7": one.replace("\r", "\r\n"),
        "bom.hl7": "\ufeff" + one,
        "framed.hl7": f"\x0b{one}\x1c\r",
        "batch.hl7": f"FHS|^~\\&\rBHS|^~\\&\r{one}BTS|1\rFTS|1\r",
        "utf16.hl7": "\ufeff" + one,
        "marks.hl7": remarked(one, "#*!@%"),
    }
    for place, (name, text) in enumerate(forms.items()):
        # Messages of their own, by their control ids.
        for mark in "|#":
            text = text.replace(f"R01{mark}1{mark}", f"R01{mark}{name}{mark}")
        deliver(name, text.encode("utf-16-le" if name.startswith("utf16") else "utf-8"), hour=place)
    loaded = load_source("lab", warehouse)
    assert {name: counts(loaded[name])[:2] for name in ("messages", "results", "specimens")} == {
        "messages": (8, 8), "results": (24, 24), "specimens": (8, 8),
    }  # fmt: skip
    for table in KINDS:
        columns = [each for each in read_contract("lab").table(table).column_names if each not in _OF_A_FILE]
        rows = f"select {', '.join(columns)}, count(*) as files from raw_lab.{table} group by all"
        assert ask(warehouse, f"select count(*), min(files), max(files) from ({rows})")[0][1:] == (8, 8), table
    assert ask(
        warehouse,
        """
        select filler_order_number, observation_code, value_text, value_list, value_component_2, value_count,
            specimen_number
        from raw_lab.results group by all order by all""",
    ) == [
        ("A", "718-7", "5 µg", '["5 µg"]', None, 1, None),
        ("A", "777-3", "^>^300", '["^>^300"]', ">", 1, None),
        ("B", "4544-3", "N^Negative^L\nP^Positive^L", '["N^Negative^L","P^Positive^L"]', "Negative", 2, None),
    ]


_OF_A_FILE = ("message_id", "file_name", "control_id", "message_number")


def test_what_an_observation_belongs_to(deliver: Deliver, warehouse: Target) -> None:
    deliver(
        "1.hl7",
        message(
            header("1"), patient("M1"), result("of patient 1", "1"), "ORC|RE|P1|C1", result("before its order", "1"),
            "OBR|1||", result("of order 1", "1"), "SPM|1|S1", result("of specimen 1", "1"), "NTE|1||x",
            "ORC|RE||ignored", "ORC|RE||C2", "OBR|9|P2|F2^NS^1.2^ISO", result("of order 2", "1", place=7),
            result("of order 2, too", "1", place=7), "SPM|1|S2", "SPM|2|S3", result("of specimen 3", "1"),
            patient("M2"), result("of patient 2", "1"), "OBR|1||F3", result("of order 3", "1"),
        ),
    )  # fmt: skip
    load_source("lab", warehouse)
    assert ask(
        warehouse,
        """
        select observation_code, belongs_to, patient_number, order_number, specimen_number, filler_order_number,
            filler_namespace, placer_order_number
        from raw_lab.results order by segment_number""",
    ) == [
        ("of patient 1", "message", 1, None, None, None, None, None),
        ("before its order", "message", 1, None, None, None, None, None),
        ("of order 1", "order", 1, 1, None, "C1", None, "P1"),
        ("of specimen 1", "specimen", 1, 1, 1, "C1", None, "P1"),
        ("of order 2", "order", 1, 2, None, "F2", "NS", "P2"),
        ("of order 2, too", "order", 1, 2, None, "F2", "NS", "P2"),
        ("of specimen 3", "specimen", 1, 2, 3, "F2", "NS", "P2"),
        ("of patient 2", "message", 2, None, None, None, None, None),
        ("of order 3", "order", 2, 3, None, "F3", None, None),
    ]
    assert ask(warehouse, "select belongs_to, order_number from raw_lab.notes") == [("specimen", 1)]


BROKEN = {
    "message: no MSH": f"\x0b{message(patient(), order('1'), result('1', '1'))}\x1c\r",
    "message: cut off within its frame": f"\x0b{message(header('1'), order('1'), result('1', '1'))}",
    "message: cut off: neither OBR nor OBX": message(header("1"), patient()),
    "message: an unknown encoding in MSH-18": simple("1", charset="Klingon"),
    "message: no time (MSH-7)": simple("1", moment=""),
    "message: no sound time (MSH-7)": simple("1", moment="20240230"),
    "message: no type (MSH-9)": simple("1", kind=""),
    "message: no control id (MSH-10)": simple(""),
    "segment: a line without a name": message(header("1"), patient(), "lost line", order("1"), result("1", "1")),
    "format:observed_time": message(header("1"), order("1"), result("1", "1", moment="2024-03-01 11:00")),
    "value:status": message(header("1"), order("1"), result("1", "1", status="Q")),
    "range:_effective_at": simple("1", moment="22000101"),
}


def _plain(text: str) -> Counter[str]:
    """How many segments of each kind there are, by how lines begin."""
    return Counter(re.findall(r"(?:\A|[\r\x0b])([A-Z][A-Z0-9]{2})(?=\|)", text))


def test_what_is_broken_is_rejected_and_the_rest_of_its_file_goes_on(deliver: Deliver, warehouse: Target) -> None:
    texts = [
        f"\x0b{simple(f'before {place}')}\x1c\r{broken}\x0b{simple(f'after {place}')}\x1c\r"
        for place, broken in enumerate(BROKEN.values())
    ]
    for place, text in enumerate(texts):
        deliver(f"{place}.hl7", text, hour=place / 10)
    loaded = load_source("lab", warehouse)
    plain = sum(map(_plain, texts), Counter())
    assert {name: loaded[name].source_count for name in KINDS} == {name: plain[kind] for name, kind in KINDS.items()}
    reasons = Counter(reason for _, _, said in rejects(warehouse, "lab") for reason in said)
    # All of a message whose header is broken, of others what is broken itself.
    assert reasons == {
        reason: _plain(broken).total() if reason.startswith(("message:", "range:")) else 1
        for reason, broken in BROKEN.items()
    }
    assert ask(warehouse, "select count(*) from raw_lab.messages where control_id ~ '(before|after) [0-9]+'") == [
        (2 * len(BROKEN),)
    ]


FILES = {
    "empty.hl7": (b"", "empty"),
    "blank.hl7": (b"\r\n \r\n", "no HL7 message: no line begins with MSH"),
    "other.hl7": (b"invoice,quantity\n1,2\n", "no HL7 message: no line begins with MSH"),
    "lies.hl7": (b"\xff\xfeM\x00S\x00H\x00\x00\xd8\x00\x00", "not utf-16, as its byte order mark says"),
    "cut.hl7.gz": (b"\x1f\x8b\x08\x00abc", "gzip"),
}


def test_files_without_messages_are_rejected_and_the_others_go_on(deliver: Deliver, warehouse: Target) -> None:
    for place, (name, (text, _)) in enumerate(FILES.items()):
        deliver(name, text, hour=place)
    deliver("ward/good.hl7", simple("1"), hour=9)
    loaded = load_source("lab", warehouse)
    assert counts(loaded["files"]) == (6, 1, 0, 5, 0)
    assert counts(loaded["messages"]) == (1, 1, 0, 0, 0)
    said = dict(ask(warehouse, "select record ->> '$.file_name', reasons ->> '$[0]' from raw_lab.rejects"))
    assert all(FILES[name][1] in reason for name, reason in said.items())
    assert said.keys() == FILES.keys()


def test_a_message_that_comes_again_is_known(deliver: Deliver, warehouse: Target) -> None:
    deliver("1.hl7", simple("1") + simple("2") + simple("1"))
    first = load_source("lab", warehouse)
    assert (counts(first["messages"]), counts(first["results"])) == ((3, 2, 1, 0, 0), (3, 2, 1, 0, 0))
    deliver("2.hl7", f"\x0b{simple('2', end=chr(10))}\x1c\r" + simple("3"), hour=2)
    deliver("1.hl7", simple("1") + simple("2") + simple("1"), hour=3)
    again = load_source("lab", warehouse)
    assert counts(again["files"]) == (2, 1, 1, 0, 0)
    assert (counts(again["messages"]), counts(again["results"])) == ((5, 1, 4, 0, 0), (5, 1, 4, 0, 0))
    # The same control id, and something else in it, is another message.
    deliver("3.hl7", simple("3", "4.3"), hour=4)
    assert counts(load_source("lab", warehouse)["results"]) == (4, 1, 3, 0, 0)  # the touched file's are known again


def test_what_was_rejected_of_a_message_is_judged_when_it_comes_again(deliver: Deliver, warehouse: Target) -> None:
    text = message(header("1"), order("1"), result("1", "1", status="Q"), result("2", "2"))
    deliver("1.hl7", text)
    assert counts(load_source("lab", warehouse)["results"]) == (2, 1, 0, 1, 0)
    deliver("again.hl7", text, hour=2)
    assert counts(load_source("lab", warehouse)["results"]) == (2, 0, 2, 0, 0)
    assert len(rejects(warehouse, "lab")) == 1


def test_the_order_of_arrival_makes_no_difference(deliver: Deliver, warehouse: Target, tmp_path: Path) -> None:
    texts = [simple(str(number), moment=f"2024030112{number:02}00+0000") for number in range(4)]
    at_once = Target("dev", "duckdb", tmp_path / "at_once")
    for place in random.Random(1).sample(range(4), 4):
        deliver(f"{place}.hl7", texts[place] + texts[(place + 1) % 4], hour=place)
        load_source("lab", warehouse)
    load_source("lab", at_once)
    for table in ("orders", "results"):
        assert content(warehouse, "lab", table) == content(at_once, "lab", table), table


NEVER = ("Zanzibar", "Quetzal", "Marmalade", "Xylophone", "999-55-1234", "5559876", "Periwinkle")


def test_nothing_that_tells_of_a_person_gets_into_raw(deliver: Deliver, warehouse: Target) -> None:
    named = patient("Quetzal", "Zanzibar") + "|5559876|||||ACC-Quetzal|999-55-1234"
    segments = (
        header("1"), named, "NK1|1|Xylophone^Aunt", "PV1|1|O|||||1^Marmalade^Doctor||||||||||||Quetzal",
        order("1").replace("|||||||||||||||", "|||||||||2^Marmalade^Ordered||||||", 1), result("1", "1"),
        "NTE|1||Periwinkle told by phone", result("1", "^TEXT^PDF^Base64^Periwinkle", kind="ED"),
    )  # fmt: skip
    deliver("1.hl7", message(*segments))
    # In what is rejected, too: no MSH, no sound time, a line without a name, a value that breaks the contract.
    deliver("2.hl7", f"\x0b{message(*segments[1:])}\x1c\r" + message(header("2", "later"), *segments[1:]), hour=2)
    bad = (named.replace("19700131", "19709931"), "Zanzibar said so", *segments[2:])
    deliver("3.hl7", message(header("3"), *bad), hour=3)
    loaded = load_source("lab", warehouse)
    assert loaded["patients"].rejected == 3
    assert loaded["notes"].loaded == 2
    tables = [*(each.name for each in read_contract("lab").tables), "rejects"]
    for table in tables:
        text = json.dumps(ask(warehouse, f"select to_json(t) from raw_lab.{table} as t"))
        assert [word for word in NEVER if word.lower() in text.lower()] == [], table
    stored = warehouse.build_file.read_bytes()
    assert [word for word in NEVER if word.encode() in stored] == []
    assert ask(warehouse, "select note_length from raw_lab.notes limit 1") == [(24,)]
    lengths = "select value_text, value_list, value_length from raw_lab.results where value_type = 'ED' limit 1"
    assert ask(warehouse, lengths) == [(None, None, 27)]


def test_a_patient_has_the_tokens_that_other_sources_give(deliver: Deliver, warehouse: Target) -> None:
    deliver("1.hl7", message(header("1"), patient("M1") + "||||||999-55-1234", order("1"), result("1", "1")))
    load_source("lab", warehouse)
    columns = {column.name: column for column in read_contract("lab").table("patients").columns}
    others: Table = read_contract("fhir").table("patients")
    shared = [each for each in others.columns if each.name in columns]
    assert {each.name for each in shared} >= {
        "ssn", "family_name", "given_name", "birth_date", "postal_code", "medical_record_number"
    }  # fmt: skip
    assert [each.name for each in shared if each.privacy != columns[each.name].privacy] == []
    [(ssn, number, family)] = ask(warehouse, "select ssn, medical_record_number, family_name from raw_lab.patients")
    assert (ssn[:4], number[:22], family[:12]) == ("ssn_", "medical_record_number_", "family_name_")


def test_a_folder_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, warehouse: Target, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCES__LAB__BUCKET_URL", str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match=r"there is no folder .*nowhere: check SOURCES__LAB__BUCKET_URL"):
        load_source("lab", warehouse)
