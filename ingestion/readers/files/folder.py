"""The folder or bucket that the files are delivered to: what lies there, and a copy to read in peace."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.storages.configuration import FilesystemConfiguration
from dlt.common.storages.fsspec_filesystem import MTIME_DISPATCH, fsspec_from_config, glob_files

from ingestion.destination.target import Target
from ingestion.load.extracts import SourceError, first_line
from ingestion.readers.settings import variable

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Delivered:
    """A file as it lies in the folder.

    name: its path below the folder.
    url: the path or URL to open it by.
    modified_at: in UTC.
    """

    name: str
    url: str
    size_bytes: int
    modified_at: datetime

    @property
    def revision(self) -> int:
        """The time of the file in microseconds since 1970."""
        return microseconds(self.modified_at)


@dataclass(frozen=True)
class Folder:
    """A source's folder, opened; dlt says how it is reached. `path` is that of a folder of this machine."""

    source: str
    url: str
    filesystem: Any
    path: str | None = None


def microseconds(moment: datetime) -> int:
    """A time in whole microseconds since 1970-01-01 UTC."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def open_folder(source: str, url: str) -> Folder:
    """Open a source's folder by its path, `file://` URL or the URL of an object store, with dlt's own settings for it.

    Raises:
        SourceError: there is no such folder, or what reads that kind of store isn't installed or lets nobody in.
    """
    path = None
    try:
        if FilesystemConfiguration.parse_protocol(url) == "file":
            is_url = url.startswith("file:")
            path = FilesystemConfiguration.make_local_path(url) if is_url else str(Path(url).absolute())
            filesystem = fsspec.filesystem("file")
        else:
            configuration = resolve_configuration(FilesystemConfiguration(bucket_url=url), sections=("sources", source))
            filesystem, _ = fsspec_from_config(configuration)
    except Exception as error:
        raise SourceError(
            f"{source}: {url} can't be opened: {first_line(error)}; check {variable(source, 'bucket_url')} and "
            f"{variable(source, 'credentials')}__…"
        ) from error
    if path and not Path(path).is_dir():
        raise SourceError(f"{source}: there is no folder {url}: check {variable(source, 'bucket_url')}")
    return Folder(source, url, filesystem, path)


def list_files(folder: Folder, patterns: Sequence[str]) -> tuple[list[Delivered], list[str]]:
    """All files of the folder whose path below it matches a glob, by time and name, and the links that lead nowhere.

    Raises:
        SourceError: the folder can't be listed.
    """
    try:
        listed = [
            _list_local(folder, pattern) if folder.path else (_list_remote(folder, pattern), []) for pattern in patterns
        ]
    except Exception as error:
        raise SourceError(
            f"{folder.source}: the files in {folder.url} can't be listed: {first_line(error)}; "
            "check that it may be read"
        ) from error
    found = {file.name: file for files, _ in listed for file in files}
    dangling = [name for _, names in listed for name in names]
    return sorted(found.values(), key=lambda file: (file.modified_at, file.name)), dangling


def _list_remote(folder: Folder, pattern: str) -> list[Delivered]:
    return [
        Delivered(item["relative_path"], item["file_url"], item["size_in_bytes"], _utc(item["modification_date"]))
        for item in glob_files(folder.filesystem, folder.url, pattern)
    ]


def _list_local(folder: Folder, pattern: str) -> tuple[list[Delivered], list[str]]:
    """The folder's files and its dangling links, by their names.

    dlt would name the files by URLs, by which fsspec doesn't find those with a blank or a `#` again.
    """
    found, dangling = [], []
    # Unlike a Path's, this one leaves out hidden files: somebody is writing them.
    for name in glob.glob(pattern, root_dir=folder.path, recursive=True):  # noqa: PTH207
        path = Path(str(folder.path), name)
        # A name may be of bytes that are no text.
        shown = name.encode("utf-8", "backslashreplace").decode()
        try:
            info = path.stat()
        except FileNotFoundError:
            dangling.append(shown)
            continue
        if path.is_file():
            modified_at = datetime.fromtimestamp(info.st_mtime, UTC)
            found.append(Delivered(shown, str(path), info.st_size, modified_at))
    return found, dangling


def copy_file(folder: Folder, file: Delivered, to: Path) -> str | None:
    """Copy a file, so that what is verified is what is read.

    Where `to` holds the beginning of this version of the file, left by a load that was interrupted, the copy goes on
    from there: the first bytes are not asked for again.

    Returns:
        The MD5 of its bytes; None where the file is no longer what was listed, because somebody is writing it. What
        was copied of it is taken away then.
    """
    filesystem = folder.filesystem
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with to.open("a+b") as copy:
            copy.seek(0)
            while chunk := copy.read(_CHUNK):
                digest.update(chunk)
            if copy.tell() < file.size_bytes:
                with filesystem.open(file.url, "rb") as original:
                    original.seek(copy.tell())
                    while chunk := original.read(_CHUNK):
                        digest.update(chunk)
                        copy.write(chunk)
        now = filesystem.info(file.url)
    except FileNotFoundError:
        to.unlink(missing_ok=True)
        return None
    except Exception as error:
        raise SourceError(
            f"{folder.source}: {file.name} can't be read: {first_line(error)}; check that it may be read. "
            "What was read is kept, and the next load goes on from there"
        ) from error
    protocol = "file" if folder.path else file.url.split("://", 1)[0]
    same = (now["size"], _utc(MTIME_DISPATCH[protocol](now) or file.modified_at)) == (file.size_bytes, file.modified_at)
    if same and to.stat().st_size == file.size_bytes:
        return digest.hexdigest()
    to.unlink()
    return None


def copies_folder(target: Target, source: str, wanted: Sequence[Delivered]) -> Path:
    """Where a source's copies wait until their load is complete; those no longer wanted are taken away."""
    folder = target.folder / "pending" / source
    folder.mkdir(parents=True, exist_ok=True)
    names = {copy_name(file) for file in wanted}
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()
    return folder


def copy_name(file: Delivered) -> str:
    """The name of the copy of one version of a file: another version has another."""
    digest = hashlib.md5(file.name.encode(), usedforsecurity=False).hexdigest()
    return f"{digest}_{file.size_bytes}_{file.revision}{'.gz' if file.name.lower().endswith('.gz') else ''}"


def _utc(moment: datetime) -> datetime:
    return datetime.fromtimestamp(0, UTC) + (moment - datetime.fromtimestamp(0, UTC))
