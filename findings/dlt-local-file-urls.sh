#!/usr/bin/env bash
# dlt's listing of a local folder names each file by a URL, by which fsspec doesn't open it again where the name holds a
# blank, a hash, a question mark or a percent sign: the URL is escaped, and fsspec takes it as it stands.
#
# Seen: dlt 1.31.0, fsspec 2026.9.0, Python 3.11. Guessed before: a file opens by the URL that its listing gives.
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check dlt==1.31.0 fsspec==2026.9.0
"$work/venv/bin/python" - "$work/files" <<'PYTHON'
import sys
from pathlib import Path

import fsspec
from dlt.common.storages.fsspec_filesystem import glob_files

folder = Path(sys.argv[1])
folder.mkdir()
names = ["plain.csv", "two words.csv", "no#1.csv", "why?.csv", "50%.csv"]
for name in names:
    (folder / name).write_text("a\n1\n")
local = fsspec.filesystem("file")
seen = {}
for item in glob_files(local, str(folder), "*"):
    try:
        with local.open(item["file_url"]) as file:
            seen[item["file_name"]] = len(file.read())
    except FileNotFoundError:
        seen[item["file_name"]] = f"not found by {item['file_url'].rsplit('/', 1)[1]}"
for name in names:
    print(f"{name}: {seen[name]}")
assert seen == {
    "plain.csv": 4,
    "two words.csv": "not found by two%20words.csv",
    "no#1.csv": "not found by no%231.csv",
    "why?.csv": "not found by why%3F.csv",
    "50%.csv": "not found by 50%25.csv",
}, "the behaviour has changed"
PYTHON
