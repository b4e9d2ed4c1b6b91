"""The recipes of docs/api.md do what they say, as they are written there: only the address and the mart are others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingestion.duck import connect, load_extension
from ingestion.project import PROJECT_ROOT
from tests.absent import package
from tests.api.served import Served

BLOCK = re.compile(r"^```(sh|python|sql|r)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def recipes(language: str) -> list[str]:
    """The blocks of a language among the recipes."""
    text = (PROJECT_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    return [code for of, code in BLOCK.findall(text.partition("\n## From tools\n")[2]) if of == language]


@pytest.fixture
def served_here(api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Served, int]:
    """The API with the key in the environment, and how many visits it has."""
    monkeypatch.setenv("KEY", api.keys["api_reporter"])
    monkeypatch.chdir(tmp_path)
    return api, len(api.rows("/marts/tiny/fct_visits"))


def ran(command: list[str | Path], recipe: str, api: Served) -> str:
    """What a program says to a recipe."""
    code = recipe.replace("http://127.0.0.1:8080", api.url).replace("commerce/fct_orders", "tiny/fct_visits")
    assert api.url in code and "fct_visits" in code
    ended = subprocess.run([*command, code], capture_output=True, text=True, check=False, timeout=120, env=os.environ)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_curl(served_here: tuple[Served, int], request: pytest.FixtureRequest) -> None:
    package(request, "/usr/bin/curl", "curl", "THE API BY CURL")
    [recipe] = recipes("sh")
    ran(["bash", "-c"], recipe, served_here[0])
    assert pq.read_table("orders.parquet").num_rows == served_here[1] > 10


def test_python(served_here: tuple[Served, int]) -> None:
    found = [each for each in recipes("python") if "import pandas" not in each]
    assert len(found) == 2
    for recipe in found:
        assert int(ran([sys.executable, "-c"], recipe, served_here[0])) == served_here[1] > 10


def test_duckdb(served_here: tuple[Served, int]) -> None:
    [recipe] = recipes("sql")
    api, wanted = served_here
    install, load, *statements = recipe.replace("http://127.0.0.1:8080", api.url).strip().split(";\n")
    assert (install, load) == ("install httpfs", "load httpfs")
    with connect() as connection:
        load_extension(connection, "httpfs")  # the packaged one: DuckDB's own install asks the internet
        for statement in statements:
            # The command line has getenv(); the library has none.
            told = statement.replace("getenv('KEY')", f"'{os.environ['KEY']}'")
            rows = connection.execute(told.replace("commerce/fct_orders", "tiny/fct_visits")).fetchall()
    assert rows == [(wanted,)] and wanted > 10


def test_r(served_here: tuple[Served, int], request: pytest.FixtureRequest) -> None:
    rscript = package(request, "/usr/bin/Rscript", "r-cran-httr2 r-cran-readr", "THE API BY R")
    [recipe] = recipes("r")
    assert ran([rscript, "-e"], recipe, served_here[0]).split() == ["[1]", str(served_here[1])]
