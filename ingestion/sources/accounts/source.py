"""The accounts that were modified since the last load, as an extract."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
import requests

from ingestion.load.extracts import Extract, Reader, SourceError
from ingestion.sources.accounts.client import Client
from ingestion.sources.accounts.listing import Listing, fetch, pending_folder
from ingestion.sql import literal, quoted

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


def is_configured(source: str) -> bool:
    """Whether SOURCES__ACCOUNTS__BASE_URL (or its place in .dlt) is set."""
    return bool(_setting("base_url"))


def _setting(name: str, default: Any = None) -> Any:
    key = f"sources.accounts.{name}"
    value: Any = dlt.secrets.get(key) if name == "token" else dlt.config.get(key)
    return default if value is None else value


def _client() -> Client:
    token = _setting("token")
    if not token:
        raise SourceError("accounts: SOURCES__ACCOUNTS__TOKEN is not set: set it to the API's token")
    return Client(
        base_url=str(_setting("base_url")),
        token=str(token),
        page_size=int(_setting("page_size", 200)),
        timeout_seconds=float(_setting("timeout_seconds", 30)),
        max_attempts=int(_setting("max_attempts", 6)),
    )


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The accounts modified since the last load, less a lag in which records may have come late.

    Raises:
        SourceError: the API doesn't answer, refuses, or answers with something else than a listing.
    """
    client = _client()
    lag = timedelta(minutes=float(_setting("lag_minutes", 60)))
    cursor = json.loads(reader.cursors.get("users") or "{}").get("modified_at")
    # In whole seconds, which is what the API is asked in: what is asked for is what is compared.
    since = (datetime.fromisoformat(cursor) - lag).replace(microsecond=0, tzinfo=UTC) if cursor else None
    modified_since = since.strftime("%Y-%m-%dT%H:%M:%SZ") if since else None
    parent = reader.target.folder / "pending" / "accounts"
    folder = pending_folder(parent, client.base_url, client.page_size, modified_since)
    with requests.Session() as session:
        listing = fetch(lambda number: client.page(session, number, modified_since), folder)
    reader.on_complete.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    yield _extract(reader, listing, since or _BEGINNING, cursor)


def _extract(reader: Reader, listing: Listing, since: datetime, cursor: str | None) -> Extract:
    table = reader.contract.table("users")
    files = ", ".join(literal(str(path)) for path in listing.pages)
    reader.connection.execute(f"""
        create or replace temp table listed as
        select json as record, json ->> '$.id' as id, try_cast(json ->> '$.updated_at' as timestamptz) as updated_at
        from read_ndjson_objects([{files}])""")
    reader.connection.execute("update listed set updated_at = null where not isfinite(updated_at)")
    # Values of any JSON type come as their text, so that nothing is guessed and the contract judges them all.
    values = ", ".join(
        f"nullif(cast(record -> '$.{name}' as varchar), 'null') as {name}"
        if name == "profile"
        else f"record ->> '$.{name}' as {quoted(name)}"
        for name in table.column_names
    )
    relation = f"""(
        select {values}, 'U' as _operation, epoch_us(updated_at) as _revision,
            coalesce(timezone('UTC', updated_at), {reader.observed}) as _effective_at
        from (select record, updated_at as updated from listed) as l(record, updated_at))"""
    return Extract(
        table=table,
        relation=relation,
        source_count=listing.total,
        cursor=json.dumps({"modified_at": _next_cursor(reader, cursor)}),
        compare_since=since,
        notes=_new_fields(reader, table.column_names),
    )


def _next_cursor(reader: Reader, cursor: str | None) -> str | None:
    """The newest change that this listing can vouch for, in UTC.

    A time in the future would keep later changes from being asked for: it doesn't count. A record that was changed
    while the listing was read appears twice, first as it was; the records after its first place moved up by one, and
    one of them may have slipped from a page not read yet to a page read before. It was changed no earlier than that
    record's old time: the next load asks from there.
    """
    row = reader.connection.execute(f"""
        with moved as (
            select min(updated_at) as first_at from listed group by id having count(distinct updated_at) > 1
        )
        select timezone('UTC', least(max(updated_at), (select min(first_at) from moved)))
        from listed where updated_at <= timezone('UTC', {reader.observed})""").fetchone()
    newest: datetime | None = row[0] if row else None
    return newest.isoformat(sep=" ") if newest else cursor


def _new_fields(reader: Reader, known: list[str]) -> tuple[str, ...]:
    rows = reader.connection.execute("""
        select distinct unnest(json_keys(record)) as field from listed where json_type(record) = 'OBJECT' order by field
        """).fetchall()
    new = [str(row[0]) for row in rows if row[0] not in known]
    return (f"accounts: users have a new field {', '.join(new)}, which the contract doesn't know",) if new else ()
