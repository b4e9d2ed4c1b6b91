"""What a delivered file holds: resources, one a line, bundles of them, a bulk export's manifest, an exporter's log.

Each becomes lines of one resource each. What a bundle says of a resource beside it stands in its line as the member
`#`, which no resource has: `at`, when its version holds from, `version`, and `op`, which is D where it was deleted.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingestion.readers.documents import dumped, parsed, record_as_written
from ingestion.readers.files.formats import lines_of
from ingestion.readers.files.verification import BadFileError, Content, chunks

LINES, ENDINGS = (".ndjson", ".jsonl"), (".ndjson", ".jsonl", ".json")
MARK = "#"
_REFERENCE = re.compile(rb'(?<="reference":")urn:[^"\\]+(?=")')
_ADDRESS = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[^/]*)?")
_ETAG = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')
_NESTED = 3  # bundles within bundles
# What lines that can be read as they lie there don't have.
_ODD = (b"\r", b"\0", b"\x01", b"\n\n", b"\n ", b"\n\t", b'"Bundle"')
_SEAM = max(map(len, _ODD)) - 1


@dataclass(frozen=True)
class Delivery(Content):
    """What a verified file holds.

    kind: `resources`, `bundle` (some of its lines have a mark), `manifest`, `log`.
    counts: of a manifest, how many resources a file has, by the last part of its address.
    skipped: what stood in a bundle and is no resource: requests to read, results of the server.
    """

    kind: str = "resources"
    counts: dict[str, int] = field(default_factory=dict)
    skipped: int = 0

    def is_miscounted(self, count: int | None) -> bool:
        """Whether a manifest that counts so many resources in it is wrong.

        Of a file of deletions it counts the lines, and each is a bundle of many.
        """
        return self.kind == "resources" and count not in (None, self.record_count)


def delivered(copy: Path, name: str, made: Path) -> tuple[Path, Delivery]:
    """A copied file as lines of one resource each, and what it holds.

    Args:
        copy: the file; gzipped if its name ends in `.gz`.
        name: what it was delivered as.
        made: where to write lines, where the file itself has none that can be read as they are.

    Raises:
        BadFileError: it is not sound.
    """
    if name.lower().removesuffix(".gz").endswith(LINES):
        return _of_lines(copy, made)
    try:
        document = parsed(b"".join(chunks(copy)), "entry", as_written=True)
    except (ValueError, RecursionError) as error:
        # Its text may tell of a person, and an error's shows no more than where.
        raise BadFileError(f"no whole JSON document: {str(error)[:80]}") from error
    if isinstance(document, dict) and "transactionTime" in document and isinstance(document.get("output"), list):
        return made, Delivery((), 0, kind="manifest", counts=_counts(document))
    found = _Lines()
    made.write_bytes(b"".join(line + b"\n" for line in found.of(document)))
    if document == []:
        raise BadFileError("empty: no resources")
    return made, Delivery((), found.count, kind="bundle", skipped=found.skipped)


def _of_lines(copy: Path, made: Path) -> tuple[Path, Delivery]:
    count = _plain_lines(copy)
    if count:
        return copy, Delivery((), count)
    found, count, kind = _Lines(), 0, "resources"
    with made.open("wb") as file:
        for line in lines_of(copy):
            text = line.strip()
            if not text:
                continue
            lines = [text]
            if not count and _is_log(text):
                return made, Delivery((), 0, kind="log")
            if b'"Bundle"' in text or _is_odd(text):
                document = careful(text)
                if isinstance(document, dict) and document.get("resourceType") == "Bundle":
                    lines, kind = list(found.of(document)), "bundle"
                else:
                    lines = [dumped(_unmarked(document))]
            for each in lines:
                file.write(each + b"\n")
            count += len(lines)
    if not count and not found.skipped:
        raise BadFileError("empty: no resources")
    return made, Delivery((), count, kind=kind, skipped=found.skipped)


def careful(line: bytes) -> Any:
    """A line as JSON, each number that would be written otherwise as its text; where it is none, its text."""
    try:
        return record_as_written(line.decode("utf-8", "surrogateescape"))
    except ValueError:
        return line.decode("utf-8", "backslashreplace")


def _unmarked(document: Any) -> Any:
    """A document without the member that only lines made here may have."""
    return {name: each for name, each in document.items() if name != MARK} if isinstance(document, dict) else document


def _is_odd(line: bytes) -> bool:
    """Whether a line has what a sound one may not have, and what DuckDB's reader of lines doesn't bear."""
    if any(odd in line for odd in (b"\x01", b"\r", b"\0", b'"#"')):
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False


def _is_log(line: bytes) -> bool:
    """Whether it is one of an exporter's log (https://github.com/smart-on-fhir/bulk-data-client), and no resource."""
    return b'"exportId"' in line and b'"eventId"' in line and b'"resourceType"' not in line


