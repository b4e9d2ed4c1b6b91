"""What the clinic's systems hand over at the end of a day: an export of what changed, and the laboratory's file.

An export is as a server of FHIR's bulk data makes it: a file of NDJSON for each type, of the state as the day ends, a
manifest, and what was deleted as transactions. A transaction that came in is handed on as a file of its own.
"""

from __future__ import annotations

import json

from ingestion.demo.clock import DAY, day_text, iso

from .clinic import Clinic
from .fhir import text_of
from .hl7 import charset_of
from .truth import note, note_deleted, note_records, note_segments, note_unknown

_SERVER = "https://fhir.clinic.example"
_LATE_DAYS = 7
_ENDS = {6: "\n", 7: "\n", 8: "\r\n"}
_MARK = "\ufeff"


def hand_over(clinic: Clinic, day: int) -> None:
    """Make the files of a day that has ended."""
    folder, end = f"fhir/{day_text(day)}", (day + 1) * DAY
    files: dict[str, list[str]] = {}
    for (resource_type, _), text in _without_held(clinic, day):
        files.setdefault(f"{resource_type}.000", []).append(text)
    for resource_type, text in clinic.extra:
        files.setdefault(f"{resource_type}.000", []).append(text)
    for due in [each for each in clinic.late if each[0] <= day]:
        clinic.late.remove(due)
        files.setdefault(f"{due[1]}.001", []).append(due[2])
        note_records(clinic, due[1], repeated=due[3])
    output = []
    for name, lines in sorted(files.items()):
        resource_type = name.partition(".")[0]
        note_records(clinic, resource_type, records=len(lines))
        for _ in range(sum('"subjectStatus":' in line for line in lines)):
            note_unknown(clinic, resource_type, "subjectStatus")
        _add(clinic, f"{folder}/{name}.ndjson", "".join(f"{line}\n" for line in lines), end)
        url = f"{_SERVER}/bulk/{day_text(day)}/{name}.ndjson"
        output.append({"type": resource_type, "url": url, "count": len(lines)})
    deleted = _deleted(clinic, folder, day)
    if clinic.bundled:
        _add(clinic, f"{folder}/transaction-000.json", _transaction(clinic), end)
    manifest = {
        "transactionTime": iso(end),
        "request": f"{_SERVER}/$export?_since={iso(day * DAY)}",
        "requiresAccessToken": True,
        "output": output,
        "deleted": deleted,
        "error": [],
    }
    _add(clinic, f"{folder}/manifest.json", json.dumps(manifest, indent=1), end)
    for pending in (clinic.changed, clinic.deleted, clinic.bundled, clinic.extra):
        pending.clear()
    _hand_over_messages(clinic, day)


def _add(clinic: Clinic, name: str, text: str, t: int) -> None:
    clinic.batch.files[name] = (text.encode(), t)


def _without_held(clinic: Clinic, day: int) -> list[tuple[tuple[str, str], str]]:
    """What changed; where that is wished, one preliminary result waits a week, and one is there twice and once more."""
    results = list(clinic.changed.items())
    observations = [each for each in results if each[0][0] == "Observation"]
    preliminary = [each for each in observations if '"status":"preliminary"' in each[1]]
    if "late version" in clinic.wishes and preliminary:
        clinic.wishes.remove("late version")
        results.remove(preliminary[0])
        clinic.late.append((day + _LATE_DAYS, "Observation", preliminary[0][1], 0))
    elif "repeated" in clinic.wishes and observations:
        clinic.wishes.remove("repeated")
        results.append(observations[0])
        clinic.late.append((day + _LATE_DAYS, "Observation", observations[0][1], 1))
        note_records(clinic, "Observation", repeated=1)
    return results


def _deleted(clinic: Clinic, folder: str, day: int) -> list[dict[str, object]]:
    """The file of what was deleted; returns what the manifest says of it."""
    if not clinic.deleted:
        return []
    lines = []
    for resource_type, resource_id in clinic.deleted:
        note_deleted(clinic, resource_type)
        entry = {"request": {"method": "DELETE", "url": f"{resource_type}/{resource_id}"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        lines.append(json.dumps(bundle, separators=(",", ":")) + "\n")
    _add(clinic, f"{folder}/deleted.000.ndjson", "".join(lines), (day + 1) * DAY)
    url = f"{_SERVER}/bulk/{day_text(day)}/deleted.000.ndjson"
    return [{"type": "Bundle", "url": url, "count": len(lines)}]


def _transaction(clinic: Clinic) -> str:
    """A transaction: its resources refer to each other by fullUrl, and what is new has no id yet."""
    entries = []
    for place, resource in enumerate(clinic.bundled):
        resource_type, resource_id = resource["resourceType"], resource["id"]
        note_records(clinic, resource_type, records=1)
        if "subjectStatus" in resource:
            note_unknown(clinic, resource_type, "subjectStatus")
        is_new = place % 2 == 0
        content = {name: value for name, value in resource.items() if name != "id" or not is_new}
        way = ("POST", resource_type) if is_new else ("PUT", f"{resource_type}/{resource_id}")
        request = {"method": way[0], "url": way[1]}
        entries.append({"fullUrl": f"urn:uuid:{resource_id}", "resource": content, "request": request})
    text = text_of({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    for resource in clinic.bundled:
        text = text.replace(
            f'"reference":"{resource["resourceType"]}/{resource["id"]}"', f'"reference":"urn:uuid:{resource["id"]}"'
        )
    return text


def _hand_over_messages(clinic: Clinic, day: int) -> None:
    """The laboratory's file of a day: the ends of its lines, its mark and its character set vary with the day."""
    end = (day + 1) * DAY
    due = sorted(each for each in clinic.messages if each[0] < end)
    clinic.messages = [each for each in clinic.messages if each[0] >= end]
    texts = [each[1] for each in due]
    if not texts:
        return
    note_records(clinic, "ORU", records=len(due), repeated=sum(each[3] for each in due))
    for text in texts:
        note_segments(clinic, text)
    unreadable = 0
    if "no header" in clinic.wishes:
        clinic.wishes.remove("no header")
        # The rest of a message whose beginning went to an earlier file that is lost.
        texts.insert(0, "OBX|3|NM|2951-2^Sodium^LN||140|mmol/L^^UCUM|||||F\rSPM|1|S0||119364003^Serum^SCT\r")
        unreadable = 2
    line_end, has_mark = _ENDS.get(day % 10, "\r"), day % 10 == 9
    charset = "latin-1" if charset_of(day) == "8859/1" else "utf-8"
    name = f"ORU_{day_text(day).replace('-', '')}.hl7"
    content = "".join(texts).replace("\r", line_end)
    mark = _MARK.encode() if has_mark and charset == "utf-8" else b""
    clinic.batch.files[f"lab/{name}"] = (mark + content.encode(charset), end)
    kind = {"\r": "CR", "\n": "LF", "\r\n": "CRLF"}[line_end]
    segments = content.count(line_end)
    note(clinic, "lab_files", (name, len(due), unreadable, segments, kind, int(bool(mark))))
