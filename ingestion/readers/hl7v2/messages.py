"""The messages of a file: told apart, decoded, and brought into one form, whatever separators and line ends they have.

Rules are those of HL7 2.5.1 and later: chapter 2 (delimiters, escape sequences, batches), table 0211 (character sets),
and of the Minimal Lower Layer Protocol for what frames a message in a file.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, pairwise

from ingestion.readers.files.verification import BadFileError

# The one form: what ends a segment, and what separates fields, repetitions, components and subcomponents. No text of a
# message holds any of them.
SEGMENT, FIELD, REPETITION, COMPONENT, SUBCOMPONENT = "\r", "\x1c", "\x1d", "\x1e", "\x1f"
# Segments around messages: headers and trailers of files and batches, which are no records.
ENVELOPE = (b"FHS", b"BHS", b"BTS", b"FTS")

# What may begin here: a message, an envelope's segment, the start or the end of a frame. Segments begin lines, which is
# looked at afterwards: a pattern that begins with a letter is found ten times as fast.
_MARK = re.compile(rb"MSH(?=[^A-Za-z0-9\s])|[FB][HT]S(?=[^A-Za-z0-9\s])|\x0b|\x1c")
_FRAME, _BEFORE_SEGMENTS = b"\x0b\x1c", b"\r\n\x0b\x1c"
_BLANKS = b" \t\r\n"
# What table 0211 calls otherwise than Python does.
_ENCODINGS = {
    "ASCII": "ascii",
    **{f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 10), 15)},
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "ISO IR14": "iso2022_jp",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_2",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
}
# UTF-32's first: it begins as UTF-16's does.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Texts of the one form's separators, where a sender has such characters: blanks take their place.
_CONTROLS = str.maketrans(dict.fromkeys((FIELD, REPETITION, COMPONENT, SUBCOMPONENT), " "))


@dataclass(frozen=True)
class Message:
    """A message of a file, or lines that stand where one should and have no MSH.

    number: its place in the file, from 1.
    text: in the one form, escapes resolved; of one with a fault as far as that can be had.
    segments: how many it has of each kind, counted in its bytes.
    fault: why it can't be read, in a few words.
    """

    number: int
    text: str
    segments: Counter[bytes]
    fault: str | None = None


@dataclass
class Notes:
    """What a person should know of a file.

    latin: how many messages that name no encoding were read as Latin-1.
    batches: what its batches say that isn't so.
    """

    latin: int = 0
    batches: list[str] = field(default_factory=list)


def messages(blocks: Iterable[bytes], notes: Notes) -> Iterator[Message]:
    """Tell the messages of a file apart, in their order.

    Args:
        blocks: the file's bytes.
        notes: takes what a person should know.

    Raises:
        BadFileError: its byte order mark tells an encoding that it isn't in.
    """
    encoding, text = _told_by_mark(iter(blocks))
    number = in_batch = 0
    framed = False
    for piece, following in pairwise(chain(_pieces(text), [b""])):
        kind, rest = piece[:3], piece
        if piece[:1] in (b"\x0b", b"\x1c"):
            framed, rest = piece[:1] == b"\x0b", piece[1:]
        elif kind in ENVELOPE:
            line, _, rest = piece.replace(b"\n", b"\r").partition(b"\r")
            in_batch = _in_batch(line, in_batch, notes)
        content = rest.strip(_BLANKS)
        if not content:
            continue
        number, in_batch = number + 1, in_batch + 1
        if kind == b"MSH":
            is_cut = framed and following[:1] != b"\x1c"
            yield _message(number, content, encoding, notes, "cut off within its frame" if is_cut else None)
        else:
            yield Message(number, _in_one_form(_guessed(content)[0], "|", "", ""), _segments(content, b"|"), "no MSH")


def _told_by_mark(blocks: Iterator[bytes]) -> tuple[str, Iterator[bytes]]:
    """The encoding that a byte order mark tells, if any, and the file's bytes without it; in UTF-8 where it does."""
    first = next(blocks, b"")
    if first.startswith(codecs.BOM_UTF8):
        return "utf-8", chain([first.removeprefix(codecs.BOM_UTF8)], blocks)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if first.startswith(mark):
            return "utf-8", _recoded(chain([first], blocks), encoding)
    return "", chain([first], blocks)