def _plain_lines(copy: Path) -> int | None:
    """How many lines a file has that can be read as it lies there; None where it has to be looked at line by line."""
    decoder, count, last = codecs.getincrementaldecoder("utf-8")(), 0, b"\n"
    for number, chunk in enumerate(chunks(copy)):
        if not number and (chunk.startswith(codecs.BOM_UTF8) or _is_log(chunk[:4096])):
            return None
        # What lies across two chunks has all its bytes but one, at most, in either.
        joined = last + chunk[:_SEAM]
        if any(odd in chunk or odd in joined for odd in _ODD):
            return None
        try:
            if not chunk.isascii() or decoder.getstate()[0]:
                decoder.decode(chunk)
        except UnicodeDecodeError:
            return None
        count += chunk.count(b"\n")
        last = (last + chunk[-_SEAM:])[-_SEAM:]
    return None if decoder.getstate()[0] else count + (last[-1:] != b"\n")


def _counts(manifest: dict[str, Any]) -> dict[str, int]:
    """How many resources the files of a manifest have, where it says so."""
    deleted = manifest.get("deleted")
    return {
        str(each["url"]).split("?")[0].rsplit("/", 1)[-1]: each["count"]
        for each in (*manifest["output"], *(deleted if isinstance(deleted, list) else ()))
        if isinstance(each, dict) and isinstance(each.get("count"), int) and each.get("url")
    }


class _Lines:
    """Makes lines of documents, and counts them."""

    def __init__(self) -> None:
        self.count = self.skipped = 0

    def of(self, document: Any, depth: int = 0) -> Iterator[bytes]:
        """The resources of a bundle or a list, or the one that a document is."""
        if isinstance(document, dict) and document.get("resourceType") == "Bundle" and depth < _NESTED:
            yield from self._entries(document, depth)
        elif isinstance(document, list):
            for each in document:
                yield from self.of(each, depth + 1)
        else:
            self.count += 1
            yield dumped(_unmarked(document))

    def _entries(self, bundle: dict[str, Any], depth: int) -> Iterator[bytes]:
        entries = bundle.get("entry") or []
        entries = entries if isinstance(entries, list) else [entries]
        # The history of a resource tells the newest version first; of one time, the later line is the later version.
        ordered = reversed(entries) if bundle.get("type") == "history" else entries
        resolved = _addresses(entries)
        for entry in ordered:
            if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
                inner = entry["resource"]
                if inner.get("resourceType") == "Bundle" and depth + 1 < _NESTED:
                    yield from self._entries(inner, depth + 1)
                    continue
            document = entered(bundle, entry)
            if document is None:
                self.skipped += 1
                continue
            self.count += 1
            yield _REFERENCE.sub(lambda match: resolved.get(match[0], match[0]), dumped(document))


def _addresses(entries: list[Any]) -> dict[bytes, bytes]:
    """What the resources of a bundle are called within it, `urn:uuid:…`, and what they are called elsewhere."""
    found = {}
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        name = str(entry.get("fullUrl") or "") if resource else ""
        if isinstance(resource, dict) and name.startswith("urn:"):
            known = resource.get("id") or name.rsplit(":", 1)[-1]
            found[name.encode()] = f"{resource.get('resourceType')}/{known}".encode()
    return found


def entered(bundle: dict[str, Any], entry: Any) -> Any:
    """An entry's resource with its mark; None where it has none, and none was written or deleted."""
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else json.dumps(entry)
    request, response, search = (
        each if isinstance(each := entry.get(name), dict) else {} for name in ("request", "response", "search")
    )
    method, resource = str(request.get("method") or "").upper(), entry.get("resource")
    at, etag = response.get("lastModified") or bundle.get("timestamp"), _ETAG.fullmatch(str(response.get("etag") or ""))
    mark = {**({"at": at} if at else {}), **({"version": etag[1]} if etag else {})}
    if method == "DELETE":
        address = _ADDRESS.fullmatch(str(request.get("url") or "").split("?")[0])
        kind, name = address.groups() if address else (str(request.get("url") or "").split("?")[0] or None, None)
        return {"resourceType": kind, "id": name, MARK: {**mark, "op": "D"}}
    if search.get("mode") == "outcome" or (resource is None and method in ("", "GET", "HEAD")):
        return None
    if not isinstance(resource, dict):
        return f"{method} without a resource"
    if not resource.get("id"):
        named = str(entry.get("fullUrl") or "")
        address = _ADDRESS.fullmatch(named)
        known = named.rsplit(":", 1)[-1] if named.startswith("urn:") else address[2] if address else None
        resource = {**resource, "id": known} if known else resource
    resource = _unmarked(resource)
    return {**resource, MARK: mark} if mark else resource
