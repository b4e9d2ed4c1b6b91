"""The accounts API over HTTP, and the faults that it can be told to show."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from ingestion.demo.clock import DAY, UNIX_OFFSET, iso

from .folder import last_state

MAXIMUM_PAGE_SIZE = 1000
FaultKind = Literal["429", "500", "503", "timeout", "disconnect", "html", "truncated"]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong once.

    It strikes the first request that fits: the `request`-th (from 1) or later, and for that `page`, where given.
    Faults are tried in their order, and a request meets at most one. Only authorised requests count.

    429, 500, 503: that status, with Retry-After (429, 503); timeout: no answer for `seconds`, then the connection
    closes; disconnect: the connection closes in the middle of the body; html: a page of HTML, status 200; truncated:
    a whole reply whose JSON stops in the middle.
    """

    kind: FaultKind
    request: int | None = None
    page: int | None = None
    retry_after: int = 0  # seconds
    seconds: float = 5.0


# What every run of `serve` shows: too many requests once, unavailable once.
DEFAULT_FAULTS = (Fault("429", request=1), Fault("503", request=2))


class AccountsServer(ThreadingHTTPServer):
    """The API's server: where the records are, who may read them, and the faults still to come."""

    daemon_threads = True

    def __init__(self, database: Path, token: str, faults: Sequence[Fault]) -> None:
        """Bind to a free port on the loopback interface."""
        super().__init__(("127.0.0.1", 0), AccountsHandler)
        self.database = database
        self.token = token
        self.requests = 0
        self._faults = list(faults)
        self._lock = threading.Lock()
        self.closing = threading.Event()

    def next_fault(self, page: int) -> Fault | None:
        """Count a request and take the fault that strikes it."""
        with self._lock:
            self.requests += 1
            for fault in self._faults:
                if (fault.request is None or self.requests >= fault.request) and fault.page in (None, page):
                    self._faults.remove(fault)
                    return fault
        return None


class AccountsHandler(BaseHTTPRequestHandler):
    """Answers GET /v1/users."""

    protocol_version = "HTTP/1.1"
    server: AccountsServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Say nothing: standard error is for the simulator's progress."""

    def do_GET(self) -> None:
        """Answer one request, or show the fault that strikes it."""
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._reply(401, {"error": "unauthorized", "message": "Send the header `Authorization: Bearer <token>`."})
            return
        url = urlsplit(self.path)
        if url.path != "/v1/users":
            self._reply(404, {"error": "not_found", "message": "There is only /v1/users."})
            return
        try:
            since, page, page_size = _parameters(url.query)
        except ValueError as error:
            self._reply(400, {"error": "bad_request", "message": str(error)})
            return
        fault = self.server.next_fault(page)
        if fault and fault.kind in ("429", "500", "503"):
            after = {} if fault.kind == "500" else {"Retry-After": str(fault.retry_after)}
            self._reply(int(fault.kind), {"error": f"fault_{fault.kind}", "message": "Try again."}, after)
        elif fault and fault.kind == "timeout":
            # Waits in steps, so that the server can be stopped meanwhile.
            self.server.closing.wait(fault.seconds)
            self.close_connection = True
        elif fault and fault.kind == "html":
            self._send(200, b"<!doctype html><title>Maintenance</title><p>We will be back soon.</p>", "text/html")
        else:
            body = _encoded(_page(self.server.database, since, page, page_size))
            if fault and fault.kind == "truncated":
                self._send(200, body[: len(body) // 2])
            elif fault:
                self._send(200, body, sent=len(body) // 2)
            else:
                self._send(200, body)

    def _reply(self, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send(status, _encoded(content), headers=headers)

    def _send(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        sent: int | None = None,
    ) -> None:
        """Send a reply; `sent`: close the connection after so many bytes of the body."""
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:sent])
        if sent is not None:
            self.close_connection = True


def _encoded(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _parameters(query: str) -> tuple[int | None, int, int]:
    """modified_since (Unix time), page and page_size of a query. Raises ValueError."""
    values = {name: texts[-1] for name, texts in parse_qs(query).items()}
    since = None
    if "modified_since" in values:
        # A plus that was not escaped arrives as a blank.
        moment = datetime.fromisoformat(
            values["modified_since"].replace(" ", "+" if "T" in values["modified_since"] else " ")
        )
        since = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    page, page_size = int(values.get("page", "1")), int(values.get("page_size", "200"))
    if page < 1 or not 1 <= page_size <= MAXIMUM_PAGE_SIZE:
        raise ValueError(f"page starts at 1, page_size is 1 to {MAXIMUM_PAGE_SIZE}.")
    return since, page, page_size


def _page(database: Path, since: int | None, page: int, page_size: int) -> dict[str, Any]:
    """One page of the listing, ordered by time of change, then number."""
    earliest = 0 if since is None else since - UNIX_OFFSET
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "select document, copies from records where updated_at >= ? order by updated_at, number", (earliest,)
        )
        documents = [document for document, copies in rows for _ in range(copies)]
    return {
        "data": [json.loads(document) for document in documents[(page - 1) * page_size : page * page_size]],
        "page": page,
        "page_size": page_size,
        "pages": max(1, -(-len(documents) // page_size)),
        "total": len(documents),
    }


@contextmanager
def serving(folder: Path | str, faults: Sequence[Fault | Mapping[str, Any]] | None = None) -> Iterator[dict[str, str]]:
    """Serve the folder's accounts API from a thread; yields the environment variables that point the sources at it.

    `faults` are Fault or dicts of its fields; None means DEFAULT_FAULTS, an empty list none.
    Raises DemoError when the folder holds no simulated days.
    """
    root = Path(folder).absolute()
    company = last_state(root)
    chosen = (
        DEFAULT_FAULTS
        if faults is None
        else [fault if isinstance(fault, Fault) else Fault(**fault) for fault in faults]
    )
    token = hashlib.sha256(f"granary demo {company.seed}".encode()).hexdigest()[:32]
    server = AccountsServer(root / "accounts.sqlite", token, chosen)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield {
            "SOURCES__SHOP__CREDENTIALS": f"sqlite:///{root / 'shop.sqlite'}",
            "SOURCES__ACCOUNTS__BASE_URL": f"http://127.0.0.1:{server.server_port}",
            "SOURCES__ACCOUNTS__TOKEN": token,
            "SOURCES__RETAIL__BUCKET_URL": str(root / "retail"),
            "GRANARY_OBSERVED_AT": iso(company.days * DAY),
        }
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
