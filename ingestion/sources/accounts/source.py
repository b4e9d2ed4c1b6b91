"""The accounts service's listing of users, and which of their fields becomes which column."""

from __future__ import annotations

from collections.abc import Generator

from ingestion.load.extracts import Extract, Reader
from ingestion.readers.rest import Endpoint, Reply, extract

USERS = Endpoint(
    resource="users",
    entities="accounts",
    path="/v1/users",
    page_parameter="page",
    size_parameter="page_size",
    since_parameter="modified_since",
    reply=Reply(records="data", page="page", pages="pages", total="total"),
    id="id",
    modified_at="updated_at",
    documents=frozenset({"profile"}),
)


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The accounts modified since the last load. The contract names its columns as the API names its fields.

    Raises:
        SourceError: the API doesn't answer, refuses, or answers with something else than a listing.
    """
    yield extract(reader, USERS, {name: name for name in reader.contract.table(USERS.resource).column_names})
