"""A small FHIR server on the loopback: search with paging by links, and export in bulk, as the specifications say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

TOKEN = "a token"


@dataclass
class FhirServer:
    """What it has, how it behaves, and what it was asked.

    resources: by type, each with meta.lastUpdated.
    deleted: addresses such as Patient/1 that an export tells of.
    trouble: gives a status to answer a request with, by its path, instead of what was asked; `stall` keeps it waiting.
    public_files: files of an export want no token.
    pending: how many times an export's state is 202.
    said: what a manifest says instead of what is so.
    """

    resources: dict[str, list[dict[str, Any]]]
    url: str = ""
    deleted: Sequence[str] = ()
    trouble: Callable[[str], int | str | None] = lambda path: None
    public_files: bool = False
    pending: int = 2
    wrong_count: bool = False
    empty_files: bool = False
    other_origin: str = ""
    transaction_time: str = "2024-06-01T00:00:00Z"
    said: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: dict[str, str | None] = field(default_factory=dict)

    def answer(self, path: str, query: dict[str, str], headers: Any) -> tuple[int, dict[str, str], bytes]:
        """The status, headers and content of a reply."""
        self.asked.append(path)
        self.tokens[path] = headers.get("Authorization")
        is_open = path == "/metadata" or (self.public_files and path.startswith("/files/"))
        if not is_open and headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {}, b"who asks?"
        trouble = self.trouble(path)
        if trouble == "stall":
            time.sleep(60)
        if isinstance(trouble, int):
            return trouble, {"Retry-After": "0"}, b"trouble"
        if path == "/metadata":
            listed = [{"type": each} for each in (*self.resources, "Basic")]
            return _json({"resourceType": "CapabilityStatement", "rest": [{"mode": "server", "resource": listed}]})
        if path == "/$export":
            assert headers["Prefer"] == "respond-async"
            self.exported = {
                kind: [each for each in found if each["meta"]["lastUpdated"] >= query.get("_since", "")]
                for kind, found in self.resources.items() if kind in query["_type"].split(",")
            }  # fmt: skip
            self.left = self.pending
            return 202, {"Content-Location": f"{self.url}/state/1"}, b""
        if path == "/state/1":
            self.left -= 1
            return (202, {"Retry-After": "0", "X-Progress": "half"}, b"") if self.left >= 0 else _json(self._manifest())
        if path.startswith("/files/"):
            return 200, {"Content-Type": "application/fhir+ndjson"}, self._file(path.removeprefix("/files/"))
        return self._search(path.strip("/"), query)

    def _search(self, kind: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        since = query.get("_lastUpdated", "ge").removeprefix("ge")
        found = sorted(
            (each for each in self.resources[kind] if each["meta"]["lastUpdated"] >= since),
            key=lambda each: each["meta"]["lastUpdated"],
        )
        first, size = int(query.get("_from", 0)), int(query["_count"])
        links = [{"relation": "self", "url": f"{self.url}/{kind}"}]
        if first + size < len(found):
            again = urlencode({**query, "_from": first + size})
            links.append({"relation": "next", "url": f"{self.other_origin or self.url}/{kind}?{again}"})
        entries = [
            {"fullUrl": f"{self.url}/{kind}/{each['id']}", "resource": each, "search": {"mode": "match"}}
            for each in found[first : first + size]
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "link": links}
        return _json(bundle | ({"entry": entries} if entries else {}))

    def _manifest(self) -> dict[str, Any]:
        where = self.other_origin or self.url
        output = [
            {"type": kind, "url": f"{where}/files/{kind}", "count": len(found) + self.wrong_count}
            for kind, found in self.exported.items() if found
        ]  # fmt: skip
        deleted = [{"type": "Bundle", "url": f"{self.url}/files/deleted"}] if self.deleted else []
        return {
            "transactionTime": self.transaction_time, "requiresAccessToken": not self.public_files,
            "output": output, "deleted": deleted, "error": [], **self.said,
        }  # fmt: skip

    def _file(self, name: str) -> bytes:
        if self.empty_files:
            return b""
        if name == "deleted":
            entries = [{"request": {"method": "DELETE", "url": each}} for each in self.deleted]
            return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode() + b"\n"
        return b"".join(json.dumps(each).encode() + b"\n" for each in self.exported[name])


def _json(document: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/fhir+json"}, json.dumps(document).encode()


@contextmanager
def serving(server: FhirServer) -> Iterator[FhirServer]:
    """Have a server answer on the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(asked.query).items()}
            status, headers, content = server.answer(asked.path, query, self.headers)
            with suppress(OSError):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server.url = f"http://127.0.0.1:{listening.server_port}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
