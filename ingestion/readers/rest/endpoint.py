"""What a source's contract says of an API's listings: where they lie, and how they speak of pages and of time."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from ingestion.contract.contracts import ContractError, Source, Table, contract_file
from ingestion.readers.settings import require_choice, said

# How a listing is paged: by numbers from `first_page`, by how many records to skip, by a token that a page gives for
# the next, by a link to the next (in the reply, else in the header Link); `none`: one reply has all.
PAGINGS = ("page", "offset", "cursor", "link", "none")
# How the API is told who asks: see README.md.
AUTHS = ("bearer", "header", "basic", "oauth2", "none")


@dataclass(frozen=True)
class Endpoint:
    """The listing that fills a table: `config.meta.rest` of the table, over that of the source.

    path: below the API's address.
    entities: what its records are, in the plural, for messages; the table's name where empty.
    parameters: what else is asked for.
    records: where a reply has the list of records (see `documents.parsed`).
    records_may_lack: a reply without that field has no records.
    as_written: a number that would be written otherwise, such as 2.50, is a text in the records.
    paging: one of PAGINGS.
    page_parameter, size_parameter: the query's names for a page's number, offset or token, and for its size; the size
        is left out where empty.
    first_page: the number of the first page.
    next: where a reply has the token of the next page or the link to it (see `documents.field`).
    page, pages, total: where a reply has its number, how many pages there are, how many records in all; empty where
        it doesn't say.
    since_parameter: the query's name for the time from which on modified records are wanted. Where empty, all records
        are asked for, and compared with raw.
    since_format: how that time is written, `unix` for seconds since 1970.
    auth, auth_header: how the API is told who asks, and in which header a key stands.
    """

    table: Table
    path: str = ""
    entities: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    records: str = "data"
    records_may_lack: bool = False
    as_written: bool = False
    paging: str = "page"
    page_parameter: str = "page"
    size_parameter: str = "page_size"
    first_page: int = 1
    next: str = ""
    page: str = ""
    pages: str = ""
    total: str = ""
    since_parameter: str = ""
    since_format: str = "%Y-%m-%dT%H:%M:%SZ"
    auth: str = "bearer"
    auth_header: str = "X-API-Key"

    @property
    def resource(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def named(self) -> str:
        """What its records are, for messages."""
        return self.entities or self.table.name


def endpoints(contract: Source) -> list[Endpoint]:
    """The listings of a source's tables, in the contract's order.

    Raises:
        ContractError: the contract says something of them that can't be followed.
    """
    return [_endpoint(contract, table) for table in contract.tables]


def _endpoint(contract: Source, table: Table) -> Endpoint:
    where = f"{contract_file(contract.name)}: {table.name}"
    options = said(contract, table, "rest", {each.name for each in fields(Endpoint)} - {"table"})
    endpoint = Endpoint(table, **options)
    require_choice(where, "paging", endpoint.paging, PAGINGS)
    require_choice(where, "auth", endpoint.auth, AUTHS)
    if not endpoint.path.startswith("/"):
        raise ContractError(
            f"{where}: config.meta.rest.path is '{endpoint.path}': say where it lies, such as /v1/users"
        )
    if endpoint.paging == "cursor" and not endpoint.next:
        raise ContractError(f"{where}: paging by cursor needs next, the field of a reply with the next page's token")
    if endpoint.since_parameter and not table.modified_at:
        raise ContractError(
            f"{where}: it is asked for what was modified since (since_parameter), and none of its columns says when a "
            "record was: name it in config.meta.modified_at"
        )
    return endpoint
