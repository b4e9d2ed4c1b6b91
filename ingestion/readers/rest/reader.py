"""A source's listings as extracts: its settings, what was modified since the last load, its cursor."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import requests

from ingestion.load.extracts import Extract, Reader, SourceError, timestamp_literal
from ingestion.readers.documents import field_of, value_in
from ingestion.readers.gone import compared
from ingestion.readers.rest.authorization import authorization
from ingestion.readers.rest.client import Client
from ingestion.readers.rest.endpoint import Endpoint, endpoints
from ingestion.readers.rest.listing import ATTEMPTS, EndlessError, Listing, ShrinkingError, fetch, pending_folder
from ingestion.readers.settings import setting
from ingestion.sql import literal, quoted, utc_time

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


def is_configured(source: str) -> bool:
    """Whether SOURCES__<SOURCE>__BASE_URL (or its place in .dlt) is set."""
    return bool(setting(source, "base_url"))


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """What was modified since the last load, of each listing; all of it where a listing doesn't tell.

    Raises:
        ContractError: the contract says something of a listing that can't be followed.
        SourceError: the API doesn't answer, refuses, or answers with something else than a listing; an implausible
            share of a whole listing is gone.
    """
    for endpoint in endpoints(reader.contract):
        yield _modified(reader, endpoint) if endpoint.since_parameter else _everything(reader, endpoint)


def _client(source: str, endpoint: Endpoint) -> Client:
    return Client(
        source=source,
        endpoint=endpoint,
        base_url=str(setting(source, "base_url")),
        authorize=authorization(source, endpoint),
        page_size=int(setting(source, "page_size", 200)),
        timeout_seconds=float(setting(source, "timeout_seconds", 30)),
        max_attempts=int(setting(source, "max_attempts", 6)),
    )


def _modified(reader: Reader, endpoint: Endpoint) -> Extract:
    """The records modified since the last load, less a lag in which records may have come late."""
    source = reader.contract.name
    client = _client(source, endpoint)
    lag = timedelta(minutes=float(setting(source, "lag_minutes", 60)))
    cursor = json.loads(reader.cursors.get(endpoint.resource) or "{}").get("modified_at")
    # In whole seconds, which is what the API is asked in: what is asked for is what is compared.
    since = (datetime.fromisoformat(cursor) - lag).replace(microsecond=0, tzinfo=UTC) if cursor else None
    listing = _listing(reader, client, _written(endpoint, since) if since else None)
    _read(reader, endpoint, listing)
    # A record that moved while the listing was read was changed since it began, on a clock that may be another.
    begun = reader.observed_at.astimezone(UTC).replace(tzinfo=None) - lag
    return replace(
        _extract(reader, endpoint, listing),
        cursor=json.dumps({"modified_at": _next_cursor(reader, cursor, begun)}),
        compare_since=since or _BEGINNING,
    )


def _everything(reader: Reader, endpoint: Endpoint) -> Extract:
    """All records: those are loaded that differ from their latest version in raw, and what is gone was deleted."""
    listing = _listing(reader, _client(reader.contract.name, endpoint), None)
    _read(reader, endpoint, listing)
    return compared(reader, _extract(reader, endpoint, listing))


def _written(endpoint: Endpoint, moment: datetime) -> str:
    if endpoint.since_format == "unix":
        return str(int(moment.timestamp()))
    return moment.strftime(endpoint.since_format)


def _extract(reader: Reader, endpoint: Endpoint, listing: Listing) -> Extract:
    """What was listed, which is in `listed`."""
    return Extract(
        table=endpoint.table,
        relation=_relation(reader, endpoint),
        source_count=listing.total,
        rejects=f"""
            select to_json([null]) as record_key, cast(record as varchar) as record,
                to_json(['record:no object']) as reasons, 0 as _revision, {reader.observed} as _effective_at
            from listed where json_type(record) <> 'OBJECT'""",
        notes=_new_fields(reader, endpoint),
    )


def _listing(reader: Reader, client: Client, modified_since: str | None) -> Listing:
    """The pages of what was modified, from the API or from a load that was interrupted; gone once they are loaded."""
    # By resource: a source's second listing neither takes the first one's pages away nor takes them for its own.
    parent = reader.target.folder / "pending" / client.source / client.endpoint.resource
    folder = pending_folder(parent, client.base_url, client.page_size, modified_since)
    named = client.endpoint.named
    try:
        with requests.Session() as session:
            listing = fetch(lambda place: client.page(session, place, modified_since), folder)
    except ShrinkingError as error:
        raise SourceError(
            f"{client.source}: the listing shrank while it was read, {ATTEMPTS} times; "
            f"load again when fewer {named} are deleted"
        ) from error
    except EndlessError as error:
        shutil.rmtree(parent, ignore_errors=True)
        raise SourceError(
            f"{client.source}: the listing of {named} has no end: {error}; nothing was loaded: check that the API "
            "answers each page with its own records"
        ) from error
    reader.on_complete.append(lambda: shutil.rmtree(parent, ignore_errors=True))
    return listing


def _read(reader: Reader, endpoint: Endpoint, listing: Listing) -> None:
    """Read the pages as the temporary table `listed`: each record as JSON, its id, and when it was modified."""
    files = ", ".join(literal(str(path)) for path in listing.pages)
    columns = {column.name: column for column in endpoint.table.columns}
    modified = endpoint.table.modified_at
    updated_at = utc_time(value_in("json", columns[modified])) if modified else "cast(null as timestamp)"
    parts = [value_in("json", columns[name]) for name in endpoint.table.key]
    reader.connection.execute(f"""
        create or replace temp table listed as
        select json as record, case when {" and ".join(f"{part} is not null" for part in parts)}
                then to_json([{", ".join(parts)}]) end as id,
            timezone('UTC', {updated_at}) as updated_at
        from read_ndjson_objects([{files}])""")


def _relation(reader: Reader, endpoint: Endpoint) -> str:
    # Values of any JSON type come as their text, so that nothing is guessed and the contract judges them all.
    values = ", ".join(f"{value_in('record', column)} as {quoted(column.name)}" for column in endpoint.table.columns)
    return f"""(
        select {values}, 'U' as _operation, coalesce(epoch_us(updated_at), 0) as _revision,
            coalesce(timezone('UTC', updated_at), {reader.observed}) as _effective_at
        from (select record, updated_at as updated from listed where json_type(record) = 'OBJECT')
            as l(record, updated_at))"""


def _next_cursor(reader: Reader, cursor: str | None, begun: datetime) -> str | None:
    """The newest change that this listing can vouch for, in UTC.

    A time in the future would keep later changes from being asked for: it doesn't count. A record that was changed
    while the listing was read appears twice, first as it was; the records after its first place moved up by one, and
    one of them may have slipped from a page not read yet to a page read before. It was changed no earlier than that
    record's old time: the next load asks from there. What stands twice for good, or has no id, did not move.
    """
    row = reader.connection.execute(f"""
        with moved as (
            select min(updated_at) as first_at from listed where id is not null group by id
            having count(distinct updated_at) > 1 and max(updated_at) >= timezone('UTC', {timestamp_literal(begun)})
        )
        select timezone('UTC', least(max(updated_at), (select min(first_at) from moved)))
        from listed where updated_at <= timezone('UTC', {reader.observed})""").fetchone()
    newest: datetime | None = row[0] if row else None
    return newest.isoformat(sep=" ") if newest else cursor


def _new_fields(reader: Reader, endpoint: Endpoint) -> tuple[str, ...]:
    rows = reader.connection.execute("""
        select distinct unnest(json_keys(record)) as field from listed where json_type(record) = 'OBJECT' order by field
        """).fetchall()
    known = {field_of(column) for column in endpoint.table.columns}
    new = [str(row[0]) for row in rows if row[0] not in known]
    if not new:
        return ()
    source = reader.contract.name
    return (f"{source}: {endpoint.resource} have a new field {', '.join(new)}, which the contract doesn't know",)
