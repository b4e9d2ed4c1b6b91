"""What a source's package declares of an API's listing: where it lies, and how it speaks of pages and of time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reply:
    """The fields of a page: the list of its records, its number, how many pages there are, how many records in all."""

    records: str
    page: str
    pages: str
    total: str


@dataclass(frozen=True)
class Endpoint:
    """A listing by page number, from 1, which can be asked for what was modified at or after a time.

    resource: the table of the contract that it fills.
    entities: what its records are, in the plural, for messages.
    path: its path below the API's address.
    page_parameter, size_parameter, since_parameter: the query's names for a page's number and size, and for the time.
    reply: the shape of a page.
    id: the field that names a record.
    modified_at: the field that says when a record was modified last, ISO 8601.
    documents: the fields that are kept as JSON, whatever they hold; of the others, their values' text.
    """

    resource: str
    entities: str
    path: str
    page_parameter: str
    size_parameter: str
    since_parameter: str
    reply: Reply
    id: str
    modified_at: str
    documents: frozenset[str] = field(default_factory=frozenset)
