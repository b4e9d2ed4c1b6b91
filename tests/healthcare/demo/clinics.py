"""The simulated clinic's files, read by plain means: what its truth is held against.

Nothing here uses the simulator's code: NDJSON and HL7 are split and parsed; the last version by `lastUpdated` holds.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

Resource = dict[str, Any]
Key = tuple[str, str]


def truth(root: Path, query: str) -> list[Any]:
    """Rows of the truth."""
    with closing(sqlite3.connect(root / "truth.sqlite")) as connection:
        return connection.execute(query).fetchall()


def exported(root: Path) -> Iterator[tuple[str, str, str]]:
    """Each line of NDJSON and each entry of a transaction: day, type by the file's name, text."""
    for path in sorted((root / "systems/fhir").glob("*/*.ndjson")):
        if not path.name.startswith("deleted"):
            for line in path.read_text(encoding="utf-8").splitlines():
                yield path.parent.name, path.name.partition(".")[0], line
    for path in sorted((root / "systems/fhir").glob("*/transaction-*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8"), parse_float=str)["entry"]:
            resource = {"id": entry["fullUrl"].removeprefix("urn:uuid:")} | entry["resource"]
            yield path.parent.name, resource["resourceType"], json.dumps(resource)


def deleted(root: Path) -> dict[Key, str]:
    """What an export said to be gone, and on which day."""
    found = {}
    for path in sorted((root / "systems/fhir").glob("*/deleted.*.ndjson")):
        for line in path.read_text(encoding="utf-8").splitlines():
            for entry in json.loads(line)["entry"]:
                assert entry["request"]["method"] == "DELETE"
                resource_type, resource_id = entry["request"]["url"].split("/")
                found[(resource_type, resource_id)] = path.parent.name
    return found


def is_good(resource: Resource) -> bool:
    """Whether a contract can take it: what the simulator breaks is broken in one of these ways."""
    return (
        "id" in resource
        and resource.get("status") != "finall"
        and resource.get("gender") != "M."
        and (resource["resourceType"] != "Observation" or "code" in resource)
    )


def versions(root: Path) -> dict[Key, list[Resource]]:
    """The good versions of each resource in the order of time, each once; numbers as they are written."""
    found: dict[Key, dict[str, Resource]] = {}
    for _, resource_type, line in exported(root):
        try:
            resource = json.loads(line, parse_float=str, parse_int=str)
        except json.JSONDecodeError:
            continue
        if is_good(resource):
            key = (resource_type, resource["id"])
            found.setdefault(key, {})[resource["meta"]["lastUpdated"]] = resource
    return {key: [each[at] for at in sorted(each)] for key, each in found.items()}


class Result(NamedTuple):
    """An OBX, as a message says it."""

    reported: str
    order: str
    code: str
    status: str
    value: str
    unit: str
    patient: str


def messages(root: Path) -> Iterator[tuple[str, list[str]]]:
    """The messages of each file, and their segments: split by what ends lines there."""
    for path in sorted((root / "systems/lab").iterdir()):
        content = path.read_bytes()
        text = content.decode("latin-1" if b"8859/1" in content else "utf-8-sig")
        lines = text.replace("\r\n", "\r").replace("\n", "\r").rstrip("\r").split("\r")
        starts = [number for number, line in enumerate(lines) if line.startswith("MSH")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            yield path.name, lines[start:end]


def _plain(text: str, escape: str, signs: str) -> str:
    """A text without its escapes; `signs` are what F, S, R, T and E stand for."""
    pieces = text.split(escape)
    for i in range(1, len(pieces), 2):
        pieces[i] = {**dict(zip("FSRTE", signs, strict=True)), ".br": "\n"}[pieces[i]]
    return "".join(pieces)


def results(root: Path) -> Iterator[Result]:
    """Each OBX of each message that has a time."""
    for _, segments in messages(root):
        bar, component, repetition, escape, part = list(segments[0][3:8])
        signs = bar + component + repetition + part + escape
        header = segments[0].split(bar)
        if header[6][4:6] > "12":
            continue
        order = patient = ""
        for segment in segments[1:]:
            fields = [segment[:3], *segment.split(bar)[1:]]
            if fields[0] == "PID":
                patient = fields[3].split(repetition)[0].split(component)[0]
            elif fields[0] == "OBR":
                order = fields[3]
            elif fields[0] == "OBX":
                kind, value = fields[2], fields[5]
                if kind == "CWE":
                    value = value.split(component)[0]
                elif kind == "SN":
                    value = value.replace(component, "")
                else:
                    value = "~".join(_plain(each, escape, signs) for each in value.split(repetition))
                unit = _plain(fields[6].split(component)[0], escape, signs)
                code = fields[3].split(component)[0]
                yield Result(header[6], order, code, fields[11], value, unit, patient)
