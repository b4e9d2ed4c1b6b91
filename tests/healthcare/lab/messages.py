"""Laboratory messages as a sender writes them, and where the real ones lie."""

from __future__ import annotations

from collections.abc import Iterable

from ingestion.project import PROJECT_ROOT

# Beside the project and not in it: who has only a clone has no such messages.
SHARED = PROJECT_ROOT.parent / "shared" / "data" / "healthcare" / "hl7v2"

MARKS = "|^~\\&"


def header(control_id: str, moment: str = "20240301120000+0000", *, charset: str = "", kind: str = "ORU^R01") -> str:
    return f"MSH|^~\\&|ANALYZER|CENTRAL|GRANARY|WARD|{moment}||{kind}|{control_id}|P|2.5.1||||||{charset}"


def patient(number: str = "MRN1", family: str = "DOE", born: str = "19700131") -> str:
    return f"PID|1||{number}^^^CENTRAL^MR||{family}^JOHN||{born}|M|||1 MAIN ST^^SPRINGFIELD^IL^62701||5550100"


def order(filler: str, code: str = "24317-0^HEMOGRAM^LN", place: int = 1) -> str:
    return f"OBR|{place}|P{filler}|{filler}|{code}|||20240301110000+0000" + "|" * 15 + "20240301115500+0000|||F"


def result(
    code: str, value: str, status: str = "F", kind: str = "NM", unit: str = "mg/dL", place: int = 1, **more: str
) -> str:
    sub_id, moment = more.get("sub_id", ""), more.get("moment", "20240301113000+0000")
    return f"OBX|{place}|{kind}|{code}^ANALYTE {code}^LN|{sub_id}|{value}|{unit}|1-9|N|||{status}|||{moment}"


def message(*segments: str, end: str = "\r") -> str:
    return "".join(segment + end for segment in segments)


def simple(control_id: str, value: str = "4.2", end: str = "\r", **of_header: str) -> str:
    """A message of one result, the value of which is text."""
    head = header(control_id, **of_header)
    return message(head, patient(), order(f"F{control_id}"), result("718-7", value, kind="ST"), end=end)


def remarked(text: str, marks: Iterable[str]) -> str:
    """A message that uses other separators: field, component, repetition, escape and subcomponent."""
    return text.translate(str.maketrans(dict(zip(MARKS, marks, strict=True))))
