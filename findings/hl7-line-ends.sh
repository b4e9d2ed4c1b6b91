#!/usr/bin/env bash
# Message libraries lose all segments but the first where these end otherwise than the standard says, in silence: hl7 and
# hl7apy read a message of LF ends as its header alone, and hl7apy one of CRLF ends as well. hl7 names the segments of that
# with a line feed before, so that none is found by its name. hl7apy also escapes the escapes of what it read.
#
# Seen: hl7 0.4.5, hl7apy 1.3.5, Python 3.11. Guessed before: other ends are read, or are an error.
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check hl7==0.4.5 hl7apy==1.3.5
"$work/venv/bin/python" - <<'PYTHON'
import hl7
from hl7apy.parser import parse_message

SEGMENTS = [
    "MSH|^~\\&|A|B|C|D|20240301||ORU^R01|1|P|2.5||||",
    "PID|1||7",
    "OBR|1||9",
    "OBX|1|ST|c||one\\.br\\two||||||F",
]
seen = {}
for name, end in {"CR": "\r", "LF": "\n", "CRLF": "\r\n"}.items():
    text = end.join(SEGMENTS) + end
    seen[name] = (
        [str(segment[0]) for segment in hl7.parse(text)],
        [segment.name for segment in parse_message(text).children],
    )
    print(f"{name}: hl7 {seen[name][0]}, hl7apy {seen[name][1]}")
value = parse_message("\r".join(SEGMENTS), find_groups=False).obx.obx_5.to_er7()
print(f"hl7apy writes {SEGMENTS[3].split('|')[5]} as {value}")
assert seen == {
    "CR": (["MSH", "PID", "OBR", "OBX"], ["MSH", "ORU_R01_PATIENT_RESULT"]),
    "LF": (["MSH"], ["MSH"]),
    "CRLF": (["MSH", "\nPID", "\nOBR", "\nOBX"], ["MSH"]),
}, "the behaviour has changed"
assert value == "one\\E\\.br\\E\\two", "the behaviour has changed"
PYTHON
