"""A source's resources as extracts: from the files of a folder, or from a server."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ingestion.contract.contracts import Source
from ingestion.load.extracts import Extract, Reader, SourceError
from ingestion.load.watching import Looked, Watch, glance
from ingestion.readers.fhir.delivery import from_folder
from ingestion.readers.fhir.server import from_server
from ingestion.readers.files.folder import open_folder
from ingestion.readers.settings import setting, variable


def is_configured(source: str) -> bool:
    """Whether SOURCES__<SOURCE>__BUCKET_URL or SOURCES__<SOURCE>__URL (or its place in .dlt) is set."""
    return bool(setting(source, "bucket_url") or setting(source, "url"))


def watch(contract: Source) -> Watch | None:
    """What waits for files in a folder of this machine; None for an object store or a server, which has to be asked.

    Raises:
        SourceError: there is no such folder.
    """
    url = setting(contract.name, "bucket_url")
    path = open_folder(contract.name, str(url)).path if url else None
    return Looked(lambda: glance(Path(path).rglob("*")), settles=True) if path else None


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The resources that are new or changed since the last load, by type.

    Raises:
        ContractError: the contract says something of them that can't be followed.
        SourceError: the folder or the server can't be read. A file that can't be is a reject, and the others go on.
    """
    source = reader.contract.name
    if setting(source, "bucket_url") and setting(source, "url"):
        raise SourceError(
            f"{source}: {variable(source, 'bucket_url')} and {variable(source, 'url')} are set: a source is a folder "
            "or a server: unset one, or give the server a source of its own"
        )
    yield from from_server(reader) if setting(source, "url") else from_folder(reader)