def _recoded(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise BadFileError(f"not {encoding}, as its byte order mark says: {error}") from error


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The file's bytes, cut where something begins."""
    held, seen = b"", 0
    for block in blocks:
        held += block
        starts = [
            start
            for start in (match.start() for match in _MARK.finditer(held, seen))
            if not start or held[start] in _FRAME or held[start - 1] in _BEFORE_SEGMENTS
        ]
        # What begins last may go on in the next block.
        for begin, end in pairwise([0, *(start for start in starts if start)]):
            yield held[begin:end]
        held = held[starts[-1] :] if starts else held
        # Nothing begins in what was looked at, but in its end, of which three letters may wait for what follows them.
        seen = max(0, len(held) - 3)
    yield held


def _in_batch(line: bytes, found: int, notes: Notes) -> int:
    """How many messages are in the batch so far, after one of its segments."""
    said = line[4:].split(line[3:4])[0].strip()
    if line[:3] == b"BTS" and said.isdigit() and int(said) != found:
        notes.batches.append(f"a batch says that it has {int(said):,} messages, and has {found:,}")
    return 0 if line[:3] == b"BHS" else found


def _message(number: int, content: bytes, told: str, notes: Notes, fault: str | None) -> Message:
    """A message that begins with MSH. `told` is what the file's byte order mark says of its encoding."""
    separator = content[3:4]
    header = re.split(rb"[\r\n]", content, maxsplit=1)[0].split(separator)
    marks = header[1].decode("latin-1") if len(header) > 1 else ""
    component, repetition, escape, subcomponent = list((marks[:4] + "\0\0\0\0")[:4])
    segments = _segments(content, separator)
    named = header[17].decode("latin-1").split(repetition)[0].strip().upper() if len(header) > 17 else ""
    encoding = told or _ENCODINGS.get(named, "") if named else told
    field_separator = separator.decode("latin-1")
    if not marks or not _are_separators(field_separator + marks[:4]):
        fault = fault or "MSH-1 and MSH-2 are no separators"
    if named and not encoding:
        # Never what is written there: reasons stand in logs, and anything may be written there.
        fault = fault or "an unknown encoding in MSH-18"
    try:
        if encoding:
            text = content.decode(encoding)
        else:
            text, is_latin = _guessed(content)
            notes.latin += is_latin
    except UnicodeDecodeError as error:
        text, fault = _guessed(content)[0], fault or f"not {named or encoding}: {error.reason}"
    if fault:
        return Message(number, _in_one_form(text, field_separator, "", ""), segments, fault)
    one = _in_one_form(text, field_separator, repetition + component + subcomponent, escape)
    if escape != "\0" and one.count(escape) > 1:
        one = _escapes(escape).sub(
            lambda found: _resolved(found, (field_separator, component, repetition, subcomponent, escape), encoding),
            one,
        )
    return Message(number, one, segments)


def _guessed(content: bytes) -> tuple[str, bool]:
    """A text that names no encoding: UTF-8, else Latin-1, in which every byte is a letter. And whether it is that."""
    try:
        return content.decode(), False
    except UnicodeDecodeError:
        return content.decode("latin-1"), True


def _are_separators(marks: str) -> bool:
    return len(set(marks)) == len(marks) and all("!" <= each <= "~" and not each.isalnum() for each in marks)


def _in_one_form(text: str, field_separator: str, others: str, escape: str) -> str:
    """A message's text with the separators of the one form. `others`: of repetitions, components, subcomponents."""
    if any(control in text for control in (FIELD, REPETITION, COMPONENT, SUBCOMPONENT)):
        text = text.translate(_CONTROLS)
    if "\n" in text:
        text = _in_lines(text, escape)
    while "\r\r" in text:
        text = text.replace("\r\r", "\r")
    text = text.replace(field_separator, FIELD)
    for old, new in zip(others, (REPETITION, COMPONENT, SUBCOMPONENT), strict=False):
        if old != "\0":
            text = text.replace(old, new)
    return text


def _in_lines(text: str, escape: str) -> str:
    """A text with all line ends as the standard has them, carriage returns alone.

    Where its first segment ends as the standard says, a line feed before what is no segment is no line end, but stands
    in a value: it becomes the escape sequence that it should have been.
    """
    head = text[: text.find("\n") + 1]
    if "\r" in head and not head.endswith("\r\n") and escape not in ("", "\0"):
        text = _WITHIN.sub(lambda found: f"{escape}.br{escape}", text)
    return text.replace("\r\n", "\r").replace("\n", "\r")


_WITHIN = re.compile(r"(?<!\r)\n(?!\n*(?:[A-Z][A-Z0-9]{2}(?:[^A-Za-z0-9\s]|[\r\n]|\Z)|\r|\Z))")


@cache
def _kinds(separator: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"[\r\n]([A-Z][A-Z0-9]{2})(?=" + re.escape(separator) + rb"|[\r\n]|\Z)")


def _segments(content: bytes, separator: bytes) -> Counter[bytes]:
    """How many segments of each kind there are: by the beginnings of lines alone."""
    return Counter(_kinds(separator).findall(b"\r" + content))


@cache
def _escapes(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(rf"{mark}(F|S|R|T|E|H|N|X(?:[0-9A-Fa-f]{{2}})+|(?i:\.br|\.sp *\+?\d*)){mark}")


def _resolved(found: re.Match[str], marks: tuple[str, ...], encoding: str) -> str:
    """What an escape sequence stands for. What can't stand in a text is left as it is written."""
    name = found[1]
    if name in "FSRTE":
        # The order of the standard's letters: field, component (S), repetition, subcomponent (T), escape.
        return marks["FSRTE".index(name)]
    if name in "HN":
        return ""
    if name[0] == ".":
        return "\n"
    try:
        text = bytes.fromhex(name[1:]).decode(encoding or "utf-8")
    except UnicodeDecodeError:
        return found[0]
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.replace("\n", "").isprintable() else found[0]
