"""A FHIR server's resources: asked type by type for what was changed since, or for an export of all of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import requests

from ingestion.contract.contracts import Table
from ingestion.load.extracts import Extract, Reader, SourceError, no_rows
from ingestion.readers.documents import field, parsed
from ingestion.readers.fhir.contents import entered
from ingestion.readers.fhir.elements import Resources, resources_of
from ingestion.readers.fhir.export import exported
from ingestion.readers.fhir.resources import Lines, extracts_of, read
from ingestion.readers.files.folder import microseconds
from ingestion.readers.files.layout import file_table
from ingestion.readers.rest.authorization import authorization
from ingestion.readers.rest.client import Client, Page, Place, ReplyError
from ingestion.readers.rest.endpoint import Endpoint
from ingestion.readers.rest.listing import ATTEMPTS, EndlessError, ShrinkingError, fetch, pending_folder
from ingestion.readers.settings import setting, variable
from ingestion.sql import literal

MODES = ("search", "export")
ACCEPT = {"Accept": "application/fhir+json"}
# The dialect of a search: https://hl7.org/fhir/R4/search.html.
_SEARCH = {
    "parameters": {"_sort": "_lastUpdated"}, "records": "entry", "records_may_lack": True, "as_written": True,
    "paging": "link", "size_parameter": "_count", "next": "link[relation=next].url",
    "since_parameter": "_lastUpdated", "since_format": "ge%Y-%m-%dT%H:%M:%SZ",
}  # fmt: skip


def from_server(reader: Reader) -> Generator[Extract, None, None]:
    """What a server has that is new or changed since the last load, by type.

    Raises:
        ContractError: the contract says something of it that can't be followed.
        SourceError: the server doesn't answer, refuses, or answers with something else.
    """
    source, (typed, others) = reader.contract.name, resources_of(reader.contract)
    mode = str(setting(source, "mode", MODES[0]))
    if mode not in MODES:
        raise SourceError(f"{source}: {variable(source, 'mode')} is '{mode}': use one of {', '.join(MODES)}")
    with requests.Session() as session:
        session.headers.update(ACCEPT)
        client = _client(source, others, {})
        there = _types(client, session)
        asked = [each for each in typed if each.type in there]
        note = f"{source}: the server has also {', '.join(sorted(there - {each.type for each in typed}))}"
        notes = (f"{note}, which have no table and aren't asked for",) if there - {each.type for each in typed} else ()
        if mode == "export":
            yield from _exported(reader, client, session, asked, typed, others, notes)
        else:
            yield from _searched(reader, session, asked, typed, others, notes)


def _client(source: str, table: Table, options: dict[str, object]) -> Client:
    auth = "bearer" if setting(source, "token", secret=True) else "none"
    auth = "oauth2" if setting(source, "client_id", secret=True) else auth
    endpoint = Endpoint(table, auth=auth, **options)  # type: ignore[arg-type]
    return Client(
        source=source,
        endpoint=endpoint,
        base_url=str(setting(source, "url")).rstrip("/"),
        authorize=authorization(source, endpoint),
        page_size=int(setting(source, "page_size", 200)),
        timeout_seconds=float(setting(source, "timeout_seconds", 30)),
        max_attempts=int(setting(source, "max_attempts", 6)),
        address="url",
    )


def _types(client: Client, session: requests.Session) -> set[str]:
    """The types of resources that the server says it has, in its CapabilityStatement.

    Raises:
        ReplyError: it says nothing of the kind.
    """
    response = client.get(session, f"{client.base_url}/metadata", {})
    try:
        statement = parsed(response.content, "rest")
        listed = [each for rest in field(statement, "rest") for each in rest.get("resource") or ()]
        found = {str(each["type"]) for each in listed}
    except (KeyError, TypeError, ValueError, AttributeError):
        found = set()
    if response.status_code != 200 or not found:
        raise ReplyError(
            f"{client.source}: {client.base_url}/metadata came back as {response.status_code}, and names no types of "
            f"resources: check that {variable(client.source, 'url')} is the base address of a FHIR server"
        )
    return found


def _searched(
    reader: Reader,
    session: requests.Session,
    asked: Sequence[Resources],
    typed: Sequence[Resources],
    others: Table,
    notes: tuple[str, ...],
) -> Generator[Extract, None, None]:
    """What was changed since the newest change that the last load saw, less a lag in which some may have come late."""
    lines, cursors = list[Lines](), dict[str, str]()
    lag = timedelta(minutes=float(setting(reader.contract.name, "lag_minutes", 60)))
    for each in asked:
        cursor = json.loads(reader.cursors.get(each.table.name) or "{}").get("updated_at")
        since = (datetime.fromisoformat(cursor) - lag).replace(microsecond=0, tzinfo=UTC) if cursor else None
        client = _client(reader.contract.name, each.table, {"path": f"/{each.type}", "entities": each.type, **_SEARCH})
        lines += _pages(reader, client, session, since)
        cursors[each.table.name] = json.dumps({"updated_at": cursor})
    read(reader.connection, lines)
    for each in asked:
        # A time in the future would keep later changes from being asked for.
        newest = reader.connection.execute(f"""
            select max(updated_at) from told
            where type = {literal(each.type)} and updated_at <= {reader.observed}""").fetchone()
        if newest and newest[0]:
            cursors[each.table.name] = json.dumps({"updated_at": newest[0].isoformat(sep=" ")})
    for extract in extracts_of(reader, typed, others, cursors):
        yield replace(extract, notes=(*notes, *extract.notes))
        notes = ()


def _pages(reader: Reader, client: Client, session: requests.Session, since: datetime | None) -> list[Lines]:
    """The pages of a type, from the server or from a load that was interrupted; gone once they are loaded."""
    endpoint, source = client.endpoint, client.source
    modified_since = since.strftime(endpoint.since_format) if since else None
    parent = reader.target.folder / "pending" / source / endpoint.resource
    folder = pending_folder(parent, client.base_url, client.page_size, modified_since)

    def page(place: Place) -> Page:
        found = client.page(session, place, modified_since)
        entries = [entered({}, entry) for entry in found.records]
        return replace(found, records=[each for each in entries if each is not None])

    try:
        listing = fetch(page, folder)
    except (ShrinkingError, EndlessError) as error:
        shutil.rmtree(parent, ignore_errors=True)
        raise SourceError(
            f"{source}: the pages of {endpoint.named} have no end: {error or f'{ATTEMPTS} times'}; nothing was loaded: "
            "check that the server answers each page with its own resources"
        ) from error
    reader.on_complete.append(lambda: shutil.rmtree(parent, ignore_errors=True))
    at = reader.observed_at
    return [
        Lines(path, f"{endpoint.named}, page {number}", at, microseconds(at), is_marked=True)
        for number, path in enumerate(listing.pages, start=1)
        if path.stat().st_size
    ]


def _exported(
    reader: Reader,
    client: Client,
    session: requests.Session,
    asked: Sequence[Resources],
    typed: Sequence[Resources],
    others: Table,
    notes: tuple[str, ...],
) -> Generator[Extract, None, None]:
    """What an export has: all, or what was changed or deleted since the last one that was loaded."""
    files = file_table(reader.contract)
    since = json.loads(reader.cursors.get(files.name) or "{}").get("transaction_time")
    found = exported(reader, client, session, [each.type for each in asked], since)
    read(reader.connection, found.lines)
    # Where it reads to is kept with the table of files, of which it brings none.
    columns = {column.name: column.data_type for column in files.columns}
    given = {"_operation": "text", "_revision": "bigint", "_effective_at": "timestamp"}
    cursor = json.dumps({"transaction_time": found.transaction_time})
    yield Extract(files, f"({no_rows(columns | given)})", 0, cursor=cursor, notes=(*notes, *found.notes))
    yield from extracts_of(reader, typed, others)
