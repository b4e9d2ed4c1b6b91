"""Whether what is kept lies encrypted: by a key of Granary's, and on a disk that the system encrypts (dm-crypt)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import psycopg2

from ingestion.destination.target import Target
from ingestion.keys import KEY, files_key

SYS, MOUNTS = Path("/sys"), Path("/proc/self/mountinfo")
_UNTOLD = "can't be told"


def print_protection(target: Target, say: Callable[[str], None]) -> None:
    """Print what of a warehouse is encrypted at rest.

    Raises:
        ConfigurationError: the key is none.
    """
    is_keyed = bool(files_key())
    if target.lake:
        say("at rest: every file of the lake is encrypted with a key of its own, which stands in the lake's catalog")
    if target.in_files:
        what = f"encrypted with {KEY}" if is_keyed else f"in the clear, since {KEY} is not set"
        say(f"at rest: files are {what}; the disk below {target.folder} is {disk_of(target.folder)}")
        return
    if target.lake and target.lake.folder:
        say(f"at rest: the disk below the catalogs is {disk_of(target.folder)}")
        return
    what = f"sealed with {KEY}" if is_keyed else f"in the clear, since {KEY} is not set"
    say(f"at rest: values of the crosswalk are {what}; the disk below the server's data is {_server_disk()}")


def disk_of(folder: Path, system: Path = SYS, mounts: Path = MOUNTS) -> str:
    """Whether a folder lies on an encrypted disk, in words; what can't be seen from here is said to be so.

    Args:
        folder: a folder that is there.
        system: where the kernel shows its devices.
        mounts: where it lists what is mounted.
    """
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    kind = _kind_of(number, mounts)
    if kind in ("tmpfs", "ramfs"):
        return "none: it is memory, and gone with the machine"
    place = system / "dev" / "block" / number
    if not place.exists():
        return f"{_UNTOLD}: {kind or 'its file system'} doesn't say on which device it lies"
    if _is_crypt(place.resolve()):
        return "encrypted (dm-crypt)"
    return "not encrypted by this machine; what a provider does below it can't be seen from here"


def _kind_of(number: str, mounts: Path) -> str:
    """The kind of file system that is mounted from a device."""
    # proc(5): the device is the third word, and the kind the first one after a lone dash.
    for line in mounts.read_text(encoding="utf-8").splitlines():
        if line.split()[2] == number:
            return line.split(" - ", 1)[1].split()[0]
    return ""


def _is_crypt(device: Path) -> bool:
    """Whether a device is a mapping of dm-crypt's, or lies on nothing else: as a volume of LVM's on LUKS does."""
    uuid = device / "dm" / "uuid"
    if uuid.exists() and uuid.read_text(encoding="utf-8").startswith("CRYPT-"):
        return True
    whole = device.parent if (device / "partition").exists() else device
    below = list((whole / "slaves").glob("*"))
    return bool(below) and all(_is_crypt(each.resolve()) for each in below)


def _server_disk() -> str:
    try:
        with closing(psycopg2.connect("")) as connection, connection.cursor() as cursor:
            cursor.execute("select host(inet_server_addr()), current_setting('data_directory', true)")
            address, folder = cursor.fetchone() or (None, None)
    except psycopg2.errors.InsufficientPrivilege:
        return f"{_UNTOLD}: this login may not ask where it is (pg_read_all_settings may)"
    except psycopg2.Error as error:
        return f"{_UNTOLD}: {str(error).strip().splitlines()[0]}"
    if address is not None and not ip_address(address).is_loopback:
        return f"{_UNTOLD}: the server is {address}, whose disks are not this machine's; ask who runs it"
    if not folder or not Path(folder).exists():
        return f"{_UNTOLD}: its data directory is not to be seen from here; ask who runs it"
    return disk_of(Path(folder))
