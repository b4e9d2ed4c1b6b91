"""A server's export in bulk: asked for, waited for, fetched file by file, each step kept so that it goes on from there.

The protocol: https://hl7.org/fhir/uv/bulkdata/export.html.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from ingestion.load.extracts import Reader, SourceError
from ingestion.readers.fhir.contents import delivered
from ingestion.readers.fhir.resources import Lines
from ingestion.readers.files.folder import microseconds
from ingestion.readers.files.verification import BadFileError
from ingestion.readers.rest.client import Client, ReplyError
from ingestion.readers.rest.waiting import LONGEST_WAIT, retry_after
from ingestion.readers.settings import setting, variable

LONGEST_AGE = 24 * 3600.0  # seconds for which a server is believed to keep an export that was begun
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_GONE = (404, 410)


@dataclass(frozen=True)
class Export:
    """An export's files of resources, and of which moment of the server it is."""

    lines: list[Lines]
    transaction_time: str
    notes: tuple[str, ...]


class _GoneError(Exception):
    """The server has no longer what it was asked for before."""


def exported(
    reader: Reader, client: Client, session: requests.Session, types: Sequence[str], since: str | None
) -> Export:
    """An export of these types, from the server or from where a load that was interrupted stopped.

    Args:
        reader: what a load works with.
        client: asks the server.
        session: to ask with.
        types: the types of resources.
        since: the moment of the export before, which this one goes on from.

    Raises:
        SourceError: the server doesn't answer, refuses, answers with something else, or isn't done in time.
    """
    folder = reader.target.folder / "pending" / client.source / "export"
    path = str(setting(client.source, "export_path", "/$export"))
    query = {
        "_type": ",".join(types),
        "_outputFormat": "application/fhir+ndjson",
        **({"_since": since} if since else {}),
    }
    request = {"url": client.base_url + path, **query}
    state = _State.of(folder, request)
    try:
        try:
            manifest = _manifest(client, session, state, query)
            fetched = _files(client, session, state, manifest)
        except _GoneError:
            # What was begun before is gone: once more from the beginning.
            state = _State.begun(folder, request)
            manifest = _manifest(client, session, state, query)
            fetched = _files(client, session, state, manifest)
    except _GoneError as error:
        raise SourceError(
            f"{client.source}: the server has no longer what it exported ({error}); load again"
        ) from error
    reader.on_complete.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    moment = _moment(client, manifest)
    return Export(
        [line for file, count, name in fetched if (line := _lines(reader, client, file, count, name, moment))],
        str(manifest["transactionTime"]),
        _errors(client, manifest),
    )


@dataclass
class _State:
    """How far an export has come: `state.json` in its folder, which also holds what was fetched."""

    folder: Path
    told: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, request: dict[str, Any]) -> _State:
        """That of an interrupted load which asked for the same, else a new one."""
        try:
            told = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            if told["request"] == request and time.time() - told["at"] < LONGEST_AGE:
                return cls(folder, told)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return cls.begun(folder, request)

    @classmethod
    def begun(cls, folder: Path, request: dict[str, Any]) -> _State:
        """A new one."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return cls(folder, {"request": request, "at": time.time()})

    def keep(self, name: str, value: Any) -> None:
        """Note a step that is done."""
        self.told[name] = value
        note = self.folder / "state.json.new"
        note.write_text(json.dumps(self.told), encoding="utf-8")
        note.replace(self.folder / "state.json")


def _manifest(client: Client, session: requests.Session, state: _State, query: dict[str, str]) -> dict[str, Any]:
    if "manifest" in state.told:
        return dict(state.told["manifest"])
    if "status" not in state.told:
        state.keep("status", _kick_off(client, session, state.told["request"]["url"], query))
    manifest = _awaited(client, session, state.told["status"])
    state.keep("manifest", manifest)
    return manifest


def _kick_off(client: Client, session: requests.Session, url: str, query: dict[str, str]) -> str:
    """Ask for an export. Returns the address by which the server tells how far it is."""
    response = client.get(session, url, query, headers={"Prefer": "respond-async"})
    location = response.headers.get("Content-Location", "")
    if response.status_code != 202 or not location:
        raise ReplyError(
            f"{client.source}: {url} answers an export's request with {response.status_code}"
            f"{'' if location else ' and no Content-Location'}: check that the server exports, and that "
            f"{variable(client.source, 'export_path')} (such as /Group/1/$export) says what"
        )
    return client.own(urljoin(url, location), "the state of the export")


def _awaited(client: Client, session: requests.Session, status: str) -> dict[str, Any]:
    """Ask until the export is done, as seldom as the server wants it. Returns its manifest."""
    hours = float(setting(client.source, "export_hours", 12))
    until, wait = time.monotonic() + 3600 * hours, _FIRST_WAIT
    while True:
        response = client.get(session, status, {}, headers={"Accept": "application/json"})
        if response.status_code in _GONE:
            raise _GoneError(status)
        if response.status_code == 200:
            break
        if response.status_code != 202:
            raise ReplyError(f"{client.source}: the export ended with {response.status_code}; nothing was loaded")
        asked = retry_after(response)
        seconds = wait if asked is None else min(asked, LONGEST_WAIT)
        if time.monotonic() + seconds > until:
            raise SourceError(
                f"{client.source}: the export isn't done after {hours:g} hours; load again, and it is asked for on: or "
                f"set {variable(client.source, 'export_hours')} to more"
            )
        client.wait(seconds)
        wait = min(2 * wait, _LONGEST_WAIT)
    try:
        manifest = response.json()
    except ValueError:
        manifest = None
    if not _is_sound(manifest):
        raise ReplyError(
            f"{client.source}: the export's manifest lacks transactionTime, output, or the address of a file"
        )
    _moment(client, manifest)
    return dict(manifest)


def _is_sound(manifest: Any) -> bool:
    """Whether a manifest has what is asked of it later: it is kept for a day, and the server isn't asked again."""
    if not isinstance(manifest, dict) or not manifest.get("transactionTime"):
        return False
    lists: list[Any] = [manifest.get("output"), manifest.get("deleted") or [], manifest.get("error") or []]
    if not all(isinstance(each, list) for each in lists):
        return False
    output, deleted, _ = lists
    return all(isinstance(each, dict) and isinstance(each.get("url"), str) for each in (*output, *deleted))


