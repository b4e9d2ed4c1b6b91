"""Whether a folder lies on an encrypted disk, by what the kernel shows of devices; trees of it are laid out here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingestion.destination.target import Target
from ingestion.keys import KEY
from tests.warehouses import as_environment
from warehouse.ops.disks import disk_of, print_protection


@pytest.fixture
def number(tmp_path: Path) -> str:
    """The device on which the test's folder lies."""
    device = tmp_path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def shown(
    root: Path, number: str, kind: str, devices: dict[str, tuple[str, list[str]]], first: str
) -> tuple[Path, Path]:
    """A tree as in /sys, and a list as in /proc, of a file system on the first device.

    Args:
        root: where to put them.
        number: of the first device.
        kind: the file system's.
        devices: the uuid of each mapping, or nothing, and the devices that it lies on.
        first: the device's name, such as `dm-1`, or `sda/sda1` of a partition.
    """
    for name, (uuid, below) in devices.items():
        folder = root / "sys" / "devices" / name
        (folder / "slaves").mkdir(parents=True)
        if uuid:
            (folder / "dm").mkdir()
            (folder / "dm" / "uuid").write_text(f"{uuid}\n", encoding="utf-8")
        if "/" in name:
            (folder / "partition").write_text("1\n", encoding="utf-8")
        for each in below:
            (folder / "slaves" / Path(each).name).symlink_to(root / "sys" / "devices" / each)
    if first:
        (root / "sys" / "dev" / "block").mkdir(parents=True)
        (root / "sys" / "dev" / "block" / number).symlink_to(root / "sys" / "devices" / first)
    mounts = root / "mountinfo"
    mounts.write_text(
        "22 1 0:5 / /dev rw - devtmpfs udev rw\n"
        f"29 1 {number} / /data rw,relatime shared:1 - {kind} /dev/mapper/x rw\n",
        encoding="utf-8",
    )
    return root / "sys", mounts


LUKS = "CRYPT-LUKS2-5d0c-data"


@pytest.mark.parametrize(
    ("devices", "first", "said"),
    [
        ({"dm-0": (LUKS, ["sda/sda1"]), "sda": ("", []), "sda/sda1": ("", [])}, "dm-0", "encrypted (dm-crypt)"),
        ({"dm-1": ("LVM-x", ["dm-0"]), "dm-0": (LUKS, [])}, "dm-1", "encrypted (dm-crypt)"),
        ({"dm-2": ("LVM-x", ["dm-0", "sdb"]), "dm-0": (LUKS, []), "sdb": ("", [])}, "dm-2", "not encrypted by"),
        ({"sda": ("", []), "sda/sda1": ("", [])}, "sda/sda1", "not encrypted by this machine; what a provider does"),
        ({"md0": ("", ["dm-0"]), "md0/md0p1": ("", []), "dm-0": (LUKS, [])}, "md0/md0p1", "encrypted (dm-crypt)"),
    ],
    ids=["luks", "lvm on luks", "lvm on luks and a bare disk", "a partition", "a partition of a raid on luks"],
)
def test_devices(devices: dict[str, tuple[str, list[str]]], first: str, said: str, number: str, tmp_path: Path) -> None:
    assert disk_of(tmp_path, *shown(tmp_path, number, "ext4", devices, first)).startswith(said)


def test_what_has_no_device_is_said_to_have_none(number: str, tmp_path: Path) -> None:
    assert disk_of(tmp_path, *shown(tmp_path, number, "overlay", {}, "")) == (
        "can't be told: overlay doesn't say on which device it lies"
    )


def test_memory(number: str, tmp_path: Path) -> None:
    assert disk_of(tmp_path, *shown(tmp_path, number, "tmpfs", {}, "")).startswith("none: it is memory")


@pytest.mark.parametrize("key", ["", "b25seSBmb3IgYSB0ZXN0LCBhbmQgbm90aGluZyBlbHNl"])
def test_a_warehouse_of_files(key: str, warehouse: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, key)
    warehouse.folder.mkdir()
    said: list[str] = []
    print_protection(warehouse, said.append)
    assert len(said) == 1 and ("files are encrypted with" in said[0]) is bool(key)


@pytest.mark.postgres
def test_a_server(postgres: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    for name, value in as_environment(postgres).items():
        monkeypatch.setenv(name, value)
    print_protection(Target("prod", "postgres", tmp_path), said.append)
    monkeypatch.setenv("PGHOST", "/nowhere")
    print_protection(Target("prod", "postgres", tmp_path), said.append)
    assert "the disk below the server's data is" in said[0] and "can't be told: connection" in said[1], said
