"""What the OpenAPI says is what the API does: schemathesis asks for what it allows, and for much that it doesn't."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.served import Served


@pytest.mark.slow
@pytest.mark.parametrize("login", ["api_reporter", "api_few"])
def test_schemathesis_finds_nothing(api: Served, login: str, tmp_path: Path) -> None:
    document = api.get("/openapi.json", login).json()
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", str(file),
         "--url", api.url, "-H", f"Authorization: Bearer {api.keys[login]}", "--max-examples", "8", "--seed", "7",
         "--generation-database", "none", "--no-color", "--phases", "fuzzing"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and "No issues found" in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in api.log.read_text(encoding="utf-8")


def test_each_mart_has_a_typed_path(api: Served) -> None:
    document = api.get("/openapi.json").json()
    operation = document["paths"]["/marts/tiny/fct_visits"]["get"]
    assert operation["summary"] == "One row for each visit; key `visit_key`."
    parameters = {each["name"]: each["schema"] for each in operation["parameters"]}
    assert parameters["visit_amount.gte"]["pattern"] == r"^-?[0-9]{1,14}(\.[0-9]{1,4})?$"
    assert parameters["visited_date.in"]["items"] == {"type": "string", "format": "date"}
    row = document["components"]["schemas"]["tiny.fct_visits"]["properties"]
    assert row["visit_amount"]["type"] == ["string", "null"] and row["visit_id"]["type"] == ["integer", "null"]
    assert list(row) == [each["name"] for mart in api.get("/catalog").json()["marts"]
                         if mart["name"] == "tiny.fct_visits" for each in mart["columns"]]  # fmt: skip