def _files(
    client: Client, session: requests.Session, state: _State, manifest: dict[str, Any]
) -> list[tuple[Path, int | None, str]]:
    """The files of a manifest: where each lies, how many resources it should have, what it is called."""
    found = []
    listed = [*manifest["output"], *(manifest.get("deleted") or ())]
    for number, each in enumerate(listed, start=1):
        path = state.folder / f"{number:04}.ndjson"
        name = f"file {number} of the export ({each.get('type')})"
        if not path.exists():
            _fetch(client, session, each["url"], path, name, bool(manifest.get("requiresAccessToken")))
        count = each.get("count")
        found.append((path, count if isinstance(count, int) else None, name))
    return found


def _fetch(client: Client, session: requests.Session, url: str, to: Path, name: str, needs_token: bool) -> None:
    """Fetch a file whole; who asks is said only where the server wants to know, and to the server itself."""
    address = urljoin(client.base_url + "/", url)
    if urlsplit(address).scheme not in ("http", "https"):
        raise ReplyError(f"{client.source}: {name} has no address of the web")
    if needs_token:
        client.own(address, name)
    part = to.with_suffix(".part")
    authorize = client.authorize if needs_token else lambda request: request
    headers = {"Accept": "application/fhir+ndjson"}
    response = client.get(session, address, {}, headers=headers, to=part, authorize=authorize)
    if response.status_code in _GONE:
        raise _GoneError(name)
    if response.status_code != 200:
        raise ReplyError(f"{client.source}: {name} came back as {response.status_code}; nothing was loaded")
    part.replace(to)


def _lines(reader: Reader, client: Client, path: Path, count: int | None, name: str, moment: datetime) -> Lines | None:
    """A fetched file as lines; None where it has none."""
    if not path.stat().st_size and not count:
        return None
    try:
        lines, content = delivered(path, path.name, reader.workspace / f"{path.name}.lines")
    except BadFileError as error:
        shutil.rmtree(path.parent)
        raise SourceError(
            f"{client.source}: {name} is not sound: {error}; nothing was loaded: load again, and it is exported anew"
        ) from error
    if content.is_miscounted(count):
        shutil.rmtree(path.parent)
        raise SourceError(
            f"{client.source}: the manifest counts {count:,} resources in {name}, and it has {content.record_count:,}; "
            "nothing was loaded: load again, and it is exported anew"
        )
    return Lines(lines, name, moment, microseconds(moment), content.kind == "bundle") if content.record_count else None


def _moment(client: Client, manifest: dict[str, Any]) -> datetime:
    """Of which moment of the server an export is, in UTC, which is also meant where no zone is said.

    Raises:
        ReplyError: it says none.
    """
    try:
        moment = datetime.fromisoformat(str(manifest["transactionTime"]))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ReplyError(f"{client.source}: the export's transactionTime is no time") from None


def _errors(client: Client, manifest: dict[str, Any]) -> tuple[str, ...]:
    files = len(manifest.get("error") or ())
    return (f"{client.source}: the server tells of errors in its export, in {files} files",) if files else ()
