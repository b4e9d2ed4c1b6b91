"""Messages in files of every form: told apart, decoded, escapes resolved, segments counted."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.readers.files.verification import BadFileError
from ingestion.readers.hl7v2.messages import COMPONENT, FIELD, REPETITION, SUBCOMPONENT, Message, Notes, messages
from tests.healthcare.lab.messages import header, message, order, patient, result, simple

SEPARATORS = (FIELD, COMPONENT, REPETITION, SUBCOMPONENT)


def read(content: bytes, chunk: int = 1 << 20) -> tuple[list[Message], Notes]:
    notes = Notes()
    blocks = (content[start : start + chunk] for start in range(0, len(content), chunk))
    return list(messages(blocks, notes)), notes


def value(found: Message) -> str:
    """The text of OBX-5, by a plain split of the one form."""
    [line] = [line for line in found.text.split("\r") if line.startswith("OBX")]
    return line.split(FIELD)[5]


TWO = [simple("1"), simple("2", "5.1")]
LINE_ENDS = {"as the standard says": "\r", "Unix": "\n", "Windows": "\r\n", "both, the wrong way round": "\n\r"}


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("chunk", [5, 7, 1 << 20])
def test_every_line_end_in_every_frame(end: str, chunk: int) -> None:
    one, two = (text.replace("\r", end) for text in TWO)
    files = {
        "bare": one + two,
        "without the last end": one + two.removesuffix(end),
        "blank lines between": one + end + end + two,
        "framed": f"\x0b{one}\x1c\r\x0b{two}\x1c\r",
        "frames without ends between": f"\x0b{one.removesuffix(end)}\x1c\x0b{two.removesuffix(end)}\x1c",
        "a batch": f"FHS|^~\\&|A{end}BHS|^~\\&|B{end}{one}{two}BTS|2{end}FTS|1{end}",
        "batches of one": f"BHS|^~\\&{end}{one}BTS|1{end}BHS|^~\\&{end}{two}BTS|1{end}",
    }
    for form, text in files.items():
        for mark in (b"", "\ufeff".encode()):
            found, notes = read(mark + text.encode(), chunk)
            assert [(each.fault, value(each)) for each in found] == [(None, "4.2"), (None, "5.1")], form
            assert [each.segments for each in found] == [Counter({b"MSH": 1, b"PID": 1, b"OBR": 1, b"OBX": 1})] * 2
            assert notes == Notes(), form
            assert found[0].text == read(TWO[0].encode())[0][0].text, form


ENCODINGS = {
    ("", "utf-8"): "Größe 5 µg",
    ("UNICODE UTF-8", "utf-8"): "Größe ≥ 5",
    ("8859/1", "latin-1"): "Größe",
    ("8859/2", "iso8859-2"): "Łódź",
    ("8859/7", "iso8859-7"): "Ωμέγα",
    ("8859/15", "iso8859-15"): "5 € œuvre",
    ("GB 18030-2000", "gb18030"): "白血球 鎈",
    ("BIG-5", "big5"): "成功 許可",  # of which bytes are a backslash
    ("KS X 1001", "euc_kr"): "백혈구",
    ("ISO IR87", "iso2022_jp"): "白血球",
    ("8859/1~ISO IR87", "latin-1"): "Größe",
}


@pytest.mark.parametrize(("named", "encoding"), ENCODINGS)
def test_encodings_that_a_message_names(named: str, encoding: str) -> None:
    text = ENCODINGS[named, encoding]
    [found], notes = read(simple("1", text, charset=named).encode(encoding))
    assert (found.fault, value(found), notes.latin) == (None, text, 0)


def test_what_names_no_encoding_and_is_not_utf_8_is_latin() -> None:
    content = simple("1", "Größe").encode("latin-1") + simple("2", "Größe").encode()
    found, notes = read(content)
    assert [value(each) for each in found] == ["Größe", "Größe"]
    assert notes.latin == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8"])
def test_a_byte_order_mark_tells_the_encoding_of_all(encoding: str) -> None:
    text = ("\ufeff" if encoding.endswith(("be", "8")) else "") + simple("1", "≥ 5", charset="UNICODE UTF-16")
    [found], _ = read(text.encode(encoding), 10)
    assert (found.fault, value(found)) == (None, "≥ 5")


def test_a_byte_order_mark_that_lies_is_no_message() -> None:
    with pytest.raises(BadFileError, match="not utf-16"):
        read(b"\xff\xfe" + b"M\x00S\x00H\x00\x00\xd8\x00\x00")


ESCAPES = {
    r"a\F\b\S\c\R\d\T\e\E\f": "a|b^c~d&e\\f",
    r"\E\T\E\ ": r"\T\ ",  # an escaped escape character is none
    r"5 \.br\6\.BR\7\.sp\8\.sp+2\9": "5 \n6\n7\n8\n9",
    r"\H\high\N\ again": "high again",
    r"\XC2B5\g \X41\\X42\ \X0D0A\end": "µg AB \nend",
    r"C:\temp\new": r"C:\temp\new",  # none of the standard's sequences
    r"\X1C\ \X00\ \XFF\ \Q\ \X4\ ": r"\X1C\ \X00\ \XFF\ \Q\ \X4\ ",
    r"a\ \T\ b": r"a\ & b",
}


@pytest.mark.parametrize("written", ESCAPES)
def test_escapes(written: str) -> None:
    [found], _ = read(simple("1", written).encode())
    assert value(found) == ESCAPES[written]
    assert len(found.text.split("\r")) == 4


PLAIN = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"'), min_size=1, max_size=30)
MARKS = st.permutations(list("|^~\\&#*!@%$:;+=")).map(lambda marks: "".join(marks[:5]))


@given(PLAIN, MARKS)
def test_any_text_comes_back_whatever_separates(text: str, marks: str) -> None:
    field, component, repetition, escape, subcomponent = marks
    letters = {field: "F", component: "S", repetition: "R", subcomponent: "T", escape: "E"}
    written = "".join(f"{escape}{letters[each]}{escape}" if each in letters else each for each in text)
    head = [f"MSH{field}{marks[1:]}", "A", "B", "", "", "20240301", "", f"ORU{component}R01", "1", "P", "2.5"]
    fields = [
        "OBX",
        "1",
        "ST",
        f"c{component}d{subcomponent}e",
        "",
        f"{written}{repetition}{written}",
        "",
        "",
        "",
        "",
        "",
    ]
    content = f"{field.join(head)}\r{field.join([*fields, 'F'])}\r".encode()
    [found], _ = read(content)
    assert (found.fault, found.segments) == (None, Counter({b"MSH": 1, b"OBX": 1}))
    assert value(found) == f"{text}{REPETITION}{text}"
    assert found.text.split("\r")[1].split(FIELD)[3] == f"c{COMPONENT}d{SUBCOMPONENT}e"


def test_a_line_feed_within_a_value_is_no_line_end_where_segments_end_as_they_should() -> None:
    segments = (header("1"), patient(), order("1"), result("1", "first\nsecond\n\nlast", kind="TX"))
    [found], _ = read(message(*segments).encode())
    assert value(found) == "first\nsecond\n\nlast"
    [found], _ = read(message(*segments, end="\n").encode())
    assert value(found) == "first"
    assert found.text.split("\r")[4] == "second"


FAULTS = {
    "no MSH": f"\x0b{message(patient(), order('1'), result('1', '1'))}\x1c\r",
    "cut off within its frame": "\x0b" + message(header("1"), order("1")),
    "an unknown encoding in MSH-18": simple("1", charset="Klingon"),
    "MSH-1 and MSH-2 are no separators": simple("1").replace("MSH|^~\\&|", "MSH|^^\\&|"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_message_is_told_and_the_others_go_on(fault: str) -> None:
    content = f"{FAULTS[fault]}\x0b{simple('9', 'good')}\x1c\r".encode()
    [broken, good], _ = read(content)
    assert broken.fault == fault
    assert (good.fault, value(good)) == (None, "good")
    assert broken.segments + good.segments == Counter(re.findall(rb"(?:^|[\r\x0b])([A-Z]{3})(?=\|)", content))


def test_what_a_message_says_of_its_encoding_has_to_be_so() -> None:
    found, _ = read(simple("1", "Größe", charset="UNICODE UTF-8").encode("latin-1") + simple("2").encode())
    assert [bool(each.fault) for each in found] == [True, False]
    assert str(found[0].fault).startswith("not UNICODE UTF-8")


def test_a_batch_that_lacks_messages_is_noted() -> None:
    content = f"BHS|^~\\&\r{simple('1')}{simple('2')}BTS|3\r{simple('3')}".encode()
    found, notes = read(content)
    assert [each.fault for each in found] == [None] * 3
    assert notes.batches == ["a batch says that it has 3 messages, and has 2"]
