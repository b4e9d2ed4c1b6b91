#!/usr/bin/env bash
# fhirpathpy parses FHIRPath that is none: an expression that ends within a call, and two names with nothing between them.
# Its parser gives a tree of what it could read and drops the rest, without an error or a message. A view whose path
# lost its end selects something else than what is written.
#
# Seen: fhirpathpy 2.2.4, antlr4-python3-runtime 4.13.2, Python 3.11. Guessed before: an exception, as the grammar asks
# for the end of the expression. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check fhirpathpy==2.2.4 antlr4-python3-runtime==4.13.2
"$work/venv/bin/python" - <<'PYTHON'
import json

import fhirpathpy
from fhirpathpy import parser

patient = {"resourceType": "Patient", "id": "p1", "active": True, "name": [{"family": "F"}]}
print("active id:", fhirpathpy.evaluate(patient, "active id"))
for expression in ("name.where(", "active id"):
    tree = parser.parse(expression)
    print(f"{expression!r} is taken for an expression: {json.dumps(tree)[:100]}…")
    assert tree["children"], "the behaviour has changed"
assert fhirpathpy.evaluate(patient, "active id") == [True], "the behaviour has changed"
PYTHON
